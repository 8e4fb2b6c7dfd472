"""Shows what would become of an event as lines for a terminal."""

import json
from collections.abc import Iterator
from typing import Any

from k8s_audit_otlp.event.redact import RULES
from k8s_audit_otlp.tools.explain.event import EventSize, Explained, value_of
from k8s_audit_otlp.tools.text import number, printable, rfc3339

_MOST_VALUE = 400  # characters of one attribute
_LONGEST_BODY = 4 << 20  # characters that are laid out
_MOST_BODY_LINES = 400


def lines_of_event(found: Explained, target: str, policy: str) -> Iterator[str]:
    """Yield who did what, then what each station makes of it."""
    facts = found.event
    where = "/".join(filter(None, (facts.namespace, facts.name)))
    parts = (facts.verb, facts.resource, where, f"by {facts.user}" if facts.user else "")
    what = " ".join(printable(part) for part in parts if part)
    end = f"{facts.stage} {facts.code}" if facts.code else facts.stage
    yield f"event      {what or 'not an event'}"
    level = f"logged at level {facts.level}" if facts.level else ""
    yield f"           {', '.join(printable(part) for part in (facts.time, end, level) if part)}"
    if found.fault:
        yield f"           not understood: {printable(found.fault)}"
    yield f"for        {printable(target)}"
    yield from _labelled("policy", _policy(found, policy))
    if found.record is None:
        yield "record     none is sent"
        return
    yield from _labelled("redaction", _redaction(found))
    yield from _labelled("size", [_size(found.size)])
    yield from _labelled("record", _record(found.record))


def _labelled(label: str, lines: Iterator[str] | list[str]) -> Iterator[str]:
    for line in lines:
        yield f"{label:<11}{line}"
        label = ""


def _policy(found: Explained, policy: str) -> Iterator[str]:
    decided = found.policy
    if decided.rule is None:
        yield "none: the event is kept as it was logged"
        return
    rule = decided.rule
    place = f"{printable(policy)}:{rule.line}: " if rule.line else f"{printable(policy)}: "
    name = f"{rule.name} ({rule.level})" if rule.line else rule.name
    why = {"stage": ", by the stage", "code": ", by the response code"}.get(decided.why, "")
    lowers = decided.action == "lowers"
    to = f" it from {found.event.level} to {decided.level}" if lowers else " it"
    yield f"{place}{name} {decided.action}{to}{why}"
    yield f"  {printable(rule.text, 1000)}"
    if decided.omit_managed_fields:
        yield "  managedFields are left out"


def _redaction(found: Explained) -> Iterator[str]:
    if not found.redaction.rules:
        yield "nothing to redact"
    for name in found.redaction.rules:
        yield f"{name}: {RULES.get(name, 'a rule of the configuration')}"
    if hidden := ", ".join(found.redaction.sent_though_hidden_here):
        yield (
            f"THE EXPORTER GETS MORE than is shown here: {hidden} hid something in this display, "
            "and is off in the configuration"
        )


def _size(size: EventSize) -> str:
    text = f"{number(size.event_bytes)} bytes in the log, {number(size.record_bytes)} as a record"
    if not size.max_record_bytes:
        return f"{text}; no limit (max_record_bytes)"
    limit = f"of at most {number(size.max_record_bytes)}"
    if not size.removed:
        return f"{text} {limit}; nothing has to go"
    return f"{text} {limit}, without {', '.join(size.removed)}"


def _record(record: dict[str, Any]) -> Iterator[str]:
    for name in ("timeUnixNano", "observedTimeUnixNano"):
        if name in record:
            yield f"{name:<21} {record[name]} ({rfc3339(int(record[name]))})"
    severity = f"{record.get('severityText')} ({record.get('severityNumber')})"
    yield f"{'severity':<21} {severity}"
    yield f"{'eventName':<21} {record.get('eventName', '')}"
    yield "attributes (log.record.uid and log.file.* name the place in a log)"
    pairs = [(each["key"], value_of(each["value"])) for each in record.get("attributes", ())]
    width = min(40, max((len(key) for key, _ in pairs), default=0))
    for key, value in pairs:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        yield f"  {printable(key):<{width}} {printable(text, _MOST_VALUE)}"
    yield "body (a string of JSON, laid out here)"
    yield from _body(value_of(record.get("body", {})))


def _body(text: str) -> Iterator[str]:
    if len(text) > _LONGEST_BODY:
        yield f"  {printable(text, 4000)}"
        return
    try:
        laid_out = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        yield f"  {printable(text, 4000)}"
        return
    lines = laid_out.split("\n")
    yield from (f"  {printable(line, 1000)}" for line in lines[:_MOST_BODY_LINES])
    if len(lines) > _MOST_BODY_LINES:
        yield f"  … {number(len(lines) - _MOST_BODY_LINES)} more lines; --json shows all"
