"""Shows a report: as lines and tables at a terminal, and as one page of HTML.

Every bar of the page has its number beside it, so it reads without colour and in print.
"""

from collections.abc import Callable, Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from k8s_audit_otlp.tools.explain.report import LogReport, NoisyRow, RuleRow, ViewReport
from k8s_audit_otlp.tools.page import Bar, PageRow, Table, render
from k8s_audit_otlp.tools.table import fitted
from k8s_audit_otlp.tools.text import counted, duration, number, printable, share, size

UNKNOWN = "?"
_EXPORTERS = (
    "exporter", "events", "events/day", "before compression", "per day", "on the wire", "wire/day",
)  # fmt: skip
_RULES = ("rule", "what it matches", "what it does", "events", "log/day", "sent/day", "of sent")
_NOISY = ("user", "verb", "resource", "events", "sent", "log/day", "sent/day", "of sent")


def renderables(report: LogReport) -> Iterator[RenderableType]:
    """Yield what to print, most important first."""
    for label, said in summary(report):
        yield Text(f"{label:<10}{said}")
    yield fitted(exporters_table(report))
    for remark in remarks(report):
        yield Text(remark)
    for view in report.views:
        yield Text(f"\n{heading(view)}")
        yield fitted(rules_table(report, view))
        yield Text(NOISY)
        yield fitted(noisy_table(report, view))
        if view.noisy_error_bytes:
            yield Text(error_of(view))


def summary(report: LogReport) -> list[tuple[str, str]]:
    """Say what was looked at, as (label, text)."""
    in_a_day = rate(report, report.events, number)
    first, last = (text or UNKNOWN for text in (report.first, report.last))
    said = [
        ("log", printable(", ".join(report.logs), 1000)),
        ("holds", f"{counted(report.events, 'event')}, {size(report.size)}"),
        ("covers", f"{first} to {last}, {duration(report.seconds)}"),
        ("in a day", f"{in_a_day} events, {rate(report, report.size)} of log"),
    ]
    if report.short:
        what = f"{duration(report.seconds)} of log say little about a day; take more of it"
        said.append(("beware", what))
    return [*said, *(("trouble", printable(line)) for line in report.damage)]


BILLED = (
    "before compression: what most vendors bill, each by its own way of counting. "
    "on the wire: what leaves the node, in requests as full as the exporter allows."
)
LARGER = (
    "a record is larger than its line: it has the event as its body, and the main fields as "
    "attributes beside it; profile: semconv or plain has fewer of them."
)
NOISY = "the noisiest users, verbs and resources, by what would be sent (all kubelets are one)"


def remarks(report: LogReport) -> list[str]:
    """Explain the table of exporters."""
    rows = [row for view in report.views for row in view.exporters]
    lines = [BILLED]
    if any(row.wire_bytes is None for row in rows):
        lines.append("a file or an SDK exporter writes another form; its size is not known here.")
    if any(view.sent_bytes > sum(r.log_bytes for r in view.rules) for view in report.views):
        lines.append(LARGER)
    lines += [
        f"{printable(row.name)} takes events of the last {duration(row.max_age_s)} only."
        for row in rows
        if row.max_age_s
    ]
    return lines


def rate(report: LogReport, count: float, write: Callable[[float], str] = size) -> str:
    """Write what *count* of this log is in a day."""
    found = report.per_day(count)
    return UNKNOWN if found is None else write(float(f"{found:.3g}"))  # what is more is no fact


def heading(view: ViewReport) -> str:
    policy = [f"policy {printable(view.policy)}"] if view.policy else ["no policy"]
    if view.policy and view.policy in view.names:
        policy = []  # the name says it
    parts = [
        *policy,
        f"{number(view.events - view.dropped)} of {counted(view.events, 'event')} sent",
        f"{number(view.redacted)} redacted",
    ]
    if view.max_record_bytes:
        parts.append(f"{number(view.shrunk)} shrunk to {size(view.max_record_bytes)}")
    if view.bodies != "keep":
        parts.append(f"bodies: {view.bodies}")
    return f"{printable(view.names)}: {', '.join(parts)}"


def error_of(view: ViewReport) -> str:
    return (
        "more users, verbs and resources than are kept: each size of the log in this table may be "
        f"up to {size(view.noisy_error_bytes)} too low"
    )


def exporters_table(report: LogReport) -> Table:
    rows = [row for view in report.views for row in view.exporters]
    cells = [
        (
            f"{printable(row.name)} ({row.form}, {row.compression})",
            number(row.events),
            rate(report, row.events, number),
            size(row.request_bytes),
            rate(report, row.request_bytes),
            "-" if row.wire_bytes is None else size(row.wire_bytes),
            "-" if row.wire_bytes is None else rate(report, row.wire_bytes),
        )
        for row in rows
    ]
    return Table(_EXPORTERS, list(map(PageRow, cells)), text=1)


def rules_table(report: LogReport, view: ViewReport) -> Table:
    rows = []
    for row in view.rules:
        cells = (
            f"{row.name} (line {row.line})" if row.line else row.name,
            printable(row.text, 160),
            row.action,
            number(row.events),
        )
        rows.append(_row(report, view, cells, row, faint=not row.events))
    return Table(_RULES, rows, text=3, bars="bar")


def noisy_table(report: LogReport, view: ViewReport) -> Table:
    rows = []
    for row in view.noisy:
        cells = (
            printable(row.user, 80),
            printable(row.verb, 30),
            printable(row.resource, 80),
            number(row.events),
            number(row.sent_events),
        )
        rows.append(_row(report, view, cells, row))
    return Table(_NOISY, rows, text=3, bars="bar")


def _row(
    report: LogReport,
    view: ViewReport,
    cells: Sequence[str],
    row: RuleRow | NoisyRow,
    *,
    faint: bool = False,
) -> PageRow:
    """End a row with what the log and the records of it are in a day, and the share of all."""
    part = share(row.sent_bytes, view.sent_bytes)
    rates = rate(report, row.log_bytes), rate(report, row.sent_bytes), part
    bar = Bar(row.sent_bytes, view.sent_bytes, f"{part} of what is sent")
    return PageRow((*cells, *rates), bar, faint)


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
