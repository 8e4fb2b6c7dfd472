"""Keeps the attributes of one record below a bound on their sum, names and values, by bytes.

Loki answers 400 to a line whose structured metadata is over 64 KB, and a client chooses most of it:
the path, its user agent, its groups. What clients choose is cut first, the longest before all else;
who, what and how it ended is cut only where it alone is too much. The body still says it whole.
"""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from k8s_audit_otlp.otlp import wire
from k8s_audit_otlp.otlp.limits import cut_text, json_list
from k8s_audit_otlp.otlp.mapping import TABLE, MappingOptions, limiter_of

# Rows that are cut before all others: clients and webhooks choose them and how long they are.
CHOSEN = frozenset(
    {
        "url.query",
        "user_agent.original",
        "{p}user.extra.<key>",
        "{p}user.groups",
        "{p}impersonated_user.groups",
        "{p}annotation.<key>",
        "{p}authorization.reason",
        "{p}source_ips",
        "url.path",
    }
)
_MARKS = ("redacted", "truncated", "truncation.removed", "truncation.original_bytes")
_NUMBER = 25  # a number as text, at most
_ESCAPED = 6  # bytes of a character of a list in the back end's JSON, at most: \u003c
_LEAST = 16  # bytes of a value; with less left, the attribute goes
_ESCAPES = re.compile(r'[\x00-\x1f"\\<>&\u2028\u2029]')

Pair: TypeAlias = tuple[str, wire.Value]


class SumLimiter:
    """Cuts the attributes of records of one mapping.

    `beside`: encoded bytes beside the body up to which a record needs no look. Lists are counted as
    JSON, in which one byte may become six, so it is a sixth of the bound.
    """

    def __init__(self, options: MappingOptions) -> None:
        limits, prefix = options.limits, options.prefix
        self._most = limits.total_bytes
        self.beside = self._most // _ESCAPED if self._most else sys.maxsize
        limiter = limiter_of(options)
        name = limiter.name if limiter else str
        fixed = [row for row in TABLE if row.key not in CHOSEN]
        self._last = {name(row.key_with(prefix)) for row in fixed}
        self._last |= {name(prefix + mark) for mark in _MARKS}
        lists = [row.key_with(prefix) for row in TABLE if row.type == "string[]"]
        lists += [f"{prefix}redacted", f"{prefix}truncation.removed"]
        as_json = lists if limits.lists_as_json else []
        self._json = tuple(name(key.removesuffix("<key>")) for key in as_json)

    def __call__(self, encoded: bytes) -> bytes:
        """Return a LogRecord without its body, with attributes cut and the cuts counted in it."""
        # Imported late: most runs never need it, and the messages are slow to load.
        from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord  # noqa: PLC0415

        message = LogRecord.FromString(encoded)
        pairs = [(p.key, value_of(p.value)) for p in message.attributes if _is_ours(p.value)]
        kept, cuts = self.fit(pairs)
        if not cuts:
            return encoded
        others = [pair for pair in message.attributes if not _is_ours(pair.value)]
        del message.attributes[:]
        message.dropped_attributes_count += cuts
        message.MergeFromString(b"".join([wire.attribute(*pair) for pair in kept]))
        message.attributes.extend(others)
        smaller: bytes = message.SerializeToString()
        return smaller

    def fit(self, pairs: Sequence[Pair]) -> tuple[list[Pair], int]:
        """Return the attributes in their order, cut to the bound, and how many were cut or left."""
        if not self._most or sum(map(size_of, pairs)) <= self._most:
            return list(pairs), 0
        last = [size_of(pair) for pair in pairs if self._is_last(pair)]
        chosen = [size_of(pair) for pair in pairs if not self._is_last(pair)]
        most_last = _level(last, self._most)
        most_chosen = _level(chosen, max(0, self._most - sum(last)))
        kept: list[Pair] = []
        cuts = 0
        for pair in pairs:
            most = most_last if self._is_last(pair) else most_chosen
            if size_of(pair) <= most:
                kept.append(pair)
                continue
            cuts += 1
            room = most - len(pair[0].encode())
            if room >= _LEAST:
                kept.append((pair[0], self._cut(*pair, room)))
        return kept, cuts

    def _is_last(self, pair: Pair) -> bool:
        return pair[0] in self._last or isinstance(pair[1], bool | int | float)

    def _cut(self, key: str, value: wire.Value, most: int) -> wire.Value:
        if isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            if self._json and key.startswith(self._json) and value.startswith("["):
                return json_list(items_of(value), most)
            return cut_text(value, most)
        return _cut_list(value, most)


def size_of(pair: Pair) -> int:
    """Return the bytes of name and value as a back end counts them that keeps values as text."""
    key, value = pair
    if isinstance(value, str):
        size = len(value.encode("utf-8", "replace"))
    elif isinstance(value, bool | int | float):
        size = _NUMBER
    else:
        size = 2 + sum(map(_item_size, value))
    return len(key.encode("utf-8", "replace")) + size


def _item_size(item: str) -> int:
    escapes = (_ESCAPED - 1) * len(_ESCAPES.findall(item))
    return len(item.encode("utf-8", "replace")) + escapes + 3  # quotes and a comma


def _cut_list(items: Iterable[str], most: int) -> list[str]:
    """Keep whole items from the start; of a first one that is too long, its start."""
    kept: list[str] = []
    left = most - 2
    for item in items:
        left -= _item_size(item)
        if left < 0:
            return kept or [cut_text(item, max(1, (most - 5) // _ESCAPED))]
        kept.append(item)
    return kept


def _level(sizes: Iterable[int], room: int) -> int:
    """Return the most that each may have so that all of them fit, and short ones stay whole."""
    ordered = sorted(sizes)
    for at, size in enumerate(ordered):
        share = room // (len(ordered) - at)
        if size > share:
            return share
        room -= size
    return sys.maxsize


def items_of(value: Any) -> list[str]:
    """Read a list back that may have been written as JSON."""
    return json.loads(value) if isinstance(value, str) else list(value)


def _is_ours(value: Any) -> bool:
    """Tell a text, a number or a list of texts: a program's own records may hold more."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return all(each.WhichOneof("value") == "string_value" for each in value.array_value.values)
    return kind in ("string_value", "bool_value", "int_value", "double_value")


def value_of(value: Any) -> wire.Value:
    """Read an attribute's value back from the official message."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [each.string_value for each in value.array_value.values]
    found: wire.Value = getattr(value, kind)
    return found
