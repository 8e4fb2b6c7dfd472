"""Bounded caches of wire bytes, so that what repeats is encoded once.

Clients choose most values in an audit event. A cache therefore has a bound on entries, on bytes and
on the size of one entry. It has two generations: a full one becomes the old one, and what is used
again moves up from there. Making every value unique costs the encoding of those values and nothing
else: the bytes held stay bounded, what is in use stays, and other caches do not notice.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from struct import Struct
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from k8s_audit_otlp.otlp import wire

MAX_ENTRIES = 4096  # per generation: several times the users, or the resources, of a large cluster
MAX_BYTES = 2 << 20  # per generation; an encoder has eleven caches of two
MAX_ENTRY_BYTES = 4096  # longer values are built each time
LONGEST_KEY = 1024  # bytes of one that is made of parts
MAX_FRAME_LENGTH = 512  # names, paths and queries are rarely longer

_numbers = Struct("<II")
V = TypeVar("V")
Found: TypeAlias = tuple[bytes, bool]  # wire bytes, and whether what they say may leave


def weigh(value: Any) -> int:
    """Estimate the bytes that a key or a value keeps alive."""
    if isinstance(value, str | bytes):
        return len(value) + 50
    if isinstance(value, tuple):
        return 50 + sum(map(weigh, value))
    return 30


def weigh_texts(key: tuple[str, ...], value: tuple[bytes, *tuple[Any, ...]]) -> int:
    """Estimate the same of a key of strings and a value that begins with its bytes."""
    return sum(map(len, key)) + 50 * len(key) + len(value[0]) + 250


def _weigh_both(key: Any, value: Any) -> int:
    return weigh(key) + weigh(value)


class TooLongError(ValueError):
    """A value that must be cut before it is framed, or a key that is not looked up."""


class Interned(dict[Any, V], Generic[V]):
    """`interned[key]` is `build(key)`, remembered while it fits."""

    def __init__(
        self, build: Callable[[Any], V], *, weigh: Callable[[Any, V], int] | None = None
    ) -> None:
        """*weigh*: estimates the bytes that a key and its value keep alive."""
        super().__init__()
        self._build = build
        self._weigh = weigh or _weigh_both
        self._old: dict[Any, V] = {}
        self.held_bytes = 0  # by the young generation

    def __missing__(self, key: Any) -> V:
        value = self._old.get(key)
        if value is None:
            value = self._build(key)
        weight = self._weigh(key, value)
        if weight <= MAX_ENTRY_BYTES:
            if len(self) >= MAX_ENTRIES or self.held_bytes + weight > MAX_BYTES:
                self._old = dict(self)
                self.clear()
                self.held_bytes = 0
            self.held_bytes += weight
            self[key] = value
        return value


def key_of(one: int, other: int, *parts: bytes) -> bytes:
    """Make a key of two numbers below 2**32 and of parts, in which no JSON has a NUL.

    Raises TooLongError for one that is not looked up.
    """
    key = _numbers.pack(one, other) + b"\0".join(parts)
    if len(key) > LONGEST_KEY:
        raise TooLongError
    return key


def of_key(key: bytes) -> tuple[list[bytes], tuple[int, int]]:
    """Return the parts of a key and its numbers; a part with a NUL makes more of them."""
    one, other = _numbers.unpack_from(key)
    return key[_numbers.size :].split(b"\0"), (one, other)


class Tables(NamedTuple):
    """What is known of parts that repeat, by their bytes; each builds what it does not know."""

    seconds: Mapping[bytes, int]  # microseconds since the epoch
    callers: Mapping[bytes, Found]
    # What is around a namespace of a length, with the target. By keys of several parts: `key_of`.
    objects: Mapping[bytes, tuple[tuple[bytes, ...], bool, int]]
    statuses: Mapping[bytes, Found]  # as JSON what of one is in attributes, for `requests`
    requests: Mapping[bytes, Found]
    notes: Mapping[bytes, tuple[bytes, bool, int]]  # with the alarm
    # The bytes around a value, by its length.
    names: Mapping[int, tuple[bytes, ...]]
    object_uids: Mapping[int, tuple[bytes, ...]]
    versions: Mapping[int, tuple[bytes, ...]]
    audit_ids: Mapping[int, tuple[bytes, ...]]
    paths: Mapping[int, tuple[bytes, ...]]
    queries: Mapping[int, tuple[bytes, ...]]
    # Whether a text leaves as it is; None where nothing is redacted.
    clean_paths: Mapping[bytes, bool] | None
    clean_queries: Mapping[bytes, bool] | None
    clean_references: Mapping[bytes, bool] | None
    duration_head: bytes  # empty where the duration is not sent
    recent: object  # the compiled part's, of these tables alone


class Frames(dict[int, tuple[bytes, ...]]):
    """The bytes around a string that never repeats, by its length.

    `value.join(frames[len(value)])` is one attribute for each key, all with that value.
    """

    def __init__(
        self,
        keys: Sequence[str],
        longest: int = sys.maxsize,
        head: Callable[[bytes, int], bytes] = wire.string_head,
    ) -> None:
        """*longest*: bytes of the longest value that has a frame; *head* as `wire.string_head`."""
        super().__init__()
        self._keys = [key.encode() for key in keys]
        self._longest, self._head = longest, head
        if head is wire.string_head:
            self[0] = (b"",)  # no attribute for an empty string

    def __missing__(self, size: int) -> tuple[bytes, ...]:
        if size > self._longest:
            raise TooLongError
        frame = (*(self._head(key, size) for key in self._keys), b"")
        if size < MAX_FRAME_LENGTH:
            self[size] = frame
        return frame


class Heads(dict[int, bytes]):
    """`heads[size]` is `build(size)`, remembered for sizes below the bound."""

    def __init__(self, build: Callable[[int], bytes], bound: int = 8192) -> None:
        super().__init__()
        self._build, self._bound = build, bound

    def __missing__(self, size: int) -> bytes:
        head = self._build(size)
        if size < self._bound:
            self[size] = head
        return head
