"""Fits attributes to what a back end takes at most and will understand. Pure.

`Limits` comes from the configuration (`audit::limits`, filled in by a vendor's preset).
`AttributeLimits` is the part that changes records: exporters with equal ones can share them.
"""

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from math import inf

from k8s_audit_otlp.otlp import wire

UID = "log.record.uid"  # read back from records by this name; flat names are the back end's work


@dataclass(frozen=True, slots=True)
class AttributeLimits:
    """What one record may carry; 0 is no limit."""

    count: int = 0
    name_bytes: int = 0
    value_bytes: int = 0
    list_items: int = 0
    total_bytes: int = 0  # of all names and values in sum
    lists_as_json: bool = False
    flat_names: bool = False
    reserved: frozenset[str] = frozenset()  # names that mean something else to the back end

    def room(self, taken: int) -> int | None:
        """Return how many attributes fit beside *taken* others; None when any number does."""
        return max(0, self.count - taken) if self.count else None


@dataclass(frozen=True, slots=True)
class Limits:
    """What records and requests may be; 0 is no limit."""

    attributes: AttributeLimits = field(default_factory=AttributeLimits)
    request_bytes: int = 0  # before compression
    request_records: int = 0
    time_span_s: float = 0.0  # between the first and the last event of a request
    max_age_s: float = 0.0
    max_ahead_s: float = 0.0

    def oldest_ns(self, now_ns: int) -> int:
        """Return the first time that is still taken at *now_ns*; 0 where there is no limit."""
        return max(0, now_ns - round(self.max_age_s * 1e9)) if self.max_age_s else 0

    def newest_ns(self, now_ns: int) -> float:
        """Return the last time that is taken at *now_ns*; infinity where there is no limit."""
        return now_ns + self.max_ahead_s * 1e9 if self.max_ahead_s else inf

    def request_size(self, wanted: int) -> int:
        """Return the bytes of a request: what is wanted, as far as the back end takes it."""
        return min(wanted, self.request_bytes) if self.request_bytes else wanted

    def request_count(self, wanted: int) -> int:
        """Return the records of a request, 0 for any number."""
        return min(filter(None, (wanted, self.request_records)), default=0)


class AttributeLimiter:
    """Renames, cuts and flattens attributes under one mapping.

    *taken*: names that the mapping uses itself. A reserved name gets the prefix in front; where
    that name is taken, the record says the same there already and the attribute is left out.
    """

    def __init__(self, limits: AttributeLimits, prefix: str, taken: Collection[str] = ()) -> None:
        self._limits = limits
        self._prefix = prefix
        self._taken = frozenset(taken)

    def __call__(self, pairs: Iterable[tuple[str, wire.Value]]) -> Iterator[tuple[str, wire.Value]]:
        """Yield the attributes that are left, as they are to be sent; each name once."""
        sent: set[str] = set()
        for key, value in pairs:
            if (name := self.name(key)) and name not in sent:
                sent.add(name)
                yield name, self.value(value)

    def name(self, key: str) -> str:
        """Return the name to send; empty where the attribute is left out."""
        limits = self._limits
        if key in limits.reserved:
            key = self._prefix + key
            if key in self._taken:
                return ""
        if key == UID:
            return key
        if limits.flat_names:
            key = key.replace(".", "_")
        return cut_text(key, limits.name_bytes)

    def names(self, keys: Iterable[str]) -> list[str]:
        return [name for key in keys if (name := self.name(key))]

    def value(self, value: wire.Value) -> wire.Value:
        limits = self._limits
        if isinstance(value, str):
            return cut_text(value, limits.value_bytes)
        if isinstance(value, bool | int | float):
            return value
        items = value[: limits.list_items] if limits.list_items else value
        if limits.lists_as_json:
            return json_list(items, limits.value_bytes)
        return [cut_text(item, limits.value_bytes) for item in items]


def cut_text(text: str, most: int) -> str:
    """Return the start of *text* that is at most so many bytes of UTF-8; 0 is no limit."""
    if not most or len(text) * 4 <= most:
        return text
    data = text.encode("utf-8", "replace")
    return text if len(data) <= most else data[:most].decode("utf-8", "ignore")


def cut_bytes(text: bytes, most: int) -> bytes:
    """Return the start of UTF-8 *text* that is at most so many bytes."""
    return text if len(text) <= most else text[:most].decode("utf-8", "ignore").encode()


def json_list(items: Iterable[str], most: int) -> str:
    """Write a list as JSON text of at most so many bytes: whole items, and valid JSON."""
    kept: list[str] = []
    size = 2
    for item in items:
        text = json.dumps(item)  # ASCII: its length is its bytes
        size += len(text) + bool(kept)
        if most and size > most:
            break
        kept.append(text)
    return f"[{','.join(kept)}]"
