"""Keeps the newest blocks of a log for other readers, and has each read by one of them alone."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Generic, TypeVar

from k8s_audit_otlp.model import Block

Key = TypeVar("Key", bound=Hashable)
Found = TypeVar("Found")


class KeyedLock(Generic[Key]):
    """A lock for each key, as long as a thread has it or waits for it."""

    def __init__(self) -> None:
        self._guard = Lock()
        self._locks: dict[Key, tuple[Lock, int]] = {}  # and how many threads want it

    @contextmanager
    def of(self, key: Key) -> Iterator[None]:
        with self._guard:
            lock, wanted = self._locks.get(key) or (Lock(), 0)
            self._locks[key] = lock, wanted + 1
        try:
            with lock:
                yield
        finally:
            with self._guard:
                wanted = self._locks[key][1]
                if wanted > 1:
                    self._locks[key] = lock, wanted - 1
                else:
                    del self._locks[key]


class BlockCache:
    """Blocks by where they begin, *bound* bytes of them; a longer one is not kept."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._reading: KeyedLock[tuple[int, int]] = KeyedLock()
        self._lock = Lock()  # guards what is below
        self._blocks: OrderedDict[tuple[int, int], Block] = OrderedDict()
        self.size = 0

    def get(self, segment: int, offset: int, read: Callable[[], Found]) -> Block | Found:
        """Return the block that begins there, or what *read* finds; of that a block is kept."""
        key = segment, offset
        with self._reading.of(key):
            with self._lock:
                kept = self._blocks.get(key)
            if kept is not None:
                return kept
            found = read()
            if isinstance(found, Block):
                self._keep(key, found)
            return found

    def _keep(self, key: tuple[int, int], block: Block) -> None:
        if len(block.data) > self._bound:
            return
        with self._lock:
            self._blocks[key] = block
            self.size += len(block.data)
            while self.size > self._bound:
                _, old = self._blocks.popitem(last=False)
                self.size -= len(old.data)
