"""Finds which of many words and patterns are in a text, in one pass where Hyperscan is installed.

Both matchers give the same answer; without Hyperscan each is looked for on its own, which
takes some twenty times as long on a large body.
"""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from k8s_audit_otlp.event.secrets.kept_database import KeptDatabase

try:
    import hyperscan
except ImportError:  # a platform without a wheel: slower, and the same
    hyperscan = None  # type: ignore[assignment]  # told apart below


class Pattern(NamedTuple):
    """One that Hyperscan and `re` read alike: classes, groups, repetitions. Compiled by either."""

    source: bytes


Sought: TypeAlias = bytes | Pattern  # a word, or a pattern


class Matcher(Protocol):
    """Gives what is in a text as bits: bit n for the n-th sought. ASCII letters in any case."""

    def __call__(self, text: bytes) -> int: ...


class PlainMatcher:
    """Looks for one after the other."""

    def __init__(self, sought: Sequence[Sought]) -> None:
        self._words, self._patterns = [], []
        for bit, each in enumerate(sought):
            if isinstance(each, bytes):
                self._words.append((each.lower(), 1 << bit))
            else:
                search = re.compile(each.source, re.IGNORECASE).search
                self._patterns.append((search, 1 << bit))

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
    """Looks for all in one pass. Safe for threads: each call has a scratch of its own."""

    def __init__(self, sought: Sequence[Sought], kept: KeptDatabase) -> None:
        # Words before patterns: it is made in a third less time, and a scan takes a quarter less.
        order = sorted(range(len(sought)), key=lambda n: not isinstance(sought[n], bytes))
        ordered = [sought[n] for n in order]
        expressions = [re.escape(x) if isinstance(x, bytes) else x.source for x in ordered]
        self._database = _database_of(expressions, order, kept)
        self._bits = [1 << bit for bit in range(len(sought))]
        self._first: Any = hyperscan.Scratch(self._database)
        self._free: list[Any] = [self._first]

    def __call__(self, text: bytes) -> int:
        try:
            scratch = self._free.pop()
        except IndexError:  # as many threads as never before
            scratch = self._first.clone()
        hits: list[int] = []
        self._database.scan(text, _take, 0, hits, scratch)  # by name these cost as much as the scan
        self._free.append(scratch)
        found = 0
        for hit in hits:
            found |= self._bits[hit]
        return found


def _database_of(expressions: list[bytes], ids: list[int], kept: KeptDatabase) -> Any:
    """Compile a database, unless one is kept that this Hyperscan can use."""
    flags = hyperscan.HS_FLAG_CASELESS | hyperscan.HS_FLAG_SINGLEMATCH
    made_of = repr((expressions, ids, flags)).encode()
    known = kept.read(made_of)
    if known is not None:
        try:
            return hyperscan.loadb(known, hyperscan.HS_MODE_BLOCK)
        except hyperscan.error:  # of another release, or another kind of processor
            pass
    database = hyperscan.Database()
    database.compile(expressions=expressions, ids=ids, flags=[flags] * len(ids))
    kept.write(made_of, hyperscan.dumpb(database))
    return database


def _take(word: int, _start: int, _end: int, _flags: int, hits: Any) -> None:
    hits.append(word)


def matcher_of(sought: Sequence[Sought], kept: KeptDatabase) -> Matcher:
    """Make the quickest matcher that is to be had; what *kept* holds need not be compiled."""
    return PlainMatcher(sought) if hyperscan is None else HyperscanMatcher(sought, kept)
