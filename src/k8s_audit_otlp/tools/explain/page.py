"""Writes a report as one page of HTML that needs nothing else: no script, no font, no picture.

Every bar has its number beside it, so the page reads without colour and in print.
"""

from typing import NamedTuple

from k8s_audit_otlp.tools.explain.report import ExporterRow, LogReport, ViewReport
from k8s_audit_otlp.tools.explain.show import (
    EXPORTERS,
    NOISY,
    NOISY_COLUMNS,
    RULES,
    error_of,
    exporter_cells,
    heading,
    noisy_cells,
    rate,
    remarks,
    rule_cells,
    summary,
)
from k8s_audit_otlp.tools.page import Bar, PageRow, Table, render
from k8s_audit_otlp.tools.text import printable

_TITLE = "What the Kubernetes audit log amounts to"
_FOOTER = (
    "Written by k8s-audit-otlp explain; nothing was sent. Secrets are taken out; names of people "
    "and workloads are as the log has them."
)


class _View(NamedTuple):
    """What one policy makes of the log."""

    heading: str
    rules: Table
    noisy_title: str
    noisy: Table
    error: str


def html_of(report: LogReport) -> str:
    """Write the page."""
    rows = [row for view in report.views for row in view.exporters]
    return render(
        "explain/page.html",
        title=_TITLE,
        footer=_FOOTER,
        summary=summary(report),
        chart=_chart(report, rows),
        exporters=Table(EXPORTERS, [PageRow(exporter_cells(report, row)) for row in rows], text=1),
        remarks=remarks(report),
        views=[_view(report, view) for view in report.views],
    )


def _chart(report: LogReport, rows: list[ExporterRow]) -> Table:
    """Draw what a day costs each exporter, to one scale."""
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


def _view(report: LogReport, view: ViewReport) -> _View:
    rules = [
        _row(rule_cells(report, view, row), row.sent_bytes, view, faint=not row.events)
        for row in view.rules
    ]
    noisy = [_row(noisy_cells(report, view, row), row.sent_bytes, view) for row in view.noisy]
    return _View(
        heading=heading(view),
        rules=Table(RULES, rules, text=3, bars="bar"),
        noisy_title=NOISY[0].upper() + NOISY[1:],
        noisy=Table(NOISY_COLUMNS, noisy, text=3, bars="bar"),
        error=error_of(view) if view.noisy_error_bytes else "",
    )


def _row(cells: tuple[str, ...], part: int, view: ViewReport, *, faint: bool = False) -> PageRow:
    return PageRow(cells, Bar(part, view.sent_bytes, f"{cells[-1]} of what is sent"), faint)
