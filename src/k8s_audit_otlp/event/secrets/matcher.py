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


class Shape(NamedTuple):
    """A pattern without a word in it, which costs something for every byte.

    So all shapes are looked for as one, and each by itself only in a text that holds that.
    """

    source: bytes
    loosely: bytes  # is in every text that `source` is in, and may be cheaper


Sought: TypeAlias = bytes | Pattern | Shape  # a word, or a pattern


class Matcher(Protocol):
    """Gives what is in a text as bits: bit n for the n-th sought. ASCII letters in any case.

    Where a text has one of the bits *enough*, shapes may be left out.
    """

    def __call__(self, text: bytes, enough: int = 0) -> int: ...

    def first(self, text: bytes, bits: int) -> int:
        """Return a place behind the first byte of the first line with one of them, else -1."""


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

    def __call__(self, text: bytes, enough: int = 0) -> int:  # noqa: ARG002 - it finds all
        lowered = text.lower()
        found = 0
        for word, bit in self._words:
            if word in lowered:
                found |= bit
        for search, bit in self._patterns:
            if search(text):
                found |= bit
        return found

    def first(self, text: bytes, bits: int) -> int:
        lowered = text.lower()
        places = [lowered.find(word) for word, bit in self._words if bit & bits]
        found = (search(text) for search, bit in self._patterns if bit & bits)
        places += [match.start() for match in found if match]
        return min((place for place in places if place >= 0), default=-2) + 1


class HyperscanMatcher:
    """Looks for all in one pass, and for each shape in a second one where there may be any."""

    def __init__(self, sought: Sequence[Sought], kept: KeptDatabase) -> None:
        every = [*enumerate(sought)]
        # Words before patterns: it is made in a third less time, and a scan takes a quarter less.
        expressions = {n: re.escape(x) for n, x in every if isinstance(x, bytes)}
        expressions |= {n: x.source for n, x in every if isinstance(x, Pattern)}
        shapes = {n: x for n, x in every if isinstance(x, Shape)}
        if shapes:
            expressions[len(sought)] = b"|".join([x.loosely for x in shapes.values()])
        self._all = self._shapes = _Scanner(expressions, kept)
        if shapes:
            of_shapes = {n: x.source for n, x in shapes.items()}
            self._shapes = _Scanner(of_shapes, kept.another("shapes"))
        self._bits = [1 << bit for bit in range(len(sought) + 1)]
        self._any_shape = self._bits[-1]

    def __call__(self, text: bytes, enough: int = 0) -> int:
        found = 0
        for hit in self._all(text):
            found |= self._bits[hit]
        if found < self._any_shape:
            return found
        found ^= self._any_shape
        if not found & enough:
            for hit in self._shapes(text):
                found |= self._bits[hit]
        return found

    def first(self, text: bytes, bits: int) -> int:
        ends = self._all.ends(text)
        if len(self._bits) - 1 in ends:
            ends |= self._shapes.ends(text)
        return min((end for hit, end in ends.items() if self._bits[hit] & bits), default=-1)


class _Scanner:
    """Gives the numbers of those expressions that are in a text, each once.

    Safe for threads: each call has a scratch of its own.
    """

    def __init__(self, expressions: dict[int, bytes], kept: KeptDatabase) -> None:
        self._database = _database_of([*expressions.values()], [*expressions], kept)
        self._first: Any = hyperscan.Scratch(self._database)
        self._free: list[Any] = [self._first]

    def __call__(self, text: bytes) -> list[int]:
        hits: list[int] = []
        self._scan(text, _take, hits)
        return hits

    def ends(self, text: bytes) -> dict[int, int]:
        """Give where the first of each ends."""
        ends: dict[int, int] = {}
        self._scan(text, _take_end, ends)
        return ends

    def _scan(self, text: bytes, take: Any, hits: Any) -> None:
        try:
            scratch = self._free.pop()
        except IndexError:  # as many threads as never before
            scratch = self._first.clone()
        self._database.scan(text, take, 0, hits, scratch)  # by name these cost as much as the scan
        self._free.append(scratch)


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


def _take_end(word: int, _start: int, end: int, _flags: int, ends: Any) -> None:
    ends[word] = end


def matcher_of(sought: Sequence[Sought], kept: KeptDatabase) -> Matcher:
    """Make the quickest matcher that is to be had; what *kept* holds need not be compiled."""
    return PlainMatcher(sought) if hyperscan is None else HyperscanMatcher(sought, kept)
