"""Writes a report as one page of HTML that needs nothing else: no script, no font, no picture.

Every bar has its number beside it, so the page reads without colour and in print. All text is
escaped, whether it comes from the log or not.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape

from k8s_audit_otlp.tools.explain.report import LogReport, ViewReport
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
from k8s_audit_otlp.tools.page import bar, columns, document, pairs
from k8s_audit_otlp.tools.text import duration, printable, size

_TITLE = "What the Kubernetes audit log amounts to"
_FOOTER = (
    "Written by k8s-audit-otlp explain; nothing was sent. Secrets are taken out; names of people "
    "and workloads are as the log has them."
)


def html_of(report: LogReport) -> str:
    """Write the page."""
    views = (_view(report, view) for view in report.views)
    sections = [pairs(summary(report)), _exporters(report), _timeline(report), *views]
    return document(_TITLE, sections, _FOOTER)


def _exporters(report: LogReport) -> str:
    """Draw what a day costs each exporter, to one scale, and give the numbers."""
    rows = [row for view in report.views for row in view.exporters]
    most = max([report.size, *(row.request_bytes for row in rows)])
    drawn = [("the log itself", "on disk", report.size, "log")]
    for row in rows:
        drawn.append((printable(row.name), "before compression", row.request_bytes, "part"))
        if row.wire_bytes is not None:
            drawn.append(("", "on the wire", row.wire_bytes, "wire"))
    chart = [
        [
            escape(name),
            what,
            _rate(report, part),
            bar(part, most, f"{what} {rate(report, part)}", kind),
        ]
        for name, what, part, kind in drawn
    ]
    cells = [list(map(escape, exporter_cells(report, row))) for row in rows]
    notes = "".join(f'<p class="note">{escape(line)}</p>' for line in remarks(report))
    return (
        "<h2>What each exporter would receive in a day</h2>"
        + _table(["exporter", "", "per day", ""], chart, text=2, bars="wide")
        + "<h3>In numbers</h3>"
        + _table(EXPORTERS, cells, text=1)
        + notes
    )


def _rate(report: LogReport, count: int) -> str:
    return escape(rate(report, count))


def _timeline(report: LogReport) -> str:
    bars = report.timeline
    if len(bars) < 2:
        return ""
    width_s = (bars[1][0] - bars[0][0]) / 1e9
    highest = max(count for _, count in bars)
    titles = [f"{_time(start)}: {size(count)}" for start, count in bars]
    label = f"bytes of log over time, at most {size(highest)} in {duration(width_s)}"
    return (
        f"<h2>When it is written</h2><figure>{columns([c for _, c in bars], titles, label)}"
        f'<div class="axis"><span>{_time(bars[0][0])}</span><span>{_time(bars[-1][0])}</span></div>'
        f"<figcaption>Bytes of log in each {duration(width_s)}; the highest column is "
        f"{size(highest)}. UTC.</figcaption></figure>"
    )


def _time(ns: int) -> str:
    return f"{datetime.fromtimestamp(ns // 10**9, UTC):%Y-%m-%d %H:%M:%S}"


def _view(report: LogReport, view: ViewReport) -> str:
    rules = [
        _with_bar(rule_cells(report, view, row), row.sent_bytes, view.sent_bytes)
        for row in view.rules
    ]
    noisy = [
        _with_bar(noisy_cells(report, view, row), row.sent_bytes, view.sent_bytes)
        for row in view.noisy
    ]
    unused = {number for number, row in enumerate(view.rules) if not row.events}
    error = f'<p class="note">{escape(error_of(view))}</p>' if view.noisy_error_bytes else ""
    return (
        f"<h2>{escape(heading(view))}</h2><h3>By rule of the policy</h3>"
        + _table([*RULES, ""], rules, text=3, bars="bar", faint=unused)
        + f"<h3>{escape(NOISY[0].upper() + NOISY[1:])}</h3>"
        + _table([*NOISY_COLUMNS, ""], noisy, text=3, bars="bar")
        + error
    )


def _with_bar(cells: Iterable[str], part: int, whole: int) -> list[str]:
    shown = list(map(escape, cells))
    return [*shown, bar(part, whole, f"{shown[-1]} of what is sent")]


def _table(
    titles: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    text: int,
    bars: str = "",
    faint: Iterable[int] = (),
) -> str:
    """Write a table of cells that are HTML already; *text* columns to the left, then numbers.

    *bars*: the class of the last column when it holds bars.
    """
    classes = ["" if i < text else "n" for i in range(len(titles))]
    classes[-1] = bars or classes[-1]
    head = "".join(
        f'<th class="{kind}">{escape(title)}</th>'
        for kind, title in zip(classes, titles, strict=True)
    )
    pale = frozenset(faint)
    body = "".join(
        f'<tr class="{"none" if number in pale else ""}">'
        + "".join(
            f'<td class="{kind}">{cell}</td>' for kind, cell in zip(classes, row, strict=True)
        )
        + "</tr>"
        for number, row in enumerate(rows)
    )
    whole = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll">{whole}</div>'
