"""Finds which of many words are in a text, in one pass where Hyperscan is installed.

Both matchers give the same answer; without Hyperscan each word is looked for on its own, which
takes some twenty times as long on a large body.
"""

import re
from collections.abc import Sequence
from typing import Any, Protocol

try:
    import hyperscan
except ImportError:  # a platform without a wheel: slower, and the same
    hyperscan = None  # type: ignore[assignment]  # told apart below


class Matcher(Protocol):
    """Gives the words that are in a text as bits: bit n for word n. ASCII letters in any case.

    Patterns are what Hyperscan and `re` read alike: classes, groups, repetitions.
    """

    def __call__(self, text: bytes) -> int: ...


class PlainMatcher:
    """Looks for one word after the other."""

    def __init__(self, words: Sequence[bytes], patterns: Sequence[bytes] = ()) -> None:
        self._words = tuple((word.lower(), 1 << bit) for bit, word in enumerate(words))
        self._patterns = tuple(
            (re.compile(pattern, re.IGNORECASE).search, 1 << (len(words) + n))
            for n, pattern in enumerate(patterns)
        )

    def __call__(self, text: bytes) -> int:
        lowered = text.lower()
        found = 0
        for word, bit in self._words:
            if word in lowered:
                found |= bit
        for search, bit in self._patterns:
            if search(text):
                found |= bit
        return found


class HyperscanMatcher:
    """Looks for all words in one pass. Safe for threads: each call has a scratch of its own."""

    def __init__(self, words: Sequence[bytes], patterns: Sequence[bytes] = ()) -> None:
        self._database = hyperscan.Database()
        flags = hyperscan.HS_FLAG_CASELESS | hyperscan.HS_FLAG_SINGLEMATCH
        expressions = [*map(re.escape, words), *patterns]
        self._database.compile(
            expressions=expressions,
            ids=list(range(len(expressions))),
            flags=[flags] * len(expressions),
        )
        self._first: Any = hyperscan.Scratch(self._database)
        self._free: list[Any] = [self._first]

    def __call__(self, text: bytes) -> int:
        try:
            scratch = self._free.pop()
        except IndexError:  # as many threads as never before
            scratch = self._first.clone()
        hits: list[int] = []
        self._database.scan(text, match_event_handler=_take, context=hits, scratch=scratch)
        self._free.append(scratch)
        found = 0
        for word in hits:
            found |= 1 << word
        return found


def _take(word: int, _start: int, _end: int, _flags: int, hits: Any) -> None:
    hits.append(word)


def matcher_of(words: Sequence[bytes], patterns: Sequence[bytes] = ()) -> Matcher:
    """Make the quickest matcher that is to be had; *patterns* have their bits after the words."""
    make = PlainMatcher if hyperscan is None else HyperscanMatcher
    return make(words, patterns)
