"""Explains what would become of one event, step by step; without its secrets."""

from dataclasses import dataclass, replace
from typing import Any

from k8s_audit_otlp.event.decode import UNREAD, ReadEvent, read_line
from k8s_audit_otlp.event.redact import Redactor
from k8s_audit_otlp.event.splice.line import rewritten
from k8s_audit_otlp.model import Block, ObjectRef, Span
from k8s_audit_otlp.otlp.mapping import limiter_of
from k8s_audit_otlp.tools.explain.keys import resource_of
from k8s_audit_otlp.tools.explain.rules import OTHERS, RuleText, rule_texts
from k8s_audit_otlp.tools.explain.targets import ExplainTarget, with_all_rules
from k8s_audit_otlp.transport.otlp_json import record_as_json

IDENTITY = "0" * 16  # of an event that lies in no log


@dataclass(frozen=True, slots=True)
class Facts:
    """Who did what, as it may be shown."""

    time: str
    user: str
    verb: str
    resource: str
    namespace: str
    name: str
    stage: str
    level: str
    code: int


@dataclass(frozen=True, slots=True)
class EventPolicy:
    """What the policy does: the rule, None without a policy, and the level that is left."""

    rule: RuleText | None = None
    action: str = "keeps"  # lowers, drops
    why: str = ""  # it drops it: level, stage, code
    level: str = ""
    omit_managed_fields: bool = False


@dataclass(frozen=True, slots=True)
class EventRedaction:
    """Rules that fired, and those that only this display applied: the exporter gets it."""

    rules: tuple[str, ...] = ()
    sent_though_hidden_here: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EventSize:
    """Bytes, and what shrinking has removed."""

    event_bytes: int
    record_bytes: int = 0
    max_record_bytes: int = 0
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Explained:
    """What would become of one event, as --json says it."""

    event: Facts
    fault: str  # what could not be read
    policy: EventPolicy
    redaction: EventRedaction
    size: EventSize
    record: dict[str, Any] | None = None  # OTLP JSON; None when it is dropped


def lines_of(text: bytes) -> list[bytes]:
    """Read what a person gives: lines of a log, or one event spread over many lines."""
    lines = [line for line in text.split(b"\n") if read_line(line)]
    apart = [read for line in lines for read in read_line(line)]
    if not any(read.is_unread for read in apart):
        return lines
    joined = text.replace(b"\r", b" ").replace(b"\n", b" ").strip()  # no JSON text has raw ones
    unread = sum(read.is_unread for read in read_line(joined))
    return [joined] if unread < sum(read.is_unread for read in apart) else lines


class Explainer:
    def __init__(self, target: ExplainTarget, file_name: str, now_ns: int) -> None:
        mapping = target.mapping
        self._file_name, self._now_ns = file_name, now_ns
        self._limit = mapping.max_record_bytes
        self._policy = mapping.parsed_policy()
        self._rules = {**OTHERS, **rule_texts(self._policy, mapping.policy)}
        safe = with_all_rules(mapping)
        self._encoder, self._safe_encoder = mapping.encoder(), safe.encoder()
        self._redact = Redactor(safe.rules)
        limiter = limiter_of(mapping.options)
        names = [mapping.options.prefix + name for name in ("redacted", "truncation.removed")]
        self._redacted, self._removed = [limiter.name(n) if limiter else n for n in names]

    def explain(self, line: bytes) -> list[Explained]:
        """Say what becomes of each event of a line; records come in the order of the kept ones."""
        block = Block(
            Span(0, 0, len(line) + 1), IDENTITY, self._file_name, line + b"\n", self._now_ns
        )
        sent = iter(self._encoder.encode_block(block).records)
        shown = iter(self._safe_encoder.encode_block(block).records)
        found = []
        for read in read_line(line):
            removed, policy = UNREAD.fullmatch(read.body), self._decided(read)
            size = EventSize(int(removed[1]) if removed else len(read.body), 0, self._limit)
            plain = Explained(self._facts(read), read.fault, policy, EventRedaction(), size)
            dropped = policy.action == "drops"
            found.append(plain if dropped else self._kept(plain, next(sent), next(shown)))
        return found

    def _decided(self, read: ReadEvent) -> EventPolicy:
        if read.is_unread or self._policy is None:
            return EventPolicy(level=read.event.level)
        decision = self._policy.decide(read.event)
        rule = self._rules[decision.rule]
        if decision.omitted:
            return EventPolicy(rule, "drops", decision.why)
        action = "keeps" if decision.level == read.event.level else "lowers"
        return EventPolicy(rule, action, "", decision.level, decision.omit_managed_fields)

    def _facts(self, read: ReadEvent) -> Facts:
        event = read.event
        if not read.is_unread:
            event = self._redact(event, rewritten(event)).event
        ref = event.object_ref or ObjectRef()
        return Facts(
            event.stage_timestamp or event.request_received_timestamp or event.timestamp or "",
            event.user.username if event.user else "",
            event.verb,
            resource_of(event),
            ref.namespace,
            ref.name,
            event.stage,
            event.level,
            event.response_status.code if event.response_status else 0,
        )

    def _kept(self, plain: Explained, sent: bytes, shown: bytes) -> Explained:
        record, safe = record_as_json(sent), record_as_json(shown)
        fired = _texts(record, self._redacted)
        hidden = tuple(r for r in _texts(safe, self._redacted) if r not in fired)
        size = replace(plain.size, record_bytes=len(sent), removed=_texts(record, self._removed))
        return replace(plain, redaction=EventRedaction(fired, hidden), size=size, record=safe)


def value_of(value: dict[str, Any]) -> Any:
    """Read an OTLP JSON value as plain text, number or list."""
    if "arrayValue" in value:
        return [value_of(each) for each in value["arrayValue"].get("values", ())]
    return int(value["intValue"]) if "intValue" in value else next(iter(value.values()), "")


def _texts(record: dict[str, Any], key: str) -> tuple[str, ...]:
    for pair in record.get("attributes", ()):
        if pair["key"] == key:
            found = value_of(pair["value"])
            return tuple(found) if isinstance(found, list) else (str(found),)
    return ()
