"""Replaces the secrets of an event and of its line, and tells which rules fired.

    redact = Redactor(RedactionRules())
    event, line, fired = redact(event, line)

Bytes outside redacted values stay kube-apiserver's own. What cannot be followed is removed.
"""

import re
from dataclasses import replace
from typing import NamedTuple

import msgspec

from k8s_audit_otlp.event.decode import leave_out_wide_code
from k8s_audit_otlp.event.redact.body import BodyRedactor
from k8s_audit_otlp.event.redact.clean_parts import CleanParts
from k8s_audit_otlp.event.redact.context import (
    BodyContext,
    Findings,
    context_of_event,
    refers_once,
    worst_of,
)
from k8s_audit_otlp.event.redact.outside_bodies import OutsideBodies
from k8s_audit_otlp.event.redact.rules import BODIES as BODIES_DROPPED
from k8s_audit_otlp.event.redact.rules import UNREADABLE, RedactionRules
from k8s_audit_otlp.event.redact.strings import compacted
from k8s_audit_otlp.event.secrets.replacement import Replacement
from k8s_audit_otlp.event.secrets.text import clean_message
from k8s_audit_otlp.event.splice import lists
from k8s_audit_otlp.event.splice.line import (
    NEEDLES,
    PLACE_OF_BODY,
    AmbiguousError,
    Slot,
    body_slots,
    drop_bodies,
    frame_of,
    members_as_written,
    rewritten,
)
from k8s_audit_otlp.event.splice.tokens import UnreadableError, written
from k8s_audit_otlp.model import EMPTY, AuditEvent

_decode = msgspec.json.Decoder(AuditEvent).decode
_LIST_KINDS = {b'"SecretList"': "secret", b'"ConfigMapList"': "configmap"}
_BODY_IN_TEXT = re.compile(r"\"(?:requestObject|responseObject|data|stringData)\"\s*:.*", re.DOTALL)
_LEGACY_NAMES = re.compile(r"(\b(?:user|as)=\")((?!system:|<)[^\"]+)(?=\")")
_LEGACY_ADDRESS = re.compile(r"(\bip=\")([^\"<]+)(?=\")")


class Redacted(NamedTuple):
    event: AuditEvent
    line: bytes
    fired: tuple[str, ...] = ()


class _Parts(NamedTuple):
    """A line taken apart: where its bodies lie, and what stands around them."""

    line: bytes
    slots: list[Slot]
    frame: bytes


class Redactor:
    """Pure apart from remembering verdicts; one for each exporter's rules."""

    def __init__(self, rules: RedactionRules | None = None) -> None:
        self.rules = rules or RedactionRules()
        replacement = Replacement(self.rules.key if self.rules.replace_with == "hmac" else None)
        self._replacement = replacement
        self._bodies = BodyRedactor(self.rules, replacement)
        self._outside = OutsideBodies(self.rules, replacement, self._bodies)

    def clean_parts(self, key: str) -> CleanParts | None:
        """Return verdicts part by part; None where the rules must see every event whole.

        *key* is the attribute that tells which rules fired.
        """
        if self._outside.always:
            return None
        return CleanParts(self._outside, self._unread_body, self._bodies.stays, key)

    def __call__(self, event: AuditEvent, line: bytes) -> Redacted:
        members = members_as_written(line)
        if members is None or _read(line) is None or not refers_once(members):
            return self._strange(event, line)
        return self._redacted(event, line, self._outside.changing(members))

    def _strange(self, event: AuditEvent, line: bytes) -> Redacted:
        """Redact a line that kube-apiserver did not write so: by every name in it, then as usual.

        It may have blanks, members that repeat, members of other types or of names nobody knows.
        """
        found = Findings(context_of_event(event), event)
        try:
            compact = compacted(line)
            members = members_as_written(compact)
            if members is None or not refers_once(members):
                found.context = worst_of(compact, found.context)
            whole = self._bodies(compact, found.about(replace(found.context, event=True)))
        except (UnreadableError, LookupError):
            whole = rewritten(event)
            found.fired.add(UNREADABLE)
        if not found.fired and whole == compact and (read := _read(whole)) is not None:
            redacted = self._redacted(read, whole, None, found.context)
            if redacted.line != whole:  # it holds a body twice, of which one was looked at
                return redacted._replace(fired=redacted.fired or (UNREADABLE,))
            return Redacted(event, line)
        read = _read(whole) or event
        redacted = self._redacted(read, whole, None, found.context)
        return redacted._replace(fired=tuple(sorted({*redacted.fired, *found.fired})))

    def _redacted(
        self,
        event: AuditEvent,
        line: bytes,
        changing: list[bytes] | None,
        context: BodyContext | None = None,
    ) -> Redacted:
        """Redact an event; *changing*: its members outside its bodies that do, if that is known."""
        found = Findings(context or context_of_event(event), event)
        clean = changing == []
        if found.context.kind and not clean:
            changing = None  # JSON in a text is judged by what the event is about
        if event.request_object is EMPTY and event.response_object is EMPTY:
            if clean:
                return Redacted(event, line)
            return self._whole(event, _Parts(line, [], line), {}, found, changing)
        bodies, once = {}, True
        if event.request_object is not EMPTY:
            bodies["request_object"] = self._body(bytes(event.request_object), found)
            once = line.count(NEEDLES["request_object"]) == 1
        if event.response_object is not EMPTY:
            bodies["response_object"] = self._body(bytes(event.response_object), found)
            once = once and line.count(NEEDLES["response_object"]) == 1
        if found.redacted_values and "response_object" in bodies:
            bodies["response_object"] = self._echoes(bodies["response_object"], found)
        if once and not found.fired and clean:
            return Redacted(event, line)
        parts = _parts(event, line)
        if self._outside.repeats(event, found):
            changing = None
        elif clean and not found.fired:
            return Redacted(event, parts.line)
        return self._whole(event, parts, bodies, found, changing)

    def _whole(
        self,
        event: AuditEvent,
        parts: _Parts,
        bodies: dict[str, bytes],
        found: Findings,
        changing: list[bytes] | None,
    ) -> Redacted:
        line, slots, frame = parts
        clean, new_event = changing == [], event
        try:
            new_frame = frame if clean else self._outside.frame(frame, found, changing)
            new_line = _assembled(line, slots, frame, new_frame, bodies)
        except (UnreadableError, LookupError):
            clean, new_event = True, self._anew(event, found)
            new_frame = rewritten(_without_bodies(new_event, slots))
            new_line = _assembled(line, slots, frame, new_frame, bodies)
        if clean:
            new_event = _with_bodies(new_event, bodies)
        elif _reads_as(line, event) and (read := _read(new_line)):
            new_event = read
        else:
            new_event = _with_bodies(self._anew(event, found), bodies)
        if slots and self.rules.bodies == "drop":
            new_event, new_line = drop_bodies(new_event, new_line)
            found.fired.add(BODIES_DROPPED)
        return Redacted(new_event, new_line, tuple(sorted(found.fired)))

    def _anew(self, event: AuditEvent, found: Findings) -> AuditEvent:
        """Redact what was understood of a line, where the line itself says something else."""
        bare = msgspec.structs.replace(event, request_object=EMPTY, response_object=EMPTY)
        return _decode(self._outside.frame(rewritten(bare), found))

    def _unread_body(self, body: bytes, found: Findings) -> bytes:
        """Redact a body that nothing has read yet; raises a msgspec error for what is no JSON."""
        parts = lists.parts_of_large(body)
        if parts is None:  # a list was read to be taken apart
            lists.check_json(body)
        return self._read_body(body, found, parts)

    def _body(self, body: bytes, found: Findings) -> bytes:
        if self.rules.bodies == "drop":
            found.fired.add(BODIES_DROPPED)
            return body
        return self._read_body(body, found, lists.parts_of_large(body))

    def _read_body(self, body: bytes, found: Findings, parts: lists.Parts | None) -> bytes:
        try:
            if parts is None:
                return self._bodies(body, found)
            for kind, rule in _LIST_KINDS.items():
                if kind in parts.frame:
                    found = found.about(BodyContext(found.context.resource, rule))
            frame = self._bodies(parts.frame, found)
            return lists.rewritten(body, parts, frame, lambda item: self._bodies(item, found))
        except (UnreadableError, LookupError):
            found.fired.add(UNREADABLE)
            return b'"[removed, %d bytes that could not be followed]"' % len(body)

    def _echoes(self, body: bytes, found: Findings) -> bytes:
        """Take what was redacted out of an answer that repeats it: a webhook's denial."""
        if b'"Status"' not in body or "text" in self.rules.off:
            return body
        for echo in found.echoed_in_body(body):
            new = written(self._replacement(echo))
            body = body.replace(written(echo).encode(), new.encode())
            found.fired.add("text")
        return body

    def redact_text(self, text: str) -> tuple[str, tuple[str, ...]]:
        """Redact a line that is no JSON event: the legacy format, or what is left of a torn one."""
        found = Findings(BodyContext())
        new = _BODY_IN_TEXT.sub('"[removed]', text)
        if new != text:
            found.fired.add(UNREADABLE)
        new = self._outside.uri(new, found)
        if "text" not in self.rules.off:
            uri, new = new, clean_message(new, self._replacement)
            if new != uri:
                found.fired.add("text")
        for name, pattern in (("users", _LEGACY_NAMES), ("addresses", _LEGACY_ADDRESS)):
            if name in self.rules.pseudonymise:
                pseudonym = Replacement(self.rules.key)
                new = pattern.sub(lambda m, p=pseudonym: m[1] + p(m[2]), new)  # type: ignore[misc]
                found.fired.add(name)
        return new, tuple(sorted(found.fired))


def _parts(event: AuditEvent, line: bytes) -> _Parts:
    try:
        slots = body_slots(event, line)
        return _Parts(line, slots, frame_of(line, slots))
    except (AmbiguousError, UnreadableError, LookupError):
        line = rewritten(event)
        slots = body_slots(event, line)
        return _Parts(line, slots, frame_of(line, slots))


def _read(line: bytes) -> AuditEvent | None:
    try:
        event = _decode(line)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    leave_out_wide_code(event)
    return event


def _reads_as(line: bytes, event: AuditEvent) -> bool:
    """Tell whether the event is what the line says, so that a new line says the new event."""
    return _read(line) == event


def _with_bodies(event: AuditEvent, bodies: dict[str, bytes]) -> AuditEvent:
    return msgspec.structs.replace(event, **{f: msgspec.Raw(b) for f, b in bodies.items()})


def _without_bodies(event: AuditEvent, slots: list[Slot]) -> AuditEvent:
    return _with_bodies(event, {slot.field: PLACE_OF_BODY for slot in slots})


def _assembled(
    line: bytes, slots: list[Slot], frame: bytes, new_frame: bytes, bodies: dict[str, bytes]
) -> bytes:
    if new_frame is frame:
        for slot in reversed(slots):
            line = line[: slot.start] + bodies[slot.field] + line[slot.end :]
        return line
    for slot in slots:
        name = NEEDLES[slot.field]
        new_frame = new_frame.replace(name + PLACE_OF_BODY, name + bodies[slot.field], 1)
    return new_frame
