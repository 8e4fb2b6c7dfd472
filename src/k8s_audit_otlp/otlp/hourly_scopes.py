"""Names the hour of events in their resource, for a back end that orders a stream by time.

Loki refuses a line that is more than an hour behind the newest of its stream. Two logs of one
receiver, a backup that is found late, a state that was lost, a replay and notices beside a backlog
would all make such lines. A stream that holds one hour of events takes its lines in any order. The
name follows from the event alone, so what is sent twice meets itself there.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache

from opentelemetry.sdk.resources import Resource

from k8s_audit_otlp.otlp.resource import encode_resource, export_request
from k8s_audit_otlp.otlp.wire import time_of

ResourceScope = tuple[bytes, bytes]  # as `export_request` takes them
HOUR_NS = 3600 * 10**9
_NAME = "k8s-audit"  # before the hour, where the attribute has no value
_KEPT = 256  # encoded resources


class HourlyScopes(Mapping[str, ResourceScope]):
    """The resource and scope of each receiver, also with the hour in one attribute."""

    def __init__(self, resources: Mapping[str, Resource], scope: bytes, attribute: str) -> None:
        self._resources = resources
        self._scope = scope
        self._attribute = attribute
        self.at = lru_cache(_KEPT)(self._at)

    def _at(self, receiver: str, hour: int) -> ResourceScope:
        """Return them with *hour*, which is counted from 1970."""
        resource = self._resources[receiver]
        name = (resource.attributes or {}).get(self._attribute) or _NAME
        when = datetime.fromtimestamp(hour * 3600, UTC)
        own = Resource({self._attribute: f"{name}-{when:%Y-%m-%dT%H}"})
        return encode_resource(resource.merge(own)), self._scope

    def __getitem__(self, receiver: str) -> ResourceScope:
        return encode_resource(self._resources[receiver]), self._scope

    def __iter__(self) -> Iterator[str]:
        return iter(self._resources)

    def __len__(self) -> int:
        return len(self._resources)


def request_of(
    scopes: Mapping[str, ResourceScope], receiver: str, records: Sequence[bytes]
) -> bytes:
    """Join records to the body of one request, with what stands before them in *scopes*.

    Requests joined are a request. One of several hours has a part for each; the order in it stays.
    """
    if not isinstance(scopes, HourlyScopes):
        return export_request(*scopes[receiver], records)
    hours: dict[int, list[bytes]] = {}
    for record in records:
        hours.setdefault(time_of(record) // HOUR_NS, []).append(record)
    return b"".join(export_request(*scopes.at(receiver, at), those) for at, those in hours.items())
