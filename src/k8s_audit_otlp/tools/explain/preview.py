"""Goes through a log and makes the report that a person wants before paying for it.

Memory: one block, the requests that are being filled, and a table with a bound (`heaviest`).
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from k8s_audit_otlp.event.decode import REFUSED, ReadEvent, decode, read_line
from k8s_audit_otlp.event.redact import Redactor
from k8s_audit_otlp.event.times import unix_ns
from k8s_audit_otlp.exporter.batcher import Batcher
from k8s_audit_otlp.model import AuditEvent, Block, EncodedBlock
from k8s_audit_otlp.otlp import wire
from k8s_audit_otlp.otlp.event_record import event_time
from k8s_audit_otlp.otlp.mapping import limiter_of
from k8s_audit_otlp.otlp.resource import export_request
from k8s_audit_otlp.tools.explain.keys import NOT_AN_EVENT, Key, key_of, shown
from k8s_audit_otlp.tools.explain.report import (
    ExporterRow,
    LogReport,
    NoisyRow,
    RuleRow,
    ViewReport,
)
from k8s_audit_otlp.tools.explain.rules import NO_POLICY, NO_RULE, OTHERS, UNREAD, rule_texts
from k8s_audit_otlp.tools.explain.targets import ExplainTarget, with_all_rules
from k8s_audit_otlp.tools.heaviest import Heaviest
from k8s_audit_otlp.tools.text import rfc3339
from k8s_audit_otlp.transport.compress import compressor

TOP = 10
_OVERHEAD = 32  # tags and lengths of a request around its records


class SeenEvent(NamedTuple):
    """One event of a block; `event` is None where a line holds none."""

    event: AuditEvent | None
    key: Key
    size: int  # bytes in the log


class RequestPreview:
    """The requests of one target."""

    def __init__(self, target: ExplainTarget, resource: bytes, scope: bytes) -> None:
        self._target = target
        self._requests = self._events = self._request_bytes = self._wire_bytes = 0
        self._resource, self._scope = resource, scope
        overhead = len(resource) + len(scope) + _OVERHEAD
        self._batcher = Batcher("", target.limits, overhead=overhead)
        self._compress = compressor(target.compression, target.level)
        self._next = (-1, -1)

    def take(self, encoded: EncodedBlock) -> None:
        span = encoded.span
        if (span.segment, span.start) != self._next:
            self.flush()  # another file, or a block that was left out
        self._next = span.segment, span.end
        self._batcher.add(encoded)
        while self._batcher.full:
            self._send()

    def flush(self) -> None:
        while not self._batcher.empty:
            self._send()

    def report(self) -> ExporterRow:
        self.flush()
        target = self._target
        return ExporterRow(
            target.name,
            target.form,
            target.compression,
            self._requests,
            self._events,
            self._request_bytes,
            self._wire_bytes if target.measured else None,
            target.max_age_s,
        )

    def _send(self) -> None:
        batch = self._batcher.take()
        if batch is None or not batch.records:
            return
        request = export_request(self._resource, self._scope, batch.records)
        self._requests += 1
        self._events += len(batch.records)
        self._request_bytes += len(request)
        self._wire_bytes += len(self._compress(request))


class View:
    """What a mapping makes of a log, and the requests of every target that has this mapping."""

    def __init__(self, targets: Sequence[ExplainTarget], resource: bytes, scope: bytes) -> None:
        mapping = targets[0].mapping
        self._mapping = mapping
        self._receivers = targets[0].receivers
        self._outlets = [RequestPreview(target, resource, scope) for target in targets]
        self._heaviest: Heaviest[Key] = Heaviest()
        self._redacted = 0
        self._encoder = mapping.encoder()
        self._policy = mapping.parsed_policy()
        texts = rule_texts(self._policy, mapping.policy) or {NO_POLICY: OTHERS[NO_POLICY]}
        rules = {**texts, NO_RULE: OTHERS[NO_RULE], UNREAD: OTHERS[UNREAD]}
        self._rows = {
            name: RuleRow(rule.name, rule.line, rule.level, rule.text)
            for name, rule in rules.items()
        }
        key = mapping.options.prefix + "redacted"
        limiter = limiter_of(mapping.options)
        self._mark = wire.text(wire.KEY, limiter.name(key) if limiter else key)

    def wants(self, receiver: str) -> bool:
        return not receiver or self._receivers is None or receiver in self._receivers

    def take(self, block: Block, seen: Sequence[SeenEvent]) -> None:
        """Treat a block; the records come in the order of the events that are kept."""
        encoded = self._encoder.encode_block(block)
        records = iter(encoded.records)
        mark, rows, add, policy = self._mark, self._rows, self._heaviest.add, self._policy
        unread, unasked = rows[UNREAD], rows.get(NO_POLICY, rows[UNREAD])
        for event, key, size in seen:
            row = unread if event is None else unasked
            if policy is not None and event is not None:
                decision = policy.decide(event)
                row = rows[decision.rule]
                if decision.omitted:
                    row.events += 1
                    row.dropped += 1
                    row.why_dropped[decision.why] = row.why_dropped.get(decision.why, 0) + 1
                    row.log_bytes += size
                    add(key, size, None)
                    continue
                row.lowered += decision.level != event.level
            record = next(records, b"")
            self._redacted += mark in record
            row.events += 1
            row.log_bytes += size
            row.sent_bytes += len(record)
            add(key, size, len(record))
        for outlet in self._outlets:
            outlet.take(encoded)

    def report(self) -> ViewReport:
        """Say what came of everything; call it once, at the end."""
        mapping, redactor = self._mapping, Redactor(with_all_rules(self._mapping).rules)
        rows = [r for name, r in self._rows.items() if r.events or name not in (NO_RULE, UNREAD)]
        heaviest = self._heaviest
        return ViewReport(
            tuple(outlet.report() for outlet in self._outlets),
            mapping.policy_file if mapping.policy else "",
            mapping.bodies,
            mapping.max_record_bytes,
            tuple(rows),
            tuple(NoisyRow(*shown(key, redactor), *sums) for key, sums in heaviest.top(TOP)),
            heaviest.error,
            sum(row.events for row in rows),
            sum(row.dropped for row in rows),
            self._redacted,
            self._encoder.shrunk,
            sum(row.sent_bytes for row in rows),
        )


_LENGTH = 27  # of a time as kube-apiserver writes it


class Preview:
    """Takes in a log block by block; `report` says what would become of it."""

    def __init__(self, targets: Sequence[ExplainTarget], resource: bytes, scope: bytes) -> None:
        """*resource*, *scope*: the fields of a request before its records, as they are sent."""
        self._views = [View(alike, resource, scope) for alike in _alike(targets)]
        self._bytes = self._events = 0
        self._first = self._last = ""  # texts of one form, so they compare

    def take(self, receiver: str, block: Block) -> None:
        self._bytes += block.span.end - block.span.start
        seen = [one for line in block.data.split(b"\n") for one in _events(line)]
        self._events += len(seen)
        for one in seen:
            self._reach(one.event)
        for view in self._views:
            if view.wants(receiver):
                view.take(block, seen)

    def _reach(self, event: AuditEvent | None) -> None:
        if event is None:
            return
        text = event.stage_timestamp
        if text is None or len(text) != _LENGTH or text[-1] != "Z":
            if not (time := event_time(event)):
                return
            text = rfc3339(time, 6)
        self._first = min(self._first or text, text)
        self._last = max(self._last, text)

    def report(self, logs: Sequence[str], damage: Sequence[str] = ()) -> LogReport:
        views = tuple(view.report() for view in self._views)
        seconds = ((unix_ns(self._last) or 0) - (unix_ns(self._first) or 0)) / 1e9
        times = self._first, self._last, seconds
        return LogReport(tuple(logs), tuple(damage), self._bytes, self._events, *times, views)


def _alike(targets: Sequence[ExplainTarget]) -> Iterable[list[ExplainTarget]]:
    """Group what maps alike and reads the same logs."""
    groups: dict[object, list[ExplainTarget]] = {}
    for target in targets:
        groups.setdefault((target.mapping, target.receivers), []).append(target)
    return groups.values()


def _events(line: bytes) -> list[SeenEvent]:
    """Read a line as the encoder does."""
    if not line:
        return []
    try:
        event = decode(line)
        if event.kind == "Event":
            return [SeenEvent(event, key_of(event), len(line) + 1)]
    except REFUSED:
        pass
    return [_seen(read) for read in read_line(line)]


def _seen(read: ReadEvent) -> SeenEvent:
    size = len(read.body) + 1
    if read.is_unread:
        return SeenEvent(None, NOT_AN_EVENT, size)
    return SeenEvent(read.event, key_of(read.event), size)
