"""Explains what would become of one event, step by step; without its secrets."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from k8s_audit_otlp.event.decode import ReadEvent, read_line
from k8s_audit_otlp.event.policy import Policy
from k8s_audit_otlp.event.redact import Redactor
from k8s_audit_otlp.event.splice.line import rewritten
from k8s_audit_otlp.model import Block, ObjectRef, Span
from k8s_audit_otlp.otlp.mapping import limiter_of
from k8s_audit_otlp.tools.explain.keys import resource_of
from k8s_audit_otlp.tools.explain.rules import OTHERS, RuleText, rule_texts
from k8s_audit_otlp.tools.explain.targets import ExplainTarget, with_all_rules
from k8s_audit_otlp.transport.otlp_json import record_as_json

IDENTITY = "0" * 16  # of an event that lies in no log


class Facts(NamedTuple):
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
class EventPreview:
    """What the policy says: the rule, whether anything is left, and at which level."""

    rule: RuleText | None = None  # None without a policy
    dropped: str = ""  # why: level, stage, code
    level: str = ""  # that is left
    omit_managed_fields: bool = False


@dataclass(frozen=True, slots=True)
class Explained:
    """What would become of one event; `record` is None when it is dropped."""

    facts: Facts
    fault: str  # what could not be read
    verdict: EventPreview
    redacted: tuple[str, ...] = ()  # rules that fired
    hidden: tuple[str, ...] = ()  # rules that only this display applied: the exporter gets it
    event_bytes: int = 0
    record_bytes: int = 0
    max_record_bytes: int = 0
    removed: tuple[str, ...] = ()  # by shrinking
    record: dict[str, Any] | None = None  # OTLP JSON

    def as_json(self) -> dict[str, Any]:
        rule = self.verdict.rule
        return {
            "event": self.facts._asdict(),
            "fault": self.fault,
            "policy": {
                "rule": rule._asdict() if rule else None,
                "action": self.action,
                "why": self.verdict.dropped,
                "level": self.verdict.level,
                "omit_managed_fields": self.verdict.omit_managed_fields,
            },
            "redaction": {"rules": self.redacted, "sent_though_hidden_here": self.hidden},
            "size": {
                "event_bytes": self.event_bytes,
                "record_bytes": self.record_bytes,
                "max_record_bytes": self.max_record_bytes,
                "removed": self.removed,
            },
            "record": self.record,
        }

    @property
    def action(self) -> str:
        if self.verdict.dropped:
            return "drops"
        return "lowers" if self.verdict.level != self.facts.level else "keeps"


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
        self._policy: Policy | None = None
        self._rules = OTHERS
        if mapping.policy:
            self._policy = Policy.parse(mapping.policy, mapping.policy_file)
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
            verdict = self._verdict(read)
            plain = Explained(
                self._facts(read),
                read.fault,
                verdict,
                event_bytes=len(read.body),
                max_record_bytes=self._limit,
            )
            found.append(plain if verdict.dropped else self._kept(plain, next(sent), next(shown)))
        return found

    def _verdict(self, read: ReadEvent) -> EventPreview:
        if read.is_unread or self._policy is None:
            return EventPreview(level=read.event.level)
        decision = self._policy.decide(read.event)
        rule = self._rules[decision.rule]
        if decision.omitted:
            return EventPreview(rule, decision.why)
        return EventPreview(rule, "", decision.level, decision.omit_managed_fields)

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
        return replace(
            plain,
            redacted=fired,
            hidden=tuple(r for r in _texts(safe, self._redacted) if r not in fired),
            record_bytes=len(sent),
            removed=_texts(record, self._removed),
            record=safe,
        )


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
