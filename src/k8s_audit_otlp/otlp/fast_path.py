"""Encodes plain lines, and those whose bodies are redacted without a look at the rest of the event.

Any other line is refused here and takes the general way, to the same bytes.
"""

from datetime import UTC, datetime
from functools import partial
from itertools import chain
from typing import TypeAlias

import msgspec

from k8s_audit_otlp.event.bounded_cache import BoundedCache
from k8s_audit_otlp.event.severity import CLOSED, alarm_at_end
from k8s_audit_otlp.event.splice.lists import check_json
from k8s_audit_otlp.event.stages import Clean
from k8s_audit_otlp.model import KnownStatus, ObjectRef, Status, UserInfo
from k8s_audit_otlp.otlp import IS_COMPILED, plain_line
from k8s_audit_otlp.otlp.event_record import NotPlainError, RecordEncoder
from k8s_audit_otlp.otlp.interned import Found, Interned, Tables, of_key
from k8s_audit_otlp.otlp.parts import MAX_LIST
from k8s_audit_otlp.otlp.plain_line import Around, Judged, Lines
from k8s_audit_otlp.otlp.read_lines import STATUS, AllRead, PlainLine
from k8s_audit_otlp.otlp.templates import Template, Templates, frame_of, has_mark, mark, with_marks

QUICKEST: Lines = plain_line
if IS_COMPILED:
    from k8s_audit_otlp.otlp import _quick_line

    QUICKEST = _quick_line

_NOTHING = msgspec.Raw(b"")
_LEVELS = frozenset((b"Metadata", b"Request", b"RequestResponse"))
_STAGES = frozenset((b"RequestReceived", b"ResponseStarted", b"ResponseComplete", b"Panic"))
_CallerTexts: TypeAlias = tuple[
    str, str, tuple[str, ...] | None, tuple[tuple[str, tuple[str, ...]], ...], str, tuple[str, ...]
]


class FastReference(ObjectRef, gc=False, forbid_unknown_fields=True):
    """An objectRef that has nothing beside what is judged."""


_encode = msgspec.json.Encoder().encode
_decode_ending = msgspec.json.Decoder(tuple[int, str, str]).decode
_decode_reference = msgspec.json.Decoder(FastReference).decode


class FastCaller(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """Who asked, from where and with what."""

    user: UserInfo | None = None
    sourceIPs: tuple[str, ...] | None = None  # noqa: N815 # as the event has it
    userAgent: str = ""  # noqa: N815


class CallerMembers(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The same, each as JSON."""

    user: msgspec.Raw = _NOTHING
    sourceIPs: msgspec.Raw = _NOTHING  # noqa: N815
    userAgent: msgspec.Raw = _NOTHING  # noqa: N815


class FastEncoder:
    """Makes the parts of records that plain lines share, and keeps them for the lines that follow.

    A part that is not plain raises NotPlainError or a msgspec error.
    """

    def __init__(self, records: RecordEncoder, clean: Clean | None, lines: Lines) -> None:
        """*clean*: None where nothing is redacted."""
        self._records = records
        self._clean = clean
        self._lines = lines
        self.tables = Tables(
            Interned(_second, weigh=lambda _k, _v: 150),
            Interned(self._caller, weigh=lambda k, v: len(k) + len(v[0]) + 250),
            Interned(self._object, weigh=lambda k, v: len(k) + sum(map(len, v[0])) + 450),
            Interned(self._status, weigh=lambda k, v: len(k) + len(v[0]) + 300),
            Interned(self._request, weigh=lambda k, v: len(k) + len(v[0]) + 300),
            Interned(self._note),
            records.names,
            records.object_uids,
            records.versions,
            records.audit_ids,
            records.paths,
            records.queries,
            None if clean is None else clean.paths,
            None if clean is None else clean.queries,
            None if clean is None else clean.references,
            records.duration_head,
            lines.recent(),
        )
        self._templates = Templates(records.longest)
        self._shapes = Interned(self._template, weigh=lambda k, v: len(k) + _weight_of(v))
        self._decode_caller = msgspec.json.Decoder(FastCaller).decode
        self._decode_members = msgspec.json.Decoder(CallerMembers).decode
        self._decode_status = msgspec.json.Decoder(Status | None).decode
        self._decode_whole_status = msgspec.json.Decoder(KnownStatus | None).decode
        self._decode_notes = msgspec.json.Decoder(dict[str, str] | None).decode
        self._references = BoundedCache(_reference, most=2048, longest=256, size=_bytes_of)
        alone = BoundedCache(self._has_bodies_alone, most=2048, longest=256, size=_bytes_of)
        self._are_alone = alone  # the bodies of an object

    def read(self, data: bytes) -> AllRead:
        """Read the lines of a block, and judge together what clients chose in them."""
        read, rows = self._lines.read_all(data, self.tables)
        if self._clean is not None:
            self._clean.find_doubtful(rows, partial(self._lines.doubt, read))
        return read

    def bodies_stay(
        self,
        front: bytes,
        back: bytes,
        subresource: bytes,
        request: bytes,
        response: bytes,
        around: bytes,
    ) -> bool:
        """Tell quickly whether bodies stay; *False* says only: judge them. Raises for no JSON.

        The first three are what objectRef says beside names, uid and version. *around* is the line
        without an answer that says what responseStatus does, and stays or goes with that.
        """
        if self._clean is None:
            for body in filter(None, (request, response)):
                check_json(body)
            return True
        if self._are_alone[front, back, subresource]:
            return self._clean.stay(request, response)
        return around != b"" and not request and self._clean.answer_stays(around)

    def judge(
        self, read: tuple[bytes, ...], around: Around, request: bytes, response: bytes
    ) -> Judged:
        """Judge bodies that may not stay; *read* are the parts of their line without them."""
        parts, check = PlainLine._make(read), self._clean
        if check is None:
            return None, b"", ()
        bodies = check.bodies(around, request, response, self._about(parts))
        if bodies is None:
            raise NotPlainError
        if bodies.line is None:
            return None, b"", ()
        status, notes = parts.status[len(STATUS) :], parts.annotations
        if check.repeats(
            bodies.redacted_values,
            self._decode_status(status) if status else None,
            self._decode_notes(notes) if notes else None,
        ):
            raise NotPlainError
        fired = tuple(chain.from_iterable(bodies.said.values()))
        return bodies.line, self._records.marks(bodies.said), fired

    # What is interned: each builder gets JSON, and gives wire bytes and a verdict.

    def _caller(self, key: bytes) -> Found:
        encoded = self._lines.caller(key, self._shapes)
        if encoded is None:
            self._members_of(key)  # which raises for what is written in another way
            caller = self._caller_of(key)
            if len(caller[-1]) > MAX_LIST:
                raise NotPlainError
            encoded = self._records.caller(caller)
        check = self._clean
        if check is None or check.are_free(key):
            return encoded, True
        return encoded, all(check.member(*member) for member in self._members_of(key))

    def _members_of(self, key: bytes) -> list[tuple[bytes, bytes]]:
        members = msgspec.structs.asdict(self._decode_members(b"{%b}" % key)).items()
        there = [(name.encode(), bytes(value)) for name, value in members if value is not _NOTHING]
        if b",".join([b'"%b":%b' % member for member in there]) != key:
            raise NotPlainError  # white space, an escape in a name, a member that is there twice
        return there

    def _caller_of(self, key: bytes) -> _CallerTexts:
        read = self._decode_caller(b"{%b}" % key)
        user = read.user or UserInfo()
        extra = tuple((user.extra or {}).items())
        return user.username, user.uid, user.groups, extra, read.userAgent, read.sourceIPs or ()

    def _template(self, shape: bytes) -> Template | None:
        """Make the template of callers of a shape; None where a value is not for itself."""
        if self._records.options.limits.lists_as_json:
            return None
        caller = self._caller_of(with_marks(shape))
        name, uid, _, extra, agent, addresses = caller
        values = (name, uid, *(text for _, texts in extra for text in texts), agent, *addresses)
        if sum(map(has_mark, values)) != shape.count(b"\0"):
            return None  # a name was there twice
        return self._templates.of(self._records.caller(caller))

    def _status(self, key: bytes) -> Found:
        name, status_json = key[: len(STATUS)], key[len(STATUS) :]
        if name not in (STATUS, b""):
            raise NotPlainError
        status = (self._decode_whole_status(status_json) if status_json else None) or Status()
        # Of a message nothing is asked but whether it ends so.
        end = CLOSED if status.message.endswith(CLOSED) else ""
        ending = _encode((status.code, status.reason, end))
        check = self._clean
        if check is None or not status_json or check.are_free(status_json):
            return ending, True
        return ending, check.member(b"responseStatus", status_json)

    def _request(self, key: bytes) -> Found:
        (level, stage, verb, ending), (target, alarm) = of_key(key)
        if level not in _LEVELS or stage not in _STAGES:
            raise NotPlainError
        code, reason, end = _decode_ending(ending)
        texts = level.decode(), stage.decode(), verb.decode()
        alarm = alarm_at_end(texts[1], end, alarm)
        request = self._records.requests["Event", *texts, code, reason, target, alarm, False]
        return request, not verb or self._are_clean((b"verb", b'"%b"' % verb))

    def _object(self, key: bytes) -> tuple[tuple[bytes, ...], bool, int]:
        members, (size, _) = of_key(key)
        front, back, subresource = members
        ref = self._references[front, back, subresource]
        texts = ref.resource, ref.subresource, ref.api_group, ref.api_version
        encoded, target = self._records.object((*texts, mark(0)))  # for the namespace
        check = self._clean
        clean = (
            check is None
            or check.are_free(b"".join(members))
            or all(check.references[text.encode()] for text in texts)
        )
        return frame_of(self._templates.of(encoded), size), clean, target

    def _note(self, key: bytes) -> tuple[bytes, bool, int]:
        annotations = (self._decode_notes(key) if key else None) or {}
        if not annotations:
            return b"", True, self._records.no_alarm
        encoded, alarm, cuts = self._records.note(tuple(annotations.items()))
        if cuts:
            raise NotPlainError
        return encoded, self._are_clean((b"annotations", key)), alarm

    def _has_bodies_alone(self, parts: tuple[bytes, ...]) -> bool:
        ref = self._references[parts]
        return self._clean is not None and ref.resource != "" and self._clean.are_alone(ref)

    def _about(self, parts: PlainLine) -> ObjectRef | str:
        """Return the object of a line, or its URI where it has none."""
        if parts.front:
            ref = self._references[parts.front, parts.back, parts.subresource]
            if ref.resource:
                return ref
        if b"\\" in parts.query:
            raise NotPlainError
        return b"?".join(filter(None, (parts.path, parts.query))).decode()

    def _are_clean(self, *members: tuple[bytes, bytes]) -> bool:
        """Judge members by their JSON, where they have any: all in one pass, else each."""
        check = self._clean
        values = [value for _, value in members if value]
        if check is None or not values or check.are_free(b",".join(values)):
            return True
        return all(check.member(name, value) for name, value in members if value)


def _reference(parts: tuple[bytes, ...]) -> ObjectRef:
    """Read an objectRef without its namespace, name, uid and version."""
    return _decode_reference(b"{%b}" % b"".join(parts))


def _bytes_of(parts: tuple[bytes, ...]) -> int:
    return sum(map(len, parts))


def _weight_of(template: Template | None) -> int:
    return 500 + sum(len(part) + 100 for part in template or () if isinstance(part, bytes))


def _second(text: bytes) -> int:
    """Read a time that ends with whole seconds, as microseconds since the epoch."""
    return int(datetime.fromisoformat(text.decode()).replace(tzinfo=UTC).timestamp()) * 1_000_000
