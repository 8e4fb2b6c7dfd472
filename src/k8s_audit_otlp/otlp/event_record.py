"""Encodes one event as a LogRecord: the hot path.

Fields that occur together are interned as one run of bytes; what never repeats (ids, names, paths)
is joined with the bytes around it, which depend only on its length.
"""

import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from k8s_audit_otlp.event.severity import (
    DECISION,
    REASON,
    SEVERITY_TEXT,
    Alarm,
    alarm_at_end,
    alarm_of,
)
from k8s_audit_otlp.event.times import EPOCH, MAX_NS, unix_ns
from k8s_audit_otlp.model import AuditEvent, UserInfo
from k8s_audit_otlp.otlp import wire
from k8s_audit_otlp.otlp.attributes_sum import SumLimiter
from k8s_audit_otlp.otlp.interned import Frames, Heads, Interned, weigh_texts
from k8s_audit_otlp.otlp.limits import cut_bytes
from k8s_audit_otlp.otlp.mapping import (
    EVENT_NAME,
    PARTS,
    MappingOptions,
    keys_of,
    limiter_of,
    part_encoder,
    room_of,
)
from k8s_audit_otlp.otlp.parts import (
    MAX_AUDIT_ID,
    MAX_LIST,
    NO_TARGET,
    Client,
    Object,
    Request,
    User,
    allows,
    notes_of,
)

_NO_USER = UserInfo()
_EVENT_NAME = wire.text(wire.EVENT_NAME, EVENT_NAME)
MAX_DAYS = MAX_NS // 86_400_000_000_000
_NO_NOTES = (b"", Alarm.NONE, 0)
parse_time = datetime.fromisoformat


class NotPlainError(ValueError):
    """An event that must take the general way."""


def severity_bytes(severity: int) -> bytes:
    number = wire.SEVERITY_NUMBER + wire.varint(severity)
    return number + wire.text(wire.SEVERITY_TEXT, SEVERITY_TEXT[severity])


def event_time(event: AuditEvent) -> int:
    """Read an event's time, whatever it is called and however it is written; 0 if it has none."""
    created = event.metadata.creation_timestamp if event.metadata else None
    times = (
        event.stage_timestamp,
        event.request_received_timestamp,
        event.timestamp,
        created,
    )
    return next(filter(None, map(unix_ns, times)), 0)


def duration_ms(event: AuditEvent) -> float | None:
    """Tell how long it took, unless it began just now, a time is missing or the clock went back."""
    received, staged = unix_ns(event.request_received_timestamp), unix_ns(event.stage_timestamp)
    if received is None or staged is None or event.stage == "RequestReceived":
        return None
    micros = staged // 1000 - received // 1000
    return micros / 1000 if micros >= 0 else None


class RecordEncoder:
    """Encodes events, one mapping for all."""

    no_alarm = Alarm.NONE

    def __init__(self, options: MappingOptions) -> None:
        self.options = options
        self._allows_extra = allows(options.user_extra)
        self._allows_note = allows(options.annotations)
        self.longest = longest = options.limits.value_bytes or sys.maxsize
        self._limiter = limiter_of(options)
        self._sum = SumLimiter(options)
        self.most_beside = self._sum.beside
        self._most_extra, self._most_notes = room_of(options)
        self.parts = {part: part_encoder(part, options) for part in PARTS}
        self.requests = Interned(self._request)
        self.objects = Interned(self.object, weigh=weigh_texts)
        self._callers = Interned(self.caller)
        self._impersonated = Interned(self._impersonated_user)
        self._decisions = Interned(self._decision)
        self._notes = Interned(self.note)
        self.audit_ids = Frames(keys_of("audit_id", options), longest)
        self.paths = Frames(keys_of("path", options), longest)
        self.queries = Frames(keys_of("query", options), longest)
        self.names = Frames(keys_of("name", options), longest)
        self.object_uids = Frames(keys_of("object_uid", options), longest)
        self.versions = Frames(keys_of("version", options), longest)
        self.body_heads = Heads(wire.body_head)
        self.record_heads = Heads(wire.record_head)
        self.duration_head = self.parts["duration"](0.0)[:-8]

    def plain_times(self, event: AuditEvent) -> bytes:
        """Encode time and duration of an event as the apiserver writes it.

        Its times look like `2026-01-02T03:04:05.678901Z`; NotPlainError for any other event.
        """
        staged, received = event.stage_timestamp, event.request_received_timestamp
        if not (staged and received and len(staged) == 27 == len(received)):
            raise NotPlainError
        if not (staged[26] == received[26] == "Z" and event.kind == "Event"):
            raise NotPlainError
        end = parse_time(staged)
        age, took = end - EPOCH, end - parse_time(received)
        if took.days or not 0 < age.days < MAX_DAYS:  # days are -1 where the clock went back
            raise NotPlainError
        time = ((age.days * 86_400 + age.seconds) * 1_000_000 + age.microseconds) * 1000
        if event.stage == "RequestReceived":
            return self.times(time, None)
        micros = took.seconds * 1_000_000 + took.microseconds
        return self.times(time, micros / 1000)

    def times(self, time: int, duration: float | None) -> bytes:
        encoded = wire.TIME + wire.fixed64(time)
        return encoded if duration is None else encoded + self.parts["duration"](duration)

    def general_times(self, event: AuditEvent) -> bytes:
        """Encode time and duration of any event, as far as it has them."""
        return self.times(event_time(event), duration_ms(event))

    def encode(
        self, event: AuditEvent, body: bytes, times: bytes, around: bytes, *, faulty: bool = False
    ) -> bytes:
        """Encode one record, a whole field of ScopeLogs; `around` is what is encoded already."""
        path_text, _, query_text = event.request_uri.partition("?")
        path, query = self._fit(path_text), self._fit(query_text)
        notes, alarm, cuts = self._annotations(event.annotations)
        target, thing, name = NO_TARGET, b"", b""
        if (ref := event.object_ref) is not None:
            thing, target = self.objects[
                ref.resource, ref.subresource, ref.api_group, ref.api_version, ref.namespace
            ]
            name = self._fit(ref.name)
            if ref.uid or ref.resource_version:
                thing += self.version(self._fit(ref.uid), self._fit(ref.resource_version))
        code, reason = 0, ""
        if (status := event.response_status) is not None:
            code, reason = status.code, status.reason
            alarm = alarm_at_end(event.stage, status.message, alarm)
        user = event.user or _NO_USER
        if event.impersonated_user is not None or event.authentication_metadata is not None:
            around += self._rare(event)
        if cuts or len(event.audit_id) > MAX_AUDIT_ID or len(event.source_ips or ()) > MAX_LIST:
            around += self._count_cuts(event, cuts)
        parts = (
            times,
            around,
            self.requests[
                event.kind, event.level, event.stage, event.verb, code, reason,
                target, alarm, faulty,
            ],
            self._callers[
                user.username, user.uid, user.groups,
                tuple(user.extra.items()) if user.extra else (),
                event.user_agent, event.source_ips,
            ],
            thing,
            name.join(self.names[len(name)]),
            notes,
            self._audit_id(event.audit_id),
            path.join(self.paths[len(path)]),
            query.join(self.queries[len(query)]) if query else query,
            self.body_heads[len(body)],
        )  # fmt: skip
        beside = b"".join(parts)
        if len(beside) > self.most_beside:
            beside = self._sum(b"".join(parts[:-1])) + parts[-1]
        # One copy of the body, which may be large.
        return b"".join((self.record_heads[len(beside) + len(body)], beside, body))

    def marks(self, marks: Mapping[str, wire.Value]) -> bytes:
        """Encode what a stage says about an event."""
        return wire.attributes(dict(self._limiter(marks.items())) if self._limiter else marks)

    def _fit(self, text: str) -> bytes:
        return cut_bytes(text.encode(), self.longest)

    def _audit_id(self, text: str) -> bytes:
        if len(text) > MAX_AUDIT_ID:
            return self.parts["audit_id"](text)
        audit_id = self._fit(text)
        return audit_id.join(self.audit_ids[len(audit_id)])

    def _annotations(self, annotations: dict[str, str] | None) -> tuple[bytes, int, int]:
        if not annotations:
            return _NO_NOTES
        if len(annotations) == 2 and DECISION in annotations and REASON in annotations:
            return self._decisions[annotations[DECISION], annotations[REASON]]
        return self._notes[tuple(annotations.items())]

    def version(self, uid: bytes, version: bytes) -> bytes:
        uids, versions = self.object_uids[len(uid)], self.versions[len(version)]
        return uid.join(uids) + version.join(versions)

    def _rare(self, event: AuditEvent) -> bytes:
        acting, meta = event.impersonated_user, event.authentication_metadata
        constraint = self.parts["constraint"](meta.impersonation_constraint) if meta else b""
        if acting is None:
            return constraint
        return self._impersonated[acting.username, acting.uid, acting.groups] + constraint

    def _count_cuts(self, event: AuditEvent, cuts: int) -> bytes:
        cuts += len(event.audit_id) > MAX_AUDIT_ID
        cuts += len(event.source_ips or ()) > MAX_LIST
        cut = self.options.profile != "plain" and cuts
        return wire.DROPPED_ATTRIBUTES + wire.varint(cuts) if cut else b""

    # What is interned: each builder gets the key.

    def _request(self, key: tuple[Any, ...]) -> bytes:
        request = Request(*key)
        if not -(1 << 31) <= request.code < 1 << 31:
            raise NotPlainError
        fixed = severity_bytes(request.severity) + _EVENT_NAME
        return fixed + self.parts["request"](request)

    def object(self, key: tuple[str, str, str, str, str]) -> tuple[bytes, int]:
        part = Object(*key)
        return self.parts["object"](part), part.target

    def caller(self, key: tuple[Any, ...]) -> bytes:
        username, uid, groups, extra, agent, addresses = key
        allowed = tuple((name, values) for name, values in extra if self._allows_extra(name))
        user = self.parts["user"](User(username, uid, groups or (), allowed[: self._most_extra]))
        return user + self.parts["client"](Client(agent, addresses or ()))

    def _impersonated_user(self, key: tuple[Any, ...]) -> bytes:
        username, uid, groups = key
        return self.parts["impersonated"](User(username, uid, groups or ()))

    def _decision(self, key: tuple[str, str]) -> tuple[bytes, int, int]:
        return self.note(((DECISION, key[0]), (REASON, key[1])))

    def note(self, items: tuple[tuple[str, str], ...]) -> tuple[bytes, int, int]:
        annotations = dict(items)
        notes, cuts = notes_of(annotations, self._allows_note, self._most_notes)
        return self.parts["notes"](notes), alarm_of(annotations), cuts
