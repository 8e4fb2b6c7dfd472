"""The report as plain frozen values, for JSON, tables and a page.

Nothing of the log is in it but what redaction has seen.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from k8s_audit_otlp.tools.explain.display import strict
from k8s_audit_otlp.tools.explain.keys import shown
from k8s_audit_otlp.tools.explain.timeline import Timeline
from k8s_audit_otlp.tools.explain.view import Outlet, RuleCount, View
from k8s_audit_otlp.tools.text import DAY_S, number

TOP = 20
BARS = 96
SHORT_S = 3600.0  # a shorter log says little about a day


@dataclass(frozen=True, slots=True)
class RuleRow:
    name: str
    line: int
    level: str
    text: str
    events: int
    dropped: int
    lowered: int
    log_bytes: int
    sent_bytes: int
    why_dropped: dict[str, int]  # level, stage, code

    @property
    def action(self) -> str:
        """Say in a few words what the rule did."""
        if self.events and self.dropped == self.events:
            said = [f"drops all{_by(self.why_dropped)}"]
        else:
            said = [f"drops {number(self.dropped)}{_by(self.why_dropped)}"] if self.dropped else []
        if self.lowered:
            said.append(f"lowers {number(self.lowered)} to {self.level}")
        if not said and self.level:
            return f"keeps, at most {self.level}" if self.events else "nothing matched"
        return ", ".join(said) or "keeps"


def _by(why: dict[str, int]) -> str:
    others = [what for what in why if what != "level"]
    return f" by {' and '.join(others)}" if others else ""


@dataclass(frozen=True, slots=True)
class NoisyRow:
    """A user, verb and resource; `sent` is what the policy leaves, as records."""

    user: str
    verb: str
    resource: str
    events: int
    log_bytes: int
    sent_events: int
    sent_bytes: int


@dataclass(frozen=True, slots=True)
class ExporterRow:
    """What one exporter would receive; `wire_bytes` is None where we do not make what is sent."""

    name: str
    form: str
    compression: str
    requests: int
    events: int
    request_bytes: int
    wire_bytes: int | None
    max_age_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ViewReport:
    """What exporters with one mapping have in common."""

    exporters: tuple[ExporterRow, ...]
    policy: str
    bodies: str
    max_record_bytes: int
    rules: tuple[RuleRow, ...]
    noisy: tuple[NoisyRow, ...]
    noisy_error_bytes: int  # every row of `noisy` may be so much too low; 0 is exact
    events: int
    dropped: int
    redacted: int
    shrunk: int
    sent_bytes: int

    @property
    def names(self) -> str:
        return ", ".join(row.name for row in self.exporters)


@dataclass(frozen=True, slots=True)
class LogReport:
    logs: tuple[str, ...]
    damage: tuple[str, ...]
    size: int
    events: int
    first: str
    last: str
    seconds: float
    sample: int
    timeline: tuple[tuple[int, int], ...]  # (start in ns, bytes of the log)
    views: tuple[ViewReport, ...]

    @property
    def short(self) -> bool:
        return self.seconds < SHORT_S

    def per_day(self, count: float) -> float | None:
        """Return what *count* of this log is in a day; None where it has no length."""
        return count * DAY_S / self.seconds if self.seconds > 0 else None

    def as_json(self) -> dict[str, Any]:
        """Return plain values, with rates."""
        plain = asdict(self)
        plain["estimated"] = self.sample > 1
        plain["per_day"] = {"events": self.per_day(self.events), "bytes": self.per_day(self.size)}
        for view in plain["views"]:
            for row in (*view["exporters"], *view["rules"], *view["noisy"]):
                counts = {k: v for k, v in row.items() if k in _RATES and v is not None}
                row["per_day"] = {k: self.per_day(v) for k, v in counts.items()}
        return plain


_RATES = frozenset(
    {"events", "log_bytes", "sent_events", "sent_bytes", "request_bytes", "wire_bytes"}
)


Times = Callable[[int], int]  # what is counted in a sample as that of the whole log


def build(  # noqa: PLR0913 - one for each thing that is known of a log
    *,
    logs: tuple[str, ...],
    damage: tuple[str, ...],
    size: int,
    events: int,
    sample: int,
    scale: float,
    timeline: Timeline,
    views: Sequence[View],
) -> LogReport:
    def times(count: int) -> int:
        return count if scale == 1.0 else round(count * scale)

    return LogReport(
        logs,
        damage,
        size,
        times(events),
        timeline.first,
        timeline.last,
        timeline.seconds,
        sample,
        tuple((start, times(count)) for start, count in timeline.bars(BARS)),
        tuple(_view(view, times) for view in views),
    )


def _view(view: View, times: Times) -> ViewReport:
    redactor = strict(view.mapping).redactor
    noisy = [
        NoisyRow(*shown(key, redactor), *map(times, sums)) for key, sums in view.heaviest.top(TOP)
    ]
    rules = view.rules
    return ViewReport(
        tuple(_exporter(outlet, times) for outlet in view.outlets),
        view.mapping.policy_file if view.mapping.policy else "",
        view.mapping.bodies,
        view.mapping.max_record_bytes,
        tuple(_rule(count, times) for count in rules),
        tuple(noisy),
        times(view.heaviest.error),
        times(sum(count.events for count in rules)),
        times(sum(count.dropped for count in rules)),
        times(view.redacted),
        times(view.shrunk),
        times(sum(count.sent_bytes for count in rules)),
    )


def _rule(count: RuleCount, times: Times) -> RuleRow:
    rule = count.rule
    return RuleRow(
        rule.name,
        rule.line,
        rule.level,
        rule.text,
        times(count.events),
        times(count.dropped),
        times(count.lowered),
        times(count.log_bytes),
        times(count.sent_bytes),
        {what: times(n) for what, n in count.why.items()},
    )


def _exporter(outlet: Outlet, times: Times) -> ExporterRow:
    target = outlet.target
    return ExporterRow(
        target.name,
        target.form,
        target.compression,
        times(outlet.requests),
        times(outlet.events),
        times(outlet.request_bytes),
        times(outlet.wire_bytes) if target.measured else None,
        target.max_age_s,
    )
