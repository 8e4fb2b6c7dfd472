"""Shares work between exporters that send the same: encoded blocks and prepared requests."""

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Sequence
from threading import Lock
from typing import Generic, TypeVar

from k8s_audit_otlp.model import Block, EncodedBlock, Outcome, Span
from k8s_audit_otlp.receiver.block_cache import KeyedLock
from k8s_audit_otlp.transport.sender import ExportRequest, Sender

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
Encode = Callable[[Block], EncodedBlock]

_BLOCK_BYTES = 8 * 1024 * 1024
REQUEST_BYTES = 8 * 1024 * 1024  # with the records, which blocks and requests under way share


def concatenate(span: Span, parts: Sequence[EncodedBlock]) -> EncodedBlock:
    """Concatenate the encoded parts of a block; records end where their part does."""
    return EncodedBlock(
        span,
        [record for part in parts for record in part.records],
        [part.span.end for part in parts for _ in part.records],
        [(part.span.end, rule) for part in parts for _, rule in part.dropped],
        sum(part.lines for part in parts),
        next((part.first_ns for part in parts if part.first_ns), 0),
        max((part.last_ns for part in parts), default=0),
        sum((Counter(part.redacted) for part in parts), Counter()),
        b"".join(part.digests for part in parts),
    )


class SingleFlightCache(Generic[Key, Value]):
    """Computes a value once for all its sharers; a second caller waits for the first.

    A value is dropped when each sharer has read it. The cache is bounded in bytes and evicts the
    oldest first: an exporter that lags far behind computes values of its own.
    """

    def __init__(self, sharers: int, bound: int) -> None:
        self._sharers = sharers
        self._bound = bound
        self._making: KeyedLock[Key] = KeyedLock()
        self._lock = Lock()  # guards everything below
        self._kept: OrderedDict[Key, tuple[Value, int, int]] = OrderedDict()  # size, still to come
        self._size = 0

    def get(self, key: Key, make: Callable[[], tuple[Value, int]]) -> Value:
        """Return the value of *key*; *make* gives it and its size in bytes."""
        with self._making.of(key):
            with self._lock:
                if key in self._kept:
                    return self._hand_out(key)
            value, size = make()
            self._keep(key, value, size)
            return value

    def _hand_out(self, key: Key) -> Value:
        value, size, to_come = self._kept.pop(key)
        if to_come > 1:
            self._kept[key] = value, size, to_come - 1
        else:
            self._size -= size
        return value

    def _keep(self, key: Key, value: Value, size: int) -> None:
        if self._sharers < 2:
            return
        with self._lock:
            self._kept[key] = value, size, self._sharers - 1
            self._size += size
            while self._size > self._bound and len(self._kept) > 1:
                _, (_, old, _) = self._kept.popitem(last=False)
                self._size -= old


class EncodedBlocks:
    """Encodes the blocks of a log, once for exporters with the same effective mapping."""

    def __init__(self, encode: Encode, *, sharers: int, cache_bytes: int = _BLOCK_BYTES) -> None:
        self._encode = encode
        self._encoding = Lock()  # an encoder works on one block at a time
        self._blocks: SingleFlightCache[Span, EncodedBlock] = SingleFlightCache(
            sharers, cache_bytes
        )

    def encode(self, block: Block) -> EncodedBlock:
        def make() -> tuple[EncodedBlock, int]:
            with self._encoding:
                encoded = self._encode(block)
            return encoded, sum(map(len, encoded.records))

        return self._blocks.get(block.span, make)


class SharingSender:
    """A sender that reuses the requests which another exporter has prepared of the same records.

    The same records give the same bytes, joined and compressed. Sending and judging the answer stay
    with each exporter.
    """

    def __init__(self, sender: Sender, requests: "Requests") -> None:
        self._sender = sender
        self._requests = requests

    def prepare(self, receiver: str, records: Sequence[bytes]) -> ExportRequest:
        def make() -> tuple[tuple[Sequence[bytes], ExportRequest], int]:
            request = self._sender.prepare(receiver, records)
            return (records, request), len(request.body) + sum(map(len, records))

        key = (receiver, len(records), records[0], records[-1])
        made_of, request = self._requests.get(key, make)
        return request if made_of == records else self._sender.prepare(receiver, records)

    def send(self, request: ExportRequest) -> Outcome:
        return self._sender.send(request)

    def close(self) -> None:
        self._sender.close()


Requests = SingleFlightCache[Hashable, tuple[Sequence[bytes], ExportRequest]]
