"""How the agent is, as plain values: what metrics, health and status pages are made from.

Counts are records since the first start ever; sizes are bytes, times seconds. No value in here
comes from an event, and only `error` from a back end: it is for the state directory, whose owner
may read it, and no listener says it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from k8s_audit_otlp.telemetry.metrics.measured import RequestCounts

SHORT_S = 3600.0  # of runway: an hour is what somebody needs to come and look
SLOW_S = 3.0  # a request takes milliseconds as a rule
_SHOWN = (
    "exporter", "endpoint", "state", "stalled", "in_flight", "in_flight_records", "delivered",
    "backlog_bytes", "backlog_estimated", "backlog_s", "gone_bytes", "only_here_bytes", "runway_s",
    "lag_s", "acknowledged_at", "trouble", "trouble_at", "retry_at",
)  # fmt: skip
ExporterState = Literal["stalled", "in back-off", "failing", "no answer yet", "sending", "idle"]
IncidentKind = Literal["gap", "refused", "dead letter", "quarantine"]


class Incident(NamedTuple):
    """Something about an exporter that somebody should know of later: for the page."""

    at: float  # seconds since the epoch
    kind: IncidentKind
    text: str  # in our own words


@dataclass(frozen=True, slots=True)
class ReceiverView:
    """What became of one receiver's events at one exporter."""

    receiver: str
    read: int = 0
    delivered: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)  # by rule of the policy
    refused: int = 0
    dead_lettered: int = 0
    backlog_bytes: int = 0
    backlog_estimated: bool = False  # some of it is packed, and nobody has unpacked it yet
    backlog_s: float = 0.0  # age of the oldest event that is not settled, 0 where all are
    runway_s: float | None = None  # until it is deleted or too old, None where that is not known
    gone_bytes: int = 0  # deleted before they were read: gaps that are still to come
    only_here_bytes: int = 0  # of the backlog: their files are deleted, a restart loses them
    held_bytes: int = 0  # of deleted files that are held open
    last_event_at: float | None = None  # time of the newest event, seconds since the epoch

    @property
    def settled(self) -> int:
        return self.delivered + sum(self.dropped.values()) + self.refused + self.dead_lettered


@dataclass(frozen=True, slots=True)
class ExporterView:
    """One exporter. Gaps and retries are counted since the start of the process."""

    exporter: str
    receivers: Sequence[ReceiverView] = ()
    in_flight: int = 0
    waiting: int = 0  # requests in back-off
    stalled: str = ""  # why nothing is sent at all, in the agent's own words
    gaps: Mapping[str, int] = field(default_factory=dict)  # by reason
    retries: Mapping[str, int] = field(default_factory=dict)  # by reason
    acknowledged_at: float = 0.0  # seconds since the epoch, 0 where nothing ever was
    delivered_bytes: int = 0
    lag_s: float | None = None  # age of the newest acknowledged event when it was acknowledged
    requests: RequestCounts | None = None
    redactions: Mapping[str, int] = field(default_factory=dict)  # events, by rule
    recent: Sequence[Incident] = ()  # what was lost or refused of late
    trouble: str = ""  # reason of the last failed request, '' where none failed
    trouble_at: float = 0.0
    retry_at: float = 0.0  # seconds since the epoch, 0 where nothing waits
    unanswered_s: float | None = None  # of what is under way; None where nothing is
    error: str = ""  # the last trouble in the back end's own words
    error_at: float = 0.0
    rates: Sequence[float] = ()  # records a second over the last minutes, the newest last
    endpoint: str = ""  # host and port, '' where it is no network

    @property
    def failing(self) -> bool:
        """Say whether its last request failed; one that hangs now does not make it better."""
        return self.waiting > 0 or self.trouble_at > self.acknowledged_at

    @property
    def state(self) -> ExporterState:
        if self.stalled or self.waiting:
            return "stalled" if self.stalled else "in back-off"
        if self.failing:
            return "failing"
        if self.unanswered_s is None:
            return "idle"
        return "sending" if self.unanswered_s < SLOW_S else "no answer yet"

    @property
    def well(self) -> bool:
        """Say whether its state is one that nobody has to look at."""
        return self.state in ("sending", "idle")

    def as_json(self) -> dict[str, Any]:
        """Return what everybody may know: no answer of a back end."""
        return {name: getattr(self, name) for name in _SHOWN}

    @property
    def rate(self) -> float:
        return self.rates[-1] if self.rates else 0.0

    @property
    def delivered(self) -> int:
        return sum(receiver.delivered for receiver in self.receivers)

    @property
    def in_flight_records(self) -> int:
        """Records that were read and are not settled."""
        return sum(receiver.read - receiver.settled for receiver in self.receivers)

    @property
    def backlog_estimated(self) -> bool:
        return any(receiver.backlog_estimated for receiver in self.receivers)

    @property
    def backlog_bytes(self) -> int:
        return sum(receiver.backlog_bytes for receiver in self.receivers)

    @property
    def backlog_s(self) -> float:
        return max((receiver.backlog_s for receiver in self.receivers), default=0.0)

    @property
    def gone_bytes(self) -> int:
        return sum(receiver.gone_bytes for receiver in self.receivers)

    @property
    def only_here_bytes(self) -> int:
        return sum(receiver.only_here_bytes for receiver in self.receivers)

    @property
    def runs_short(self) -> bool:
        """Say whether something that it has not sent is deleted within the hour."""
        left = self.runway_s
        return self.backlog_bytes > 0 and left is not None and left < SHORT_S

    @property
    def runway_s(self) -> float | None:
        """The shortest that it has in any log."""
        known = (r.runway_s for r in self.receivers if r.runway_s is not None)
        return min(known, default=None)


@dataclass(frozen=True, slots=True)
class LogView:
    """One log: `trouble` says why it cannot be read, '' where it can; `watched` how it is."""

    path: str
    trouble: str = ""
    watched: str = ""


@dataclass(frozen=True, slots=True)
class SpoolView:
    """What one log that a source writes has taken since the start, and what it holds."""

    receiver: str
    taken: int = 0
    repeated: int = 0
    refused: int = 0
    used_bytes: int = 0
    max_bytes: int = 0
    trouble: str = ""  # why events are refused, '' while they are taken
    at_risk: str = ""  # why the buffer of the apiserver may lose events


@dataclass(frozen=True, slots=True)
class SourceView:
    """One source: where it listens or reads, and what came."""

    source: str
    place: str
    alive: bool = True
    trouble: str = ""  # why nothing may come
    left_out: int = 0  # what held no audit event
    answers: Mapping[str, int] = field(default_factory=dict)  # requests by status, or `tls`
    spools: Sequence[SpoolView] = ()
    behind_s: float | None = None  # since it last had all that there was; None: it does not read
    waiting: Mapping[str, int] = field(default_factory=dict)  # messages, by "topic/partition"


@dataclass(frozen=True, slots=True)
class ApiserverView:
    """What the kube-apiserver counts of its own audit log. Counts are events."""

    trouble: str = ""  # why it cannot be asked
    events: float | None = None  # since it began; None where it has told nothing yet
    errors: Mapping[str, float] = field(default_factory=dict)  # not written, by plugin
    unwritten: float = 0.0  # of these, since it was first asked
    since: float = 0.0  # seconds since the epoch, at most an hour ago: from then on
    counted: float = 0.0  # it counted so many,
    read: int = 0  # and so many were read of its log

    @property
    def unread(self) -> bool:
        """Say whether more events were counted than read, beyond what is still being written."""
        return self.counted > 1.1 * self.read + 100


@dataclass(frozen=True, slots=True)
class ReloadAnswer:
    """What became of the configuration that was read again last, for whoever asked for it."""

    read_at: float = 0.0  # seconds of the system's monotonic clock, 0 where none was
    refused: bool = False
    said: Sequence[str] = ()  # how it differs, or why it is refused


@dataclass(frozen=True, slots=True)
class HealthView:
    """The process: its threads, its commit loop, what it reads and where it sends."""

    logs: Sequence[LogView] = ()
    exporters: Sequence[ExporterView] = ()
    dead_threads: Sequence[str] = ()
    beat_age_s: float = 0.0  # since the commit loop last came round
    commit_error: str = ""  # why positions cannot be written
    sources: Sequence[SourceView] = ()
    config_refused: bool = False  # the files say something that does not run
    reload: ReloadAnswer = field(default_factory=ReloadAnswer)
    apiserver: ApiserverView | None = None  # None where it is not asked

    def counts_unread(self, late_s: float) -> bool:
        """Say whether the apiserver counts events that nobody read.

        Who waits for a back end reads nothing new: *late_s* is how long all may have waited.
        """
        waited: dict[str, float] = {}
        for receiver in (one for exporter in self.exporters for one in exporter.receivers):
            known = waited.get(receiver.receiver, receiver.backlog_s)
            waited[receiver.receiver] = min(known, receiver.backlog_s)
        late = max(waited.values(), default=0.0) > late_s
        return self.apiserver is not None and self.apiserver.unread and not late
