"""Applies an audit policy to an event: what is left of it, or the rule that drops it.

    match policy.apply(event, line):
        case Kept(event, line): ...
        case Dropped(rule): ...

A policy can only take away: what kube-apiserver did not write cannot be asked for here.
"""

import re
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from k8s_audit_otlp.event.policy_rules import LEVELS, Attributes, PolicyRule, attributes_of
from k8s_audit_otlp.event.splice.line import (
    AmbiguousError,
    body_slots,
    drop_bodies,
    drop_body,
    frame_of,
    rewritten,
)
from k8s_audit_otlp.event.splice.tokens import (
    UnreadableError,
    end_of,
    join,
    keys_inside,
    members,
    split,
    without_members,
)
from k8s_audit_otlp.event.stages import Dropped
from k8s_audit_otlp.model import EMPTY, AuditEvent

_RANK = {level: rank for rank, level in enumerate(LEVELS)}
_MAX_DECISIONS = 8192  # remembered (request attributes -> rule); clients choose the attributes
_LEVEL = re.compile(rb'"level"\s*:\s*"(?:Metadata|Request|RequestResponse)"')
# Annotations that upstream writes from level Request on: admission/plugin/webhook/mutating.
_REQUEST_ANNOTATIONS = "patch.webhook.admission.k8s.io/"


class PolicyDecision(NamedTuple):
    """Which rule decides, the level it leaves, and why nothing is left if `omitted`."""

    rule: str
    level: str
    omitted: bool = False
    why: str = ""  # of an omission: level, stage or code
    omit_managed_fields: bool = False


class Kept(NamedTuple):
    event: AuditEvent
    line: bytes


@dataclass(frozen=True, slots=True)
class Policy:
    rules: tuple[PolicyRule, ...]
    omit_stages: frozenset[str] = frozenset()
    omit_codes: frozenset[int] = frozenset()
    omit_managed_fields: bool = False
    _remembered: dict[Attributes, int] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def decide(self, event: AuditEvent) -> PolicyDecision:
        """Decide as upstream does: the first rule that matches; nothing matches means None."""
        place = self._first_match(attributes_of(event))
        rule = self.rules[place] if place >= 0 else PolicyRule("None")
        name = f"rule {place + 1}" if place >= 0 else "no rule"
        level = min(rule.level, event.level, key=lambda level: _RANK.get(level, len(LEVELS)))
        why = self._why_omitted(rule, event)
        managed = rule.omit_managed_fields
        if managed is None:
            managed = self.omit_managed_fields
        return PolicyDecision(name, level, bool(why), why, managed)

    def _first_match(self, request: Attributes) -> int:
        place = self._remembered.get(request)
        if place is None:
            place = next((i for i, rule in enumerate(self.rules) if rule.matches(request)), -1)
            if len(self._remembered) >= _MAX_DECISIONS:
                self._remembered.clear()
            self._remembered[request] = place
        return place

    def _why_omitted(self, rule: PolicyRule, event: AuditEvent) -> str:
        if rule.level == "None":
            return "level"
        if event.stage in rule.omit_stages or event.stage in self.omit_stages:
            return "stage"
        code = event.response_status.code if event.response_status else 0
        if code and (code in rule.omit_codes or code in self.omit_codes):
            return "code"
        return ""

    def apply(self, event: AuditEvent, line: bytes) -> Kept | Dropped:
        """Leave of the event what the policy leaves; bytes that stay are kube-apiserver's own."""
        decision = self.decide(event)
        if decision.omitted:
            suffix = "" if decision.why == "level" else f" {decision.why}"
            return Dropped(decision.rule + suffix)
        if decision.level != event.level:
            event, line = lowered(event, line, decision.level)
        if decision.omit_managed_fields:
            event, line = without_managed_fields(event, line)
        return Kept(event, line)


def lowered(event: AuditEvent, line: bytes, level: str) -> tuple[AuditEvent, bytes]:
    """Take away what upstream would not have written at the level."""
    if level == "Metadata":
        event, line = drop_bodies(event, line)
        event, line = _without_patches(event, line)
    else:
        event, line = drop_body(event, line, "response_object")
    event = msgspec.structs.replace(event, level=level)
    new, found = _LEVEL.subn(b'"level":"' + level.encode() + b'"', line, count=1)
    return event, new if found else rewritten(event)


def _without_patches(event: AuditEvent, line: bytes) -> tuple[AuditEvent, bytes]:
    names = event.annotations or {}
    kept = {k: v for k, v in names.items() if not k.startswith(_REQUEST_ANNOTATIONS)}
    if len(kept) == len(names):
        return event, line
    event = msgspec.structs.replace(event, annotations=kept or None)
    try:
        pieces = split(line)
        key = next(k for k in _top_level(pieces) if pieces[k] == b"annotations")
        patches = [
            member
            for member in members(pieces, key, end_of(pieces, key))
            if pieces[member].startswith(_REQUEST_ANNOTATIONS.encode())
        ]
        line = join(without_members(pieces, patches if kept else [key]))
    except (UnreadableError, LookupError, StopIteration):
        return event, rewritten(event)
    return event, line


def _top_level(pieces: list[bytes]) -> list[int]:
    keys, key = [], 1
    while key < len(pieces) - 1:
        keys.append(key)
        key = end_of(pieces, key)
    return keys


def without_managed_fields(event: AuditEvent, line: bytes) -> tuple[AuditEvent, bytes]:
    """Take metadata.managedFields out of the bodies; upstream leaves a patch as it was sent."""
    bodies = {}
    for name in ("request_object", "response_object"):
        raw = getattr(event, name)
        if raw is EMPTY or (name == "request_object" and event.verb == "patch"):
            continue
        body = bytes(raw)
        new = body_without(body, b"managedFields", inside=b"metadata")
        if new is not body:
            bodies[name] = new
    return with_bodies(event, line, bodies) if bodies else (event, line)


def with_bodies(
    event: AuditEvent, line: bytes, bodies: dict[str, bytes]
) -> tuple[AuditEvent, bytes]:
    """Put other bodies in the place of the event's, in the line too."""
    changed = msgspec.structs.replace(event, **{f: msgspec.Raw(b) for f, b in bodies.items()})
    try:
        slots = body_slots(event, line)
        frame_of(line, slots)
    except AmbiguousError:
        return changed, rewritten(changed)
    for slot in reversed(slots):
        if slot.field in bodies:
            line = line[: slot.start] + bodies[slot.field] + line[slot.end :]
    return changed, line


def body_without(body: bytes, name: bytes, *, inside: bytes) -> bytes:
    """Remove every member `name` of an object that is the value of `inside`."""
    if b'"' + name + b'":' not in body:
        return body
    try:
        pieces = split(body)
        keys = keys_inside(pieces, inside, name)
        return join(without_members(pieces, keys)) if keys else body
    except (UnreadableError, LookupError):
        return body
