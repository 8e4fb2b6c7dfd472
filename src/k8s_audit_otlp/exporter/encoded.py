"""Encodes blocks, once for all exporters that map alike."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from threading import Event, Lock

from k8s_audit_otlp.model import Block, EncodedBlock, Span

Encode = Callable[[Block], EncodedBlock]


class EncodedBlocks:
    """Shares encoded blocks among exporters with the same effective mapping.

    One builder per key: who comes second waits for the first. The cache is bounded in bytes; with
    a single exporter nothing is kept at all.
    """

    def __init__(self, encode: Encode, *, sharers: int, cache_bytes: int = 8 * 1024 * 1024) -> None:
        self._encode = encode
        self._shared = sharers > 1
        self._bound = cache_bytes
        self._lock = Lock()  # guards the cache
        self._encoding = Lock()  # an encoder works on one block at a time
        self._kept: OrderedDict[Span, tuple[EncodedBlock, int]] = OrderedDict()
        self._size = 0
        self._building: dict[Span, Event] = {}

    def encode(self, block: Block) -> EncodedBlock:
        if not self._shared:
            return self._build(block)
        while True:
            with self._lock:
                if (kept := self._kept.get(block.span)) is not None:
                    return kept[0]
                ready = self._building.get(block.span)
                if ready is None:
                    ready = self._building[block.span] = Event()
                    break
            ready.wait()
        try:
            encoded = self._build(block)
            self._keep(encoded)
            return encoded
        finally:
            with self._lock:
                del self._building[block.span]
            ready.set()

    def _build(self, block: Block) -> EncodedBlock:
        with self._encoding:
            encoded = self._encode(block)
        if len(block.data) < block.span.end - block.span.start and encoded.records:
            # A line over the limit: its block stands for more bytes than it holds.
            return replace(encoded, ends=[block.span.end] * len(encoded.ends))
        return encoded

    def _keep(self, encoded: EncodedBlock) -> None:
        size = sum(map(len, encoded.records))
        with self._lock:
            self._kept[encoded.span] = (encoded, size)
            self._size += size
            while self._size > self._bound and len(self._kept) > 1:
                _, (_, old) = self._kept.popitem(last=False)
                self._size -= old
