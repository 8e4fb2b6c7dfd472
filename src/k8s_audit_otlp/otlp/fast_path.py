"""Encodes the line that almost every line is, without decoding all of it.

That is one event as kube-apiserver writes it: both timestamps, nobody impersonated, and bodies, if
any, that are redacted without a look at the rest of the event. Its parts that repeat from event to
event (who asked, how it ended, why it was allowed) are not even decoded: the JSON of the part is
the key under which its wire bytes are kept, with the verdict whether redaction has anything to do
there. Any other line is refused here and takes the general way, to the same bytes. So does one with
a member that is not known here or is there twice: its text would leave with the line, and nobody
would have judged it. The lengths of what was judged must add up to the line's.
"""

import sys
from collections import Counter
from typing import Literal

import msgspec

from k8s_audit_otlp.event.memory_bounds import MAX_OUTSIDE_BODIES, is_long_outside_bodies
from k8s_audit_otlp.event.severity import alarm_at_end
from k8s_audit_otlp.event.stages import Clean
from k8s_audit_otlp.model import AuditEvent, ObjectRef, Status, UserInfo
from k8s_audit_otlp.otlp import wire
from k8s_audit_otlp.otlp.event_record import (
    NotPlainError,
    RecordEncoder,
    parse_time,
)
from k8s_audit_otlp.otlp.interned import Interned, weigh_texts
from k8s_audit_otlp.otlp.line_size import (
    SIZE_OF_FRAME,
    go_json,
    length_in,
    members_of,
    size_of,
)
from k8s_audit_otlp.otlp.parts import MAX_AUDIT_ID, MAX_LIST, NO_TARGET

_NOTHING = msgspec.Raw(b"")
_WIRE_NAMES = dict(
    zip(AuditEvent.__struct_fields__, AuditEvent.__struct_encode_fields__, strict=True)
)
_OBJECT = ("resource", "subresource", "apiGroup", "apiVersion", "namespace")
_OF_UIDS = "0123456789abcdef-"
DAY = 86_400_000_000  # microseconds
MAX_TIME = (1 << 32) * 1_000_000  # the year 2106; until then a double holds each microsecond


class FastReference(ObjectRef, gc=False, forbid_unknown_fields=True):
    """An objectRef that has nothing beside what is judged."""


class FastEvent(msgspec.Struct, gc=False, forbid_unknown_fields=True, rename=_WIRE_NAMES):
    """An event with what repeats left as JSON. Same names on the wire as AuditEvent."""

    kind: Literal["Event"]
    level: Literal["Metadata", "Request", "RequestResponse"]
    stage: Literal["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"]
    api_version: Literal["audit.k8s.io/v1"] = "audit.k8s.io/v1"
    audit_id: str = ""
    request_uri: str = ""
    verb: str = ""
    user: msgspec.Raw = _NOTHING
    impersonated_user: msgspec.Raw = _NOTHING
    authentication_metadata: msgspec.Raw = _NOTHING
    source_ips: msgspec.Raw = _NOTHING
    user_agent: str = ""
    object_ref: FastReference | None = None
    response_status: msgspec.Raw = _NOTHING
    request_object: msgspec.Raw = _NOTHING
    response_object: msgspec.Raw = _NOTHING
    request_received_timestamp: str = ""
    stage_timestamp: str = ""
    annotations: msgspec.Raw = _NOTHING


def _weigh_caller(key: tuple[bytes, bytes, str], value: tuple[bytes, bool, int]) -> int:
    return len(key[0]) + len(key[1]) + len(key[2]) + len(value[0]) + 250


class FastEncoder:
    """Encodes plain lines; raises NotPlainError or a msgspec error for any other."""

    def __init__(
        self, records: RecordEncoder, clean: Clean | None, most: int = sys.maxsize
    ) -> None:
        """*clean*: None where nothing is redacted; *most*: bytes of a record.

        `redacted` counts the records whose bodies were changed, by rule. `body` is that of the
        newest record.
        """
        self.redacted: Counter[str] = Counter()
        self.body = b""
        self._records = records
        self._clean = clean
        self._most = most
        self._outside, self._uri = b"", ""  # of the line that is judged
        self._is_free: bool | None = None  # of anything to redact there, once that is asked
        self._decode = msgspec.json.Decoder(FastEvent).decode
        self._callers = Interned(self._caller, weigh=_weigh_caller)
        self._requests = Interned(self._request, weigh=lambda k, v: len(k[3]) + len(v[0]) + 400)
        self._objects = Interned(self._object, weigh=weigh_texts)
        self._notes = Interned(self._note)
        self._decode_user = msgspec.json.Decoder(UserInfo | None).decode
        self._decode_ips = msgspec.json.Decoder(tuple[str, ...] | None).decode
        self._decode_status = msgspec.json.Decoder(Status | None).decode
        self._decode_notes = msgspec.json.Decoder(dict[str, str] | None).decode

    def encode(self, line: bytes, around: bytes) -> bytes:
        """Encode one line; *around* is what is encoded of its place."""
        event = self._decode(line)
        if event.impersonated_user is not _NOTHING or event.authentication_metadata is not _NOTHING:
            raise NotPlainError
        if len(line) > MAX_OUTSIDE_BODIES and is_long_outside_bodies(
            line, event.request_object, event.response_object
        ):
            raise NotPlainError
        self._outside, self._uri, self._is_free = line, event.request_uri, None
        if event.request_object is not _NOTHING or event.response_object is not _NOTHING:
            return self._with_bodies(event, line, around)
        return self._record(event, line, line, SIZE_OF_FRAME, around)

    def _with_bodies(self, event: FastEvent, line: bytes, around: bytes) -> bytes:
        request, response = bytes(event.request_object), bytes(event.response_object)
        size = (
            SIZE_OF_FRAME + size_of("requestObject", request) + size_of("responseObject", response)
        )
        check = self._clean
        if check is None:
            return self._record(event, line, line, size, around)
        bodies = check.bodies(line, request, response, event.object_ref)
        if bodies is None:
            raise NotPlainError
        self._outside = bodies.outside
        if not bodies.said:
            return self._record(event, line, line, size, around)
        status, notes = bytes(event.response_status), bytes(event.annotations)
        if check.repeats(
            bodies.redacted_values,
            self._decode_status(status) if status else None,
            self._decode_notes(notes) if notes else None,
        ):
            raise NotPlainError
        around += self._records.marks(bodies.said)
        record = self._record(event, line, bodies.line, size, around)
        beside = len(record) - len(bodies.line)
        if len(record) > self._most or beside > self._records.most_beside:
            raise NotPlainError
        for rules in bodies.said.values():
            self.redacted.update(rules)
        return record

    def _record(
        self, event: FastEvent, line: bytes, body: bytes, size: int, around: bytes
    ) -> bytes:
        """Encode the event of a line that leaves as *body*; *size* is that of its bodies so far."""
        check, records, ref = self._clean, self._records, event.object_ref
        caller, clean, part = self._callers[
            bytes(event.user), bytes(event.source_ips), event.user_agent
        ]
        notes, alarm, clean_notes, notes_size = self._notes[bytes(event.annotations)]
        size += part + notes_size
        audit_id = event.audit_id.encode()
        if len(audit_id) > MAX_AUDIT_ID:
            raise NotPlainError
        path_text, _, query_text = event.request_uri.partition("?")
        path, query = path_text.encode(), query_text.encode()
        target, thing, name = NO_TARGET, b"", b""
        if ref is not None:
            thing, target, clean_object, part = self._objects[
                ref.resource, ref.subresource, ref.api_group, ref.api_version, ref.namespace
            ]
            clean = clean and clean_object
            name = ref.name.encode()
            size += part + (len(name) + 10 if name else 0)
            if ref.uid or ref.resource_version:
                thing += records.version(ref)
                clean = clean and self._is_clean_version(ref)
                size += len(
                    members_of((("uid", ref.uid), ("resourceVersion", ref.resource_version)))
                )
        request, clean_end, part = self._requests[
            event.level, event.stage, event.verb, bytes(event.response_status), target, alarm
        ]
        if check is not None:
            size += part + len(audit_id) + length_in(line, event.request_uri)
            clean = clean and clean_end and clean_notes and size == len(line)
            if not clean or not _is_clean_text(check, event, path_text, query_text):
                raise NotPlainError
        record = b"".join((
            self._times(event),
            around,
            request,
            caller,
            thing,
            name.join(records.names[len(name)]),
            notes,
            audit_id.join(records.audit_ids[len(audit_id)]),
            path.join(records.paths[len(path)]),
            query.join(records.queries[len(query)]) if query else query,
            records.body_heads[len(body)],
            body,
        ))  # fmt: skip
        self.body = body
        return records.record_heads[len(record)] + record

    def _times(self, event: FastEvent) -> bytes:
        """Encode when the event was and how long it took, of times with six digits only."""
        staged, received = event.stage_timestamp, event.request_received_timestamp
        if not (len(staged) == 27 == len(received) and staged[26] == "Z" == received[26]):
            raise NotPlainError
        time = round(parse_time(staged).timestamp() * 1e6)
        took = time - round(parse_time(received).timestamp() * 1e6)
        if not (0 <= took < DAY and 0 < time < MAX_TIME):
            raise NotPlainError
        if event.stage == "RequestReceived":
            return wire.TIME + wire.fixed64(time * 1000)
        records = self._records
        return records.pack_times(wire.TIME, time * 1000, records.duration_head, took / 1000)

    # What is interned: each builder gets JSON, and gives wire bytes and a verdict.

    def _caller(self, key: tuple[bytes, bytes, str]) -> tuple[bytes, bool, int]:
        user_json, ips_json, agent = key
        user = (self._decode_user(user_json) if user_json else None) or UserInfo()
        addresses = (self._decode_ips(ips_json) if ips_json else None) or ()
        if len(addresses) > MAX_LIST:
            raise NotPlainError
        agent_json = go_json(agent)
        clean = (
            self._is_clean(b"user", user_json)
            and self._is_clean(b"sourceIPs", ips_json)
            and self._is_clean(b"userAgent", agent_json)
        )
        extra = tuple((user.extra or {}).items())
        encoded = self._records.caller((
            user.username, user.uid, user.groups, extra, agent, addresses,
        ))  # fmt: skip
        size = size_of("user", user_json) + size_of("sourceIPs", ips_json)
        return encoded, clean, size + size_of("userAgent", agent_json)

    def _request(self, key: tuple[str, str, str, bytes, int, int]) -> tuple[bytes, bool, int]:
        level, stage, verb, status_json, target, alarm = key
        status = (self._decode_status(status_json) if status_json else None) or Status()
        alarm = alarm_at_end(stage, status.message, alarm)
        request = self._records.requests[
            "Event", level, stage, verb, status.code, status.reason, target, alarm, False
        ]
        verb_json = go_json(verb)
        clean = self._is_clean(b"responseStatus", status_json) and self._is_clean(
            b"verb", verb_json
        )
        size = size_of("responseStatus", status_json) + size_of("verb", verb_json)
        return request, clean, size + len(level) + len(stage)

    def _object(self, key: tuple[str, str, str, str, str]) -> tuple[bytes, int, bool, int]:
        encoded, target = self._records.object(key)
        clean = (
            self._clean is None
            or self._is_line_free(self._clean)
            or all(map(self._clean.reference, key))
        )
        said = members_of(zip(_OBJECT, key, strict=True))
        return encoded, target, clean, len(said) + len('"objectRef":{},') - 1

    def _is_clean_version(self, ref: ObjectRef) -> bool:
        check = self._clean
        return check is None or all(
            not text.strip(_OF_UIDS) or check.reference(text)
            for text in (ref.uid, ref.resource_version)
        )

    def _note(self, key: bytes) -> tuple[bytes, int, bool, int]:
        annotations = (self._decode_notes(key) if key else None) or {}
        size = size_of("annotations", key)
        if not annotations:
            return b"", self._records.no_alarm, True, size
        encoded, alarm, cuts = self._records.note(tuple(annotations.items()))
        if cuts:
            raise NotPlainError
        return encoded, alarm, self._is_clean(b"annotations", key), size

    def _is_clean(self, name: bytes, value: bytes) -> bool:
        check = self._clean
        return check is None or not value or self._is_line_free(check) or check.member(name, value)

    def _is_line_free(self, check: Clean) -> bool:
        """Tell in one pass over the line that is encoded what its new parts need not be asked."""
        if self._is_free is None:
            self._is_free = check.whole(self._outside, go_json(self._uri))
        return self._is_free


def _is_clean_text(check: Clean, event: FastEvent, path: str, query: str) -> bool:
    """Judge what clients write freely. Most names stand in the path."""
    if not check.path(path) or (query and not check.query(query)):
        return False
    ref, audit_id = event.object_ref, event.audit_id
    if ref is not None and ref.name and ref.name not in path and not check.reference(ref.name):
        return False
    return not audit_id.strip(_OF_UIDS) or check.reference(audit_id)
