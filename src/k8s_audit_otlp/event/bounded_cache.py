"""A bounded cache: the same few texts come again for ever, and are looked at once.

What is looked up in the inner loops is a dict, so a known text costs one look-up and no call.
"""

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedCache(dict[K, V], Generic[K, V]):
    """`cache[text]` is `compute(text)`, remembered. Bounded: a full one begins anew."""

    def __init__(
        self,
        compute: Callable[[K], V],
        *,
        most: int,
        longest: int,
        size: Callable[[Any], int] = len,
    ) -> None:
        """*most*: how many are remembered; *longest*: the size of one that is.

        What *compute* raises is raised, and nothing is remembered.
        """
        super().__init__()
        self._compute: Callable[[K], V] = compute
        self._most, self._longest, self._size = most, longest, size

    def __missing__(self, text: K) -> V:
        value = self._compute(text)
        self.remember((text,), value)
        return value

    def remember(self, texts: Iterable[K], value: V) -> None:
        """Keep one value for several texts."""
        for text in texts:
            if self._size(text) <= self._longest:
                if len(self) >= self._most:
                    self.clear()
                self[text] = value
