"""Encodes the line that almost every line is, without decoding all of it.

That is one event as kube-apiserver writes it: both timestamps, nobody impersonated, and bodies, if
any, in which redaction has nothing to do. Its parts that repeat from event to event (who asked, how
it ended, why it was allowed) are not even decoded: the JSON of the part is the key under which its
wire bytes are kept, with the verdict whether redaction has anything to do there. Any other line is
refused here and takes the general way, to the same bytes. So does one with a member that is not
known here: its text would leave with the line, and nobody would have judged it.
"""

from typing import Literal, Protocol

import msgspec

from k8s_audit_otlp.model import AuditEvent, ObjectRef, Status, UserInfo
from k8s_audit_otlp.otlp import wire
from k8s_audit_otlp.otlp.event_record import (
    NotPlainError,
    RecordEncoder,
    parse_time,
)
from k8s_audit_otlp.otlp.interned import Interned
from k8s_audit_otlp.otlp.parts import MAX_AUDIT_ID, MAX_LIST, NO_TARGET

_NOTHING = msgspec.Raw(b"")
_WIRE_NAMES = dict(
    zip(AuditEvent.__struct_fields__, AuditEvent.__struct_encode_fields__, strict=True)
)
DAY = 86_400_000_000  # microseconds
MAX_TIME = (1 << 33) * 1_000_000  # the year 2242; until then a double holds each microsecond


class Clean(Protocol):
    """Says of a part of an event whether it leaves as it is. Must not depend on other parts."""

    def raw(self, part: bytes) -> bool: ...
    def bodies(
        self, line: bytes, request: bytes, response: bytes, ref: ObjectRef | None
    ) -> bool: ...
    def path(self, path: bytes) -> bool: ...
    def query(self, query: str) -> bool: ...
    def text(self, text: str) -> bool: ...
    def user(self, user: UserInfo) -> bool: ...
    def status(self, status: Status) -> bool: ...
    def annotations(self, annotations: dict[str, str]) -> bool: ...


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


def _weigh_caller(key: tuple[bytes, bytes, str], value: tuple[bytes, bool]) -> int:
    return len(key[0]) + len(key[1]) + len(key[2]) + len(value[0]) + 250


class FastEncoder:
    """Encodes plain lines; raises NotPlainError or a msgspec error for any other."""

    def __init__(self, records: RecordEncoder, clean: Clean | None) -> None:
        """*clean*: None where nothing is redacted."""
        self._records = records
        self._clean = clean
        self._decode = msgspec.json.Decoder(FastEvent).decode
        self._callers = Interned(self._caller, weigh=_weigh_caller)
        self._requests = Interned(self._request)
        self._objects = Interned(self._object)
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
        check = self._clean
        ref = event.object_ref
        if (event.request_object is not _NOTHING or event.response_object is not _NOTHING) and not (
            check is None
            or check.bodies(line, bytes(event.request_object), bytes(event.response_object), ref)
        ):
            raise NotPlainError
        records = self._records
        caller, clean = self._callers[bytes(event.user), bytes(event.source_ips), event.user_agent]
        notes, alarm, clean_notes = self._notes[bytes(event.annotations)]
        audit_id_text = event.audit_id
        audit_id = audit_id_text.encode()
        if len(audit_id) > MAX_AUDIT_ID:
            raise NotPlainError
        path_text, _, query_text = event.request_uri.partition("?")
        path, query = path_text.encode(), query_text.encode()
        target, thing, name = NO_TARGET, b"", b""
        if ref is not None:
            thing, target, clean_object = self._objects[
                ref.resource, ref.subresource, ref.api_group, ref.api_version, ref.namespace
            ]
            clean = clean and clean_object
            name = ref.name.encode()
            if ref.uid or ref.resource_version:
                thing += records.version(ref)
                clean = clean and self._is_clean_version(ref)
        request, clean_end = self._requests[
            event.level, event.stage, event.verb, bytes(event.response_status), target, alarm
        ]
        if check is not None and not (
            clean
            and clean_end
            and clean_notes
            and check.path(path + name + audit_id)
            and (not query or check.query(query_text))
            and (len(audit_id) == 36 or check.text(audit_id_text))
        ):
            raise NotPlainError
        staged, received = event.stage_timestamp, event.request_received_timestamp
        if not (len(staged) == 27 == len(received) and staged[26] == "Z" == received[26]):
            raise NotPlainError
        time = round(parse_time(staged).timestamp() * 1e6)
        took = time - round(parse_time(received).timestamp() * 1e6)
        if not (0 <= took < DAY and 0 < time < MAX_TIME):
            raise NotPlainError
        if event.stage == "RequestReceived":
            times = wire.TIME + wire.fixed64(time * 1000)
        else:
            times = records.pack_times(wire.TIME, time * 1000, records.duration_head, took / 1000)
        record = b"".join((
            times,
            around,
            request,
            caller,
            thing,
            name.join(records.names[len(name)]),
            notes,
            audit_id.join(records.audit_ids[len(audit_id)]),
            path.join(records.paths[len(path)]),
            query.join(records.queries[len(query)]) if query else query,
            records.body_heads[len(line)],
            line,
        ))  # fmt: skip
        return records.record_heads[len(record)] + record

    # What is interned: each builder gets JSON, and gives wire bytes and a verdict.

    def _caller(self, key: tuple[bytes, bytes, str]) -> tuple[bytes, bool]:
        user_json, ips_json, agent = key
        user = (self._decode_user(user_json) if user_json else None) or UserInfo()
        addresses = (self._decode_ips(ips_json) if ips_json else None) or ()
        if len(addresses) > MAX_LIST:
            raise NotPlainError
        check = self._clean
        clean = check is None or (
            check.raw(user_json + ips_json + agent.encode())
            and check.user(user)
            and check.text(agent)
        )
        extra = tuple((user.extra or {}).items())
        encoded = self._records.caller((
            user.username, user.uid, user.groups, extra, agent, addresses,
        ))  # fmt: skip
        return encoded, clean

    def _request(self, key: tuple[str, str, str, bytes, int, int]) -> tuple[bytes, bool]:
        level, stage, verb, status_json, target, alarm = key
        status = (self._decode_status(status_json) if status_json else None) or Status()
        request = self._records.requests[
            "Event", level, stage, verb, status.code, status.reason, target, alarm, False
        ]
        check = self._clean
        clean = check is None or (check.raw(status_json + verb.encode()) and check.status(status))
        return request, clean

    def _object(self, key: tuple[str, str, str, str, str]) -> tuple[bytes, int, bool]:
        encoded, target = self._records.objects[key]
        return encoded, target, self._clean is None or self._clean.raw(" ".join(key).encode())

    def _is_clean_version(self, ref: ObjectRef) -> bool:
        return self._clean is None or self._clean.raw(f"{ref.uid} {ref.resource_version}".encode())

    def _note(self, key: bytes) -> tuple[bytes, int, bool]:
        annotations = (self._decode_notes(key) if key else None) or {}
        if not annotations:
            return b"", self._records.no_alarm, True
        encoded, alarm, cuts = self._records.note(tuple(annotations.items()))
        if cuts:
            raise NotPlainError
        check = self._clean
        clean = check is None or (check.raw(key) and check.annotations(annotations))
        return encoded, alarm, clean
