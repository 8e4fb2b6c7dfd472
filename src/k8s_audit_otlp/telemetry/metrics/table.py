"""The agent's own metrics: one table of what there is, with how each is read.

Labels are exporter, receiver, rule and reasons from closed sets: what clients of the apiserver
choose never becomes a label.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Final, Literal, NamedTuple

from k8s_audit_otlp.evidence.notices import GAP_REASONS
from k8s_audit_otlp.telemetry.metrics.measured import Histogram
from k8s_audit_otlp.telemetry.views import ExporterView, ReceiverView

PREFIX: Final = "k8s_audit_otlp_"
RETRY_REASONS: Final = ("connection", "retryable", "too_large", "rejected", "misconfigured")

Labels = Mapping[str, str]
Value = float | Histogram
Series = Iterator[tuple[Labels, Value]]
Kind = Literal["counter", "gauge", "histogram"]
Row = tuple[Kind, str, tuple[str, ...], str]  # with unit, labels and meaning


class Metric(NamedTuple):
    """One row of the table: `read` gives the series of one exporter."""

    name: str  # as it is scraped
    kind: Kind
    unit: str
    labels: tuple[str, ...]
    help: str
    read: Callable[[ExporterView], Series]


class Family(NamedTuple):
    """One metric as of a moment: every series of it."""

    name: str
    kind: Kind
    unit: str
    help: str
    series: list[tuple[Labels, Value]]


def _receivers(value: Callable[[ReceiverView], float | None]) -> Callable[[ExporterView], Series]:
    def read(view: ExporterView) -> Series:
        for receiver in view.receivers:
            found = value(receiver)
            if found is not None:
                yield {"exporter": view.exporter, "receiver": receiver.receiver}, found

    return read


def _exporter(value: Callable[[ExporterView], Value | None]) -> Callable[[ExporterView], Series]:
    def read(view: ExporterView) -> Series:
        found = value(view)
        if found is not None:
            yield {"exporter": view.exporter}, found

    return read


def _dropped(view: ExporterView) -> Series:
    for receiver in view.receivers:
        for rule, count in receiver.dropped.items():
            labels = {"exporter": view.exporter, "receiver": receiver.receiver, "rule": rule}
            yield labels, count


def _redactions(view: ExporterView) -> Series:
    for rule, count in view.redactions.items():
        yield {"exporter": view.exporter, "rule": rule}, count


def _by_reason(view: ExporterView, known: Iterable[str], counts: Mapping[str, int]) -> Series:
    """Tell of every known reason, at zero too: an alert must see the first one as an increase."""
    for reason in dict.fromkeys((*known, *counts)):
        yield {"exporter": view.exporter, "reason": reason}, counts.get(reason, 0)


def _durations(view: ExporterView) -> Series:
    for outcome, histogram in view.requests.durations.items() if view.requests else ():
        yield {"exporter": view.exporter, "outcome": outcome}, histogram


def _metric(  # noqa: PLR0913 - the columns of the table
    kind: Kind,
    suffix: str,
    name: str,
    unit: str,
    labels: tuple[str, ...],
    help_: str,
    read: Callable[[ExporterView], Series],
) -> Metric:
    return Metric(f"{PREFIX}{name}{suffix}", kind, unit, labels, help_, read)


_counter = partial(_metric, "counter", "_total")
_gauge = partial(_metric, "gauge", "")
_histogram = partial(_metric, "histogram", "")
_E = ("exporter",)
_ER = ("exporter", "receiver")
_EREASON = ("exporter", "reason")

# fmt: off
EXPORTER_METRICS: Final = (
    _counter("events_read", "events", _ER, "Events read from the log, what is in flight included.",
             _receivers(lambda r: r.read)),
    _counter("events_delivered", "events", _ER, "Events that the back end acknowledged.",
             _receivers(lambda r: r.delivered)),
    _counter("events_dropped", "events", (*_ER, "rule"),
             "Events that the exporter's policy took away.", _dropped),
    _counter("events_refused", "events", _ER,
             "Events refused in part of a request that was accepted.",
             _receivers(lambda r: r.refused)),
    _counter("events_dead_lettered", "events", _ER, "Events written to the dead letter.",
             _receivers(lambda r: r.dead_lettered)),
    _counter("delivered_bytes", "bytes", _E,
             "Bytes of acknowledged requests before compression.",
             _exporter(lambda v: v.delivered_bytes)),
    _counter("gaps", "gaps", _EREASON, "Stretches of the log that the exporter can never get.",
             lambda v: _by_reason(v, GAP_REASONS, v.gaps)),
    _counter("retries", "requests", _EREASON, "Requests that failed and are repeated.",
             lambda v: _by_reason(v, RETRY_REASONS, v.retries)),
    _counter("redactions", "events", (*_E, "rule"),
             "Events in which a rule of the redaction has replaced something.", _redactions),
    _histogram("request_duration_seconds", "seconds", ("exporter", "outcome"),
               "How long a request took, by what became of it.", _durations),
    _histogram("request_size_bytes", "bytes", _E, "Size of a request before compression.",
               _exporter(lambda v: v.requests.sizes if v.requests else None)),
    _histogram("request_records", "records", _E, "Records of a request.",
               _exporter(lambda v: v.requests.records if v.requests else None)),
    _gauge("backlog_bytes", "bytes", _ER, "Unpacked bytes of the log that are not delivered.",
           _receivers(lambda r: r.backlog_bytes)),
    _gauge("backlog_seconds", "seconds", _ER, "Age of the oldest event that is not delivered.",
           _receivers(lambda r: r.backlog_s)),
    _gauge("runway_seconds", "seconds", _ER,
           "Time until the oldest undelivered byte is deleted or too old for the back end; absent"
           " where that is not known.",
           _receivers(lambda r: r.runway_s)),
    _gauge("event_lag_seconds", "seconds", _E,
           "Age of the newest event of the request that was acknowledged last.",
           _exporter(lambda v: v.lag_s)),
    _gauge("gone_bytes", "bytes", _ER,
           "Bytes deleted before they were read; each becomes a gap when its turn comes.",
           _receivers(lambda r: r.gone_bytes)),
    _gauge("held_bytes", "bytes", _ER, "Bytes of deleted files of the log that are held open.",
           _receivers(lambda r: r.held_bytes)),
    _gauge("last_event_timestamp_seconds", "seconds", _ER,
           "Time of the newest event that was read.", _receivers(lambda r: r.last_event_at)),
    _gauge("in_flight_requests", "requests", _E,
           "Requests on their way, in back-off or set aside.",
           _exporter(lambda v: v.in_flight)),
    _gauge("waiting_requests", "requests", _E, "Requests in back-off.",
           _exporter(lambda v: v.waiting)),
    _gauge("stalled", "boolean", _E, "1 while nothing is sent at all.",
           _exporter(lambda v: int(bool(v.stalled)))),
    _gauge("last_acknowledgement_timestamp_seconds", "seconds", _E,
           "When the back end last accepted a request.",
           _exporter(lambda v: v.acknowledged_at or None)),
)
# what is about the process and not about an exporter, by name
_OF_THE_AGENT: Final[Mapping[str, Row]] = {
    "build_info": ("gauge", "1", ("version", "python"), "Always 1; what is running."),
    "ready": ("gauge", "boolean", (), "1 while events can flow, else 0: what /readyz answers."),
    "config_refused": ("gauge", "boolean", (),
         "1 while a changed configuration is refused and the one before runs on."),
    "apiserver_up": ("gauge", "boolean", (),
         "1 where the apiserver's own metrics could be read last time, else 0."),
    "apiserver_events_total": ("counter", "events", (), "Events that the apiserver counts itself."),
    "apiserver_errors_total": ("counter", "events", ("plugin",),
         "Events that the apiserver says it could not write."),
    "source_up": ("gauge", "boolean", ("source",),
         "1 while a webhook, Kafka or CloudWatch receiver has no trouble taking events."),
    "source_behind_seconds": ("gauge", "seconds", ("source",),
         "Time since Kafka or CloudWatch held nothing that was not on disk here."),
    "source_waiting_messages": ("gauge", "messages", ("source", "topic", "partition"),
         "Messages of a Kafka partition that are not on disk here."),
    "source_events_total": ("counter", "events", ("receiver", "outcome"),
         "Events that came: taken, repeated (known already) or refused (no room)."),
    "source_left_out_total": ("counter", "messages", ("source",),
         "Messages, or texts in them, that held no audit event."),
    "source_requests_total": ("counter", "requests", ("source", "code"),
         "Requests to a webhook by the status of their answer; `tls`: failed handshakes."),
    "spool_bytes": ("gauge", "bytes", ("receiver",), "Bytes of the spool on disk."),
    "spool_max_bytes": ("gauge", "bytes", ("receiver",), "Bytes at which the spool is full."),
    "spool_refuses": ("gauge", "boolean", ("receiver",), "1 while the spool takes nothing."),
    "spool_apiserver_buffer_at_risk": ("gauge", "boolean", ("receiver",),
         "1 where an apiserver's own buffer may have lost events in the last minute."),
}
PROCESS_METRICS: Final[Mapping[str, Row]] = {
    **{f"{PREFIX}{name}": row for name, row in _OF_THE_AGENT.items()},
    "process_cpu_seconds_total": ("counter", "seconds", (), "User and system CPU time."),
    "process_virtual_memory_bytes": ("gauge", "bytes", (), "Virtual memory."),
    "process_resident_memory_bytes": ("gauge", "bytes", (), "Resident memory."),
    "process_start_time_seconds": ("gauge", "seconds", (), "When the process began."),
    "process_open_fds": ("gauge", "descriptors", (), "Open file descriptors."),
    "process_max_fds": ("gauge", "descriptors", (), "The limit of open file descriptors."),
    "process_threads": ("gauge", "threads", (), "Threads of the process."),
}
# fmt: on


def table() -> list[tuple[str, str, str, str, str]]:
    """Return (name, type, unit, labels, meaning) of every metric that there is."""
    own = [(m.name, m.kind, m.unit, m.labels, m.help) for m in EXPORTER_METRICS]
    rest = [(name, *row) for name, row in PROCESS_METRICS.items()]
    return [
        (n, kind, unit, ", ".join(labels), help_) for n, kind, unit, labels, help_ in own + rest
    ]
