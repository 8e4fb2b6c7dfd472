"""Works out what targets that map alike would receive.

Records are those of the real encoder, requests those of the real batcher, and every request is
compressed: nothing about sizes is guessed.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from k8s_audit_otlp.event.policy import Policy
from k8s_audit_otlp.exporter.batcher import Batcher
from k8s_audit_otlp.model import AuditEvent, Block, EncodedBlock
from k8s_audit_otlp.otlp import wire
from k8s_audit_otlp.otlp.mapping import limiter_of
from k8s_audit_otlp.otlp.resource import export_request
from k8s_audit_otlp.tools.explain.heaviest import Heaviest
from k8s_audit_otlp.tools.explain.keys import Key
from k8s_audit_otlp.tools.explain.rules import (
    NO_POLICY,
    NO_RULE,
    OTHERS,
    UNREAD,
    RuleText,
    rule_texts,
)
from k8s_audit_otlp.tools.explain.targets import ExplainTarget
from k8s_audit_otlp.transport.compress import compressor

_OVERHEAD = 32  # tags and lengths of a request around its records


class SeenEvent(NamedTuple):
    """One event of a block; `event` is None where a line holds none."""

    event: AuditEvent | None
    key: Key
    size: int  # bytes in the log


@dataclass(slots=True)
class RuleCount:
    """What one rule decided about."""

    rule: RuleText
    events: int = 0
    dropped: int = 0
    lowered: int = 0
    log_bytes: int = 0
    sent_bytes: int = 0
    why: Counter[str] = field(default_factory=Counter)  # dropped by level, stage or code


class Outlet:
    """The requests of one target."""

    def __init__(self, target: ExplainTarget, resource: bytes, scope: bytes) -> None:
        self.target = target
        self.requests = self.events = self.request_bytes = self.wire_bytes = 0
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

    def _send(self) -> None:
        batch = self._batcher.take()
        if batch is None or not batch.records:
            return
        request = export_request(self._resource, self._scope, batch.records)
        self.requests += 1
        self.events += len(batch.records)
        self.request_bytes += len(request)
        self.wire_bytes += len(self._compress(request))


class View:
    """What a mapping makes of a log, and the requests of every target that has this mapping."""

    def __init__(self, targets: Sequence[ExplainTarget], resource: bytes, scope: bytes) -> None:
        mapping = targets[0].mapping
        self.mapping = mapping
        self.receivers = targets[0].receivers
        self.outlets = [Outlet(target, resource, scope) for target in targets]
        self.heaviest: Heaviest[Key] = Heaviest()
        self.redacted = 0
        self._encoder = mapping.encoder()
        self._policy: Policy | None = None
        texts = {NO_POLICY: OTHERS[NO_POLICY]}
        if mapping.policy:
            self._policy = Policy.parse(mapping.policy, mapping.policy_file)
            texts = rule_texts(self._policy, mapping.policy)
        rules = {**texts, NO_RULE: OTHERS[NO_RULE], UNREAD: OTHERS[UNREAD]}
        self._counts = {name: RuleCount(text) for name, text in rules.items()}
        key = mapping.options.prefix + "redacted"
        limiter = limiter_of(mapping.options)
        self._mark = wire.text(wire.KEY, limiter.name(key) if limiter else key)

    @property
    def rules(self) -> list[RuleCount]:
        """Return every rule of the policy, also those that nothing matched, and what else took."""
        others = (NO_RULE, UNREAD)
        return [c for name, c in self._counts.items() if c.events or name not in others]

    @property
    def shrunk(self) -> int:
        return self._encoder.shrunk

    def wants(self, receiver: str) -> bool:
        return not receiver or self.receivers is None or receiver in self.receivers

    def take(self, block: Block, seen: Sequence[SeenEvent]) -> None:
        """Treat a block; the records come in the order of the events that are kept."""
        encoded = self._encoder.encode_block(block)
        records = iter(encoded.records)
        mark, counts, add, policy = self._mark, self._counts, self.heaviest.add, self._policy
        unread, unasked = counts[UNREAD], counts.get(NO_POLICY, counts[UNREAD])
        for event, key, size in seen:
            count = unread if event is None else unasked
            if policy is not None and event is not None:
                decision = policy.decide(event)
                count = counts[decision.rule]
                if decision.omitted:
                    count.events += 1
                    count.dropped += 1
                    count.why[decision.why] += 1
                    count.log_bytes += size
                    add(key, size, None)
                    continue
                count.lowered += decision.level != event.level
            record = next(records, b"")
            self.redacted += mark in record
            count.events += 1
            count.log_bytes += size
            count.sent_bytes += len(record)
            add(key, size, len(record))
        for outlet in self.outlets:
            outlet.take(encoded)

    def flush(self) -> None:
        for outlet in self.outlets:
            outlet.flush()
