"""Reads export requests into records and counts.

What a back end got is kept here: which record ids, how often, and the notices among them.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from threading import Condition
from typing import Any, Literal, NamedTuple, TextIO

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

UID = "log.record.uid"
AUDIT_ID = frozenset({"auditID", "k8s.audit.id"})  # under either attribute profile
EVENT = "k8s.audit.event"
NOTICE_PREFIX = "k8s.audit."  # an event name with it that is not EVENT names a notice

Keep = Literal["records", "uids", "nothing"]


class Ids(NamedTuple):
    uid: str
    audit_id: str
    event_name: str

    @property
    def is_notice(self) -> bool:
        return self.event_name.startswith(NOTICE_PREFIX) and self.event_name != EVENT


class Record(NamedTuple):
    """One LogRecord with the resource it came under."""

    uid: str
    event_name: str
    body: Any
    attributes: dict[str, Any]
    resource: dict[str, Any]
    time_ns: int
    observed_ns: int
    severity_number: int
    severity_text: str
    scope: str

    @property
    def ids(self) -> Ids:
        audit_id = next((self.attributes[key] for key in AUDIT_ID if key in self.attributes), "")
        return Ids(self.uid, str(audit_id), self.event_name)


def parse(body: bytes) -> ExportLogsServiceRequest:
    """Read one request; a ValueError says that it is none."""
    try:
        request: ExportLogsServiceRequest = ExportLogsServiceRequest.FromString(body)
    except DecodeError as error:
        raise ValueError(f"no ExportLogsServiceRequest: {error}") from error
    return request


def decode(body: bytes) -> list[Record]:
    records = []
    for resource_logs in parse(body).resource_logs:
        resource = _mapping(resource_logs.resource.attributes)
        for scope_logs in resource_logs.scope_logs:
            scope = scope_logs.scope.name
            records += [_record(record, resource, scope) for record in scope_logs.log_records]
    return records


def decode_ids(body: bytes) -> list[Ids]:
    """Read only the ids and the event name of each record."""
    request = parse(body)
    return [
        _ids(record)
        for resource_logs in request.resource_logs
        for scope_logs in resource_logs.scope_logs
        for record in scope_logs.log_records
    ]


def count_records(body: bytes) -> int:
    """Count the records by walking over the lengths on the wire; their inside is not read."""
    # numbers of resource_logs, scope_logs and log_records: opentelemetry/proto/logs/v1/logs.proto
    return sum(
        1
        for start, end in _fields(body, 0, len(body), 1)
        for scope_start, scope_end in _fields(body, start, end, 2)
        for _ in _fields(body, scope_start, scope_end, 2)
    )


def leave_out(body: bytes, chosen: Callable[[int, bytes], bool]) -> bytes:
    """Return the request without the records that are chosen by (index, LogRecord bytes)."""
    request = parse(body)
    index = 0
    for resource_logs in request.resource_logs:
        for scope_logs in resource_logs.scope_logs:
            records = list(scope_logs.log_records)
            del scope_logs.log_records[:]
            for record in records:
                if not chosen(index, record.SerializeToString()):
                    scope_logs.log_records.append(record)
                index += 1
    data: bytes = request.SerializeToString()
    return data


class Received:
    """What arrived so far. Safe to use from many threads."""

    def __init__(self, keep: Keep = "records", uids_file: Path | None = None) -> None:
        self.keep: Keep = keep
        self._changed = Condition()  # guards all below
        self.uids: Counter[str] = Counter()  # of audit events; notices are not among them
        self.audit_ids: Counter[str] = Counter()  # one for each different uid that carries it
        self.by_event_name: Counter[str] = Counter()
        self.records: list[Record] = []  # in order of arrival, repeats included
        self.notices: list[Record] = []
        self.total = 0
        self._uids_file: TextIO | None = uids_file.open("a") if uids_file else None

    def __repr__(self) -> str:
        return f"<Received total={self.total} unique={len(self.uids)} notices={len(self.notices)}>"

    @property
    def duplicates(self) -> int:
        """How many audit events arrived again."""
        with self._changed:
            return self.uids.total() - len(self.uids)

    def add_body(self, body: bytes) -> int:
        """Take a whole request as thoroughly as `keep` asks for and say how many records it has."""
        if self.keep == "records":
            return self.add(decode(body))
        if self.keep == "nothing":
            number = count_records(body)
            with self._changed:
                self.total += number
                self._changed.notify_all()
            return number
        ids = decode_ids(body)
        if any(one.is_notice for one in ids):
            return self.add(decode(body))  # notices are few and worth keeping whole
        with self._changed:
            self._count(ids)
        return len(ids)

    def add(self, records: Sequence[Record]) -> int:
        events = [record for record in records if not record.ids.is_notice]
        notices = [record for record in records if record.ids.is_notice]
        with self._changed:
            if self.keep == "records":
                self.records += events
            self.notices += notices
            self.total += len(notices)
            self.by_event_name.update(notice.event_name for notice in notices)
            self._count([record.ids for record in events])
        return len(records)

    def _count(self, events: Sequence[Ids]) -> None:
        self.total += len(events)
        for uid, audit_id, name in events:
            if uid not in self.uids:
                self.audit_ids[audit_id] += 1
            self.uids[uid] += 1
            self.by_event_name[name] += 1
        if self._uids_file and events:
            self._uids_file.write("".join(f"{ids.uid}\t{ids.audit_id!a}\n" for ids in events))
            self._uids_file.flush()  # before the answer goes out: what is acknowledged is on file
        self._changed.notify_all()

    def wait_for(self, n_unique: int, timeout: float = 60.0) -> None:
        """Return once so many different audit events are here; TimeoutError says how far it got."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.uids) >= n_unique, timeout):
                raise TimeoutError(f"{len(self.uids)} of {n_unique} events after {timeout} s")

    def totals(self) -> dict[str, Any]:
        with self._changed:
            return {
                "records": self.total,
                "unique": len(self.uids),
                "duplicates": self.uids.total() - len(self.uids),
                "notices": len(self.notices),
                "by_event_name": dict(self.by_event_name),
            }

    def close(self) -> None:
        with self._changed:
            if self._uids_file:
                self._uids_file.close()


def _record(record: LogRecord, resource: dict[str, Any], scope: str) -> Record:
    attributes = _mapping(record.attributes)
    return Record(
        uid=str(attributes.get(UID, "")),
        event_name=record.event_name,
        body=_value(record.body),
        attributes=attributes,
        resource=resource,
        time_ns=record.time_unix_nano,
        observed_ns=record.observed_time_unix_nano,
        severity_number=int(record.severity_number),
        severity_text=record.severity_text,
        scope=scope,
    )


def _ids(record: LogRecord) -> Ids:
    uid = audit_id = ""
    for attribute in record.attributes:
        if attribute.key == UID:
            uid = attribute.value.string_value
        elif attribute.key in AUDIT_ID:
            audit_id = attribute.value.string_value
    return Ids(uid, audit_id, record.event_name)


def _mapping(attributes: Iterable[KeyValue]) -> dict[str, Any]:
    return {attribute.key: _value(attribute.value) for attribute in attributes}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return _mapping(value.kvlist_value.values)
    return getattr(value, kind)


def _fields(data: bytes, at: int, end: int, wanted: int) -> Iterator[tuple[int, int]]:
    """Yield the range of each length-delimited field with that number; others are stepped over."""
    while at < end:
        tag, at = _varint(data, at)
        match tag & 7:
            case 0:
                _, at = _varint(data, at)
            case 1:
                at += 8
            case 2:
                length, at = _varint(data, at)
                if tag >> 3 == wanted:
                    yield at, at + length
                at += length
            case 5:
                at += 4
            case wire_type:
                raise ValueError(f"offset {at}: protobuf wire type {wire_type} is not in use")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
