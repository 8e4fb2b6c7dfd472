"""The report as plain values, for JSON, tables and a page.

Nothing of the log is in it but what redaction has seen.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

from k8s_audit_otlp.tools.text import DAY_S, number

SHORT_S = 3600.0  # a shorter log says little about a day


@dataclass(slots=True)
class RuleRow:
    """What one rule decided about."""

    name: str
    line: int
    level: str
    text: str
    events: int = 0
    dropped: int = 0
    lowered: int = 0
    log_bytes: int = 0
    sent_bytes: int = 0
    why_dropped: dict[str, int] = field(default_factory=dict)  # level, stage, code

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
        plain["per_day"] = {"events": self.per_day(self.events), "bytes": self.per_day(self.size)}
        for view in plain["views"]:
            for row in (*view["exporters"], *view["rules"], *view["noisy"]):
                counts = {k: v for k, v in row.items() if k in _RATES and v is not None}
                row["per_day"] = {k: self.per_day(v) for k, v in counts.items()}
        return plain


_RATES = frozenset(
    {"events", "log_bytes", "sent_events", "sent_bytes", "request_bytes", "wire_bytes"}
)
