"""One event in, its LogRecord as bytes out: the hot path.

Fields that occur together are interned as one run of bytes; what never repeats (ids, names, paths)
is joined with the bytes around it, which depend only on its length.
"""

import struct
from typing import Any

from k8s_audit_otlp.event.severity import SEVERITY_TEXT, alarm_of
from k8s_audit_otlp.event.times import unix_ns
from k8s_audit_otlp.model import AuditEvent, UserInfo
from k8s_audit_otlp.otlp import wire
from k8s_audit_otlp.otlp.interned import Frames, Heads, Interned
from k8s_audit_otlp.otlp.mapping import (
    EVENT_NAME,
    MAX_AUDIT_ID,
    MAX_LIST,
    NO_TARGET,
    MappingOptions,
    Object,
    Request,
    allows,
    attributes_of,
    keys_of,
    notes_part,
    target_of,
    user_part,
)

Times = tuple[int, float | None]  # nanoseconds since the epoch (0: unknown), duration in ms

_NO_USER = UserInfo()
_EVENT_NAME = wire.text(wire.EVENT_NAME, EVENT_NAME)
_double = struct.Struct("<d").pack


def severity_bytes(severity: int) -> bytes:
    number = wire.SEVERITY_NUMBER + wire.varint(severity)
    return number + wire.text(wire.SEVERITY_TEXT, SEVERITY_TEXT[severity])


def duration_ms(stage: str, received_ns: int | None, staged_ns: int | None) -> float | None:
    """How long it took, unless it has only begun, a time is missing or the clock went back."""
    if received_ns is None or staged_ns is None or stage == "RequestReceived":
        return None
    micros = (staged_ns - received_ns) // 1000
    return micros / 1000 if micros >= 0 else None


def event_times(event: AuditEvent) -> Times:
    """Read an event's time, whatever it is called and however it is written, and its duration."""
    staged, received = unix_ns(event.stage_timestamp), unix_ns(event.request_received_timestamp)
    created = event.metadata.creation_timestamp if event.metadata else None
    time = staged or received or unix_ns(event.timestamp) or unix_ns(created) or 0
    return time, duration_ms(event.stage, received, staged)


class RecordEncoder:
    """Encodes events, one mapping for all."""

    def __init__(self, options: MappingOptions) -> None:
        self.options = options
        self._seconds = Interned(_second)
        self._requests = Interned(self._request)
        self._objects = Interned(self._object)
        self._users = Interned(self._user)
        self._impersonated = Interned(self._impersonated_user)
        self._peers = Interned(self._peer)
        self._agents = Interned(lambda agent: self._attributes("agent", agent))
        self._constraints = Interned(lambda text: self._attributes("constraint", text))
        self._notes = Interned(self._note)
        self._extra_allowed = allows(options.user_extra)
        self._note_allowed = allows(options.annotations)
        self._audit_ids = Frames(keys_of("audit_id", options))
        self._paths = Frames(keys_of("path", options))
        self._queries = Frames(keys_of("query", options))
        self._names = Frames(keys_of("name", options))
        self._object_uids = Frames(keys_of("object_uid", options))
        self._versions = Frames(keys_of("version", options))
        self._duration_head = b"".join(map(wire.double_head, keys_of("duration", options)))
        self._body_heads = Heads(wire.body_head)
        self._record_heads = Heads(wire.record_head)

    def plain_times(self, event: AuditEvent) -> Times:
        """Read the times of an event as the apiserver writes it: `2026-01-02T03:04:05.678901Z`.

        ValueError for any other, and for what is no plain event.
        """
        staged, received = event.stage_timestamp, event.request_received_timestamp
        if not (staged and received and len(staged) == 27 == len(received)):
            raise ValueError
        if not (staged[26] == received[26] == "Z" and event.kind == "Event"):
            raise ValueError
        seconds = self._seconds
        staged_ns = seconds[staged[:20]] + int(staged[20:26]) * 1000
        if event.stage == "RequestReceived":
            return staged_ns, None
        micros = (staged_ns - seconds[received[:20]]) // 1000 - int(received[20:26])
        return staged_ns, micros / 1000 if micros >= 0 else None

    def encode(
        self, event: AuditEvent, body: bytes, times: Times, more: bytes, *, faulty: bool = False
    ) -> bytes:
        """Encode one record, a whole field of ScopeLogs; `more` is encoded already."""
        time, duration = times
        cuts = alarm = 0
        target = NO_TARGET
        audit_id = event.audit_id.encode()
        parts = [wire.TIME, wire.fixed64(time), more, self._body_heads[len(body)], body]
        add = parts.append
        if len(audit_id) <= MAX_AUDIT_ID:
            add(audit_id.join(self._audit_ids[len(audit_id)]))
        else:
            add(self._attributes("audit_id", event.audit_id))
            cuts += self._is_cut(event.audit_id)
        if event.annotations:
            notes, cut, alarm = self._notes[tuple(event.annotations.items())]
            add(notes)
            cuts += cut
        user = event.user or _NO_USER
        extra = user.extra
        users, cut = self._users[
            user.username, user.uid, user.groups, tuple(extra.items()) if extra else ()
        ]
        add(users)
        cuts += cut
        if event.user_agent:
            add(self._agents[event.user_agent])
        if event.source_ips:
            peers, cut = self._peers[event.source_ips]
            add(peers)
            cuts += cut
        path, _, query = event.request_uri.partition("?")
        text = path.encode()
        add(text.join(self._paths[len(text)]))
        if query:
            text = query.encode()
            add(text.join(self._queries[len(text)]))
        ref = event.object_ref
        if ref is not None:
            objects, target = self._objects[
                ref.resource, ref.subresource, ref.api_group, ref.api_version, ref.namespace
            ]
            add(objects)
            if ref.name:
                text = ref.name.encode()
                add(text.join(self._names[len(text)]))
            if ref.uid:
                text = ref.uid.encode()
                add(text.join(self._object_uids[len(text)]))
            if ref.resource_version:
                text = ref.resource_version.encode()
                add(text.join(self._versions[len(text)]))
        status = event.response_status
        code, reason = (status.code, status.reason) if status is not None else (0, "")
        add(
            self._requests[
                event.kind,
                event.level,
                event.stage,
                event.verb,
                code,
                reason,
                alarm,
                target,
                faulty,
            ]
        )
        if duration is not None:
            add(self._duration_head)
            add(_double(duration))
        if event.impersonated_user is not None or event.authentication_metadata is not None:
            add(self._rare(event))
        if cuts:
            add(wire.DROPPED_ATTRIBUTES + wire.varint(cuts))
        record = b"".join(parts)
        return self._record_heads[len(record)] + record

    # What is interned: each builder gets the key; a count of cut attributes goes with the bytes.

    def _attributes(self, part: str, value: Any) -> bytes:
        return wire.attributes(attributes_of(part, value, self.options))

    def _is_cut(self, audit_id: str) -> bool:
        return len(audit_id) > MAX_AUDIT_ID and self.options.profile != "plain"

    def _rare(self, event: AuditEvent) -> bytes:
        acting, meta = event.impersonated_user, event.authentication_metadata
        constraint = meta.impersonation_constraint if meta else ""
        users = (acting.username, acting.uid, acting.groups) if acting else ("", "", ())
        return self._impersonated[users] + self._constraints[constraint]

    def _request(self, key: tuple[Any, ...]) -> bytes:
        request = Request(*key)
        return severity_bytes(request.severity) + self._attributes("request", request) + _EVENT_NAME

    def _object(self, key: tuple[str, str, str, str, str]) -> tuple[bytes, int]:
        part = Object(*key)
        return self._attributes("object", part), target_of(part)

    def _user(self, key: tuple[Any, ...]) -> tuple[bytes, int]:
        username, uid, groups, extra = key
        user, cuts = user_part(UserInfo(username, uid, groups, dict(extra)), self._extra_allowed)
        return self._counted(self._attributes("user", user), cuts)

    def _impersonated_user(self, key: tuple[Any, ...]) -> bytes:
        user, _ = user_part(UserInfo(*key), self._extra_allowed)
        return self._attributes("impersonated", user)

    def _peer(self, addresses: tuple[str, ...]) -> tuple[bytes, int]:
        return self._counted(self._attributes("peers", addresses), len(addresses) > MAX_LIST)

    def _note(self, items: tuple[tuple[str, str], ...]) -> tuple[bytes, int, int]:
        annotations = dict(items)
        notes, cuts = notes_part(annotations, self._note_allowed)
        return *self._counted(self._attributes("notes", notes), cuts), alarm_of(annotations)

    def _counted(self, attributes: bytes, cuts: int) -> tuple[bytes, int]:
        """Count a cut only where the profile has an attribute that it cut."""
        return attributes, 0 if self.options.profile == "plain" else int(cuts)


def _second(text: str) -> int:
    """Read the time up to the point before its fraction."""
    time = unix_ns(text[:19] + "Z")
    if time is None or text[10] != "T" or text[19] != ".":
        raise ValueError(text)
    return time
