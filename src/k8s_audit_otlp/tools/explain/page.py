"""Writes a report as one page of HTML that needs nothing else: no script, no font, no picture.

Every bar has its number beside it, so the page reads without colour and in print.
"""

from k8s_audit_otlp.tools.explain.report import LogReport
from k8s_audit_otlp.tools.explain.show import (
    NOISY,
    error_of,
    exporters_table,
    heading,
    noisy_table,
    rate,
    remarks,
    rules_table,
    summary,
)
from k8s_audit_otlp.tools.page import Bar, PageRow, Table, render
from k8s_audit_otlp.tools.text import printable

_TITLE = "What the Kubernetes audit log amounts to"
_FOOTER = (
    "Written by k8s-audit-otlp explain; nothing was sent. Secrets are taken out; names of people "
    "and workloads are as the log has them."
)


def html_of(report: LogReport) -> str:
    return render(
        "explain/page.html",
        title=_TITLE,
        footer=_FOOTER,
        summary=summary(report),
        chart=_chart(report),
        exporters=exporters_table(report),
        remarks=remarks(report),
        views=[
            {
                "heading": heading(view),
                "rules": rules_table(report, view),
                "noisy": noisy_table(report, view),
                "error": error_of(view) if view.noisy_error_bytes else "",
            }
            for view in report.views
        ],
        noisy_title=NOISY[0].upper() + NOISY[1:],
    )


def _chart(report: LogReport) -> Table:
    """Draw what a day costs each exporter, to one scale."""
    rows = [row for view in report.views for row in view.exporters]
    most = max([report.size, *(row.request_bytes for row in rows)])
    drawn = [("the log itself", "on disk", report.size, "log")]
    for row in rows:
        drawn.append((printable(row.name), "before compression", row.request_bytes, "part"))
        if row.wire_bytes is not None:
            drawn.append(("", "on the wire", row.wire_bytes, "wire"))
    bars = [
        PageRow(
            (name, what, rate(report, part)), Bar(part, most, f"{what} {rate(report, part)}", kind)
        )
        for name, what, part, kind in drawn
    ]
    return Table(["exporter", "", "per day"], bars, text=2, bars="wide")
