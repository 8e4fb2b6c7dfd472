"""Verdicts that are remembered: the same few texts come again for ever, and are judged once.

What is looked up in the inner loops is a dict, so a known text costs one look-up and no call.
"""

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Verdicts(dict[K, V], Generic[K, V]):
    """`verdicts[text]` is `judge(text)`, remembered. Bounded: a full one begins anew."""

    def __init__(
        self,
        judge: Callable[[K], V],
        *,
        most: int,
        longest: int,
        size: Callable[[Any], int] = len,
    ) -> None:
        """*most*: how many are remembered; *longest*: the size of one that is.

        What *judge* raises is raised, and nothing is remembered.
        """
        super().__init__()
        self._judge: Callable[[K], V] = judge
        self._most, self._longest, self._size = most, longest, size

    def __missing__(self, text: K) -> V:
        verdict = self._judge(text)
        self.remember((text,), verdict)
        return verdict

    def remember(self, texts: Iterable[K], verdict: V) -> None:
        """Keep one verdict on several texts."""
        for text in texts:
            if self._size(text) <= self._longest:
                if len(self) >= self._most:
                    self.clear()
                self[text] = verdict
