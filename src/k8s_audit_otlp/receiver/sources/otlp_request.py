"""Extracts events from OTLP requests that an exporter has written to a topic. Pure.

The body of a record is the line of its event. Its uid, and the receipts that count it, are those of
the log that it came from: here it is a line of another one, and both begin anew. Of what an agent
tells about itself gaps are told again, as losses of the source; the rest is left out.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from k8s_audit_otlp.event.lenient_json import REFUSED
from k8s_audit_otlp.otlp import wire

_JSON = re.compile(rb'\s*\{\s*"resourceLogs"')
_GAP = "k8s.audit.gap"
_CLUSTER = "k8s.cluster.name"
_SKIPPED = wire.attributes({_GAP + ".reason": "skipped"})  # on purpose, where the log is


class UnreadableRequestError(ValueError):
    """It is no request of OTLP, or the body of a record in it is no text."""


class OtlpRequest(NamedTuple):
    """What a request holds: the bodies of its records, what its gaps say, whose events they are."""

    bodies: list[bytes]
    gaps: list[str]
    clusters: set[str]


def is_request(message: bytes) -> bool:
    """Tell an export request by what it begins with, a binary one by the lengths of its fields."""
    if _JSON.match(message):
        return True
    if not message.startswith(wire.RESOURCE_LOGS):
        return False
    try:
        found = [wire.delimited(tag, value) for tag, value in wire.fields(message)]
    except IndexError:
        return False
    return b"".join(found) == message and all(one.startswith(wire.RESOURCE_LOGS) for one in found)


def read_request(message: bytes) -> OtlpRequest | None:
    """Read an export request, binary or JSON; None where *message* is none.

    Raise UnreadableRequestError: nothing of it may be passed over.
    """
    if not is_request(message):
        return None
    found = OtlpRequest([], [], set())
    try:
        if _JSON.match(message):
            request = msgspec.json.decode(message)
            clusters, records = _json_clusters(request), _json(request)
        else:
            clusters, records = _clusters(message), _binary(message)
        found.clusters.update(clusters)
        for name, body, skipped in records:
            if name != _GAP:
                found.bodies.append(body)
            elif not skipped:
                found.gaps.append(body.decode("utf-8", "replace"))
    except (*REFUSED, LookupError, TypeError, AttributeError, UnicodeError) as error:
        raise UnreadableRequestError(str(error)) from None
    return found


def _binary(message: bytes) -> Iterator[tuple[str, bytes, bool]]:
    for record in _within(message, wire.RESOURCE_LOGS, wire.SCOPE_LOGS, wire.LOG_RECORD):
        bodies = _within(record, wire.BODY, wire.STRING)
        if not bodies:
            raise UnreadableRequestError("the body of a record is no text")
        name = b"".join(_within(record, wire.EVENT_NAME))
        yield name.decode("utf-8", "replace"), bodies[0], _SKIPPED in record


def _clusters(message: bytes) -> Iterator[str]:
    for one in _within(message, wire.RESOURCE_LOGS, wire.RESOURCE, wire.RESOURCE_ATTRIBUTE):
        if _within(one, wire.KEY) == [_CLUSTER.encode()]:
            names = _within(one, wire.VALUE, wire.STRING)
            yield from (name.decode("utf-8", "replace") for name in names)


def _within(message: bytes, *tags: bytes) -> list[bytes]:
    """Return the fields of a message that are reached by *tags*, one inside the other."""
    found = [message]
    for tag in tags:
        found = [value for one in found for name, value in wire.fields(one) if name == tag]
    return found


def _json(request: Any) -> Iterator[tuple[str, bytes, bool]]:
    reason = {"key": _GAP + ".reason", "value": {"stringValue": "skipped"}}
    for record in _inside(request, "resourceLogs", "scopeLogs", "logRecords"):
        skipped = reason in record.get("attributes", ())
        yield record.get("eventName", ""), record["body"]["stringValue"].encode(), skipped


def _json_clusters(request: Any) -> Iterator[str]:
    for one in _inside(request, "resourceLogs", "resource", "attributes"):
        if one.get("key") == _CLUSTER:
            yield one["value"]["stringValue"]


def _inside(message: Any, *names: str) -> list[Any]:
    """Return the members that are reached by *names*, as `_within` does."""
    found = [message]
    for name in names:
        members = [one[name] for one in found if name in one]
        found = [
            x for member in members for x in (member if isinstance(member, list) else [member])
        ]
    return found
