"""Puts lines together that a container runtime or a service has parted. Pure.

Container runtimes part a long line and say of each piece whether it goes on; Azure parts one over
records and does not say: there a text goes on until its JSON ends. Pieces of one stream follow each
other. The end of a text may never come (its process was killed, a file is gone): what comes next
is another text then, told by how an event begins, and what was torn is given out by itself.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from k8s_audit_otlp.event.frames import Framed
from k8s_audit_otlp.event.lenient_json import is_json

MOST_BYTES = 64 << 20  # of one text, as of a line: what goes on for longer is given out as it is
_BLANKS = b" \t\r\n"
# How an event begins; one of the core group may begin a piece too, inside a body. No text is parted
# whose JSON is whole.
_BEGINS = re.compile(
    rb'\s*\{\s*"(?:kind"\s*:\s*"Event"(?!\s*,\s*"apiVersion"\s*:\s*"(?!audit\.k8s\.io/))'
    rb'|[^{}\[\]]{0,400}"auditID"\s*:)'
)
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+("?)', re.DOTALL)


class Piece(NamedTuple):
    """A part of a text, and the place where it lies."""

    at: int
    text: bytes


@dataclass(slots=True)
class _Levels:
    """Where one is inside JSON that comes bit by bit."""

    open: int = 0  # objects and arrays
    in_string: bool = False
    escape: bytes = b""  # the first half of one

    def end_after(self, text: bytes) -> bool:
        """Take *text*; say whether the value ends with it."""
        before = b'"' if self.in_string else b""
        text = before + self.escape + text
        rest = _STRING.sub(lambda found: b"" if found[1] else b'"', text)
        outside, quote, inside = rest.partition(b'"')
        self.in_string, self.escape = bool(quote), inside
        self.open += sum(map(outside.count, (b"{", b"["))) - sum(map(outside.count, (b"}", b"]")))
        return self.open <= 0 and not self.in_string


@dataclass(slots=True)
class _Begun:
    """A text that goes on."""

    pieces: list[Piece] = field(default_factory=list)
    size: int = 0
    levels: _Levels = field(default_factory=_Levels)

    def copy(self) -> "_Begun":
        return _Begun(list(self.pieces), self.size, replace(self.levels))


class Pieces:
    """What has begun and has not ended, by stream; places are those of whoever adds."""

    def __init__(self, *, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._begun: dict[bytes, _Begun] = {}
        self.ended: set[bytes] = set()  # streams of which a text has been given out

    def add(self, at: int, framed: Framed) -> list[list[Piece]]:
        """Take a piece; return the texts that have ended with it, torn ones too, as their pieces.

        Most texts are one piece.
        """
        stream, text = framed.stream, framed.text
        begun = self._begun.get(stream)
        if begun is None and not _goes_on(framed):
            self.ended.add(stream)
            return [[Piece(at, text)]]
        given: list[list[Piece]] = []
        if begun is not None and framed.more is None and _BEGINS.match(text):
            given += self._end(stream)  # what ends by itself cannot wait for what comes behind it
            begun = None
        begun = begun or self._begun.setdefault(stream, _Begun())
        begun.pieces.append(Piece(at, text))
        begun.size += len(text)
        ends = begun.levels.end_after(text) if framed.more is None else not framed.more
        if ends or begun.size > self._most:
            given += self._end(stream)
        return given

    def _end(self, stream: bytes) -> list[list[Piece]]:
        self.ended.add(stream)
        return list(_texts_of(self._begun.pop(stream).pieces))

    def end_all(self) -> list[list[Piece]]:
        """Give out what has begun as it is: nothing more comes."""
        return [text for stream in list(self._begun) for text in self._end(stream)]

    @property
    def begun(self) -> set[bytes]:
        """The streams that go on."""
        return set(self._begun)

    @property
    def first(self) -> int | None:
        """The place of the first piece whose text has not ended, None where all have."""
        return min((one.pieces[0].at for one in self._begun.values()), default=None)

    @property
    def size(self) -> int:
        """Bytes of all that has begun."""
        return sum(one.size for one in self._begun.values())

    def moved(self, to: int | None = None) -> "Pieces":
        """Return a copy, to go on from; where *to* is given, all that has begun lies there."""
        made = Pieces(most_bytes=self._most)
        for stream, begun in self._begun.items():
            made._begun[stream] = copy = begun.copy()
            if to is not None:
                copy.pieces = [Piece(to, piece.text) for piece in copy.pieces]
        return made


def joined(pieces: Sequence[Piece]) -> bytes:
    """Return the text of *pieces*."""
    return pieces[0].text if len(pieces) == 1 else b"".join(piece.text for piece in pieces)


def _goes_on(framed: Framed) -> bool:
    """Say whether a text goes on; a whole event does not: some shippers take off its line's end."""
    text = framed.text
    if framed.more:
        return not (_BEGINS.match(text) and is_json(text))
    begins = framed.more is None and text.lstrip(_BLANKS).startswith(b"{")
    return begins and not is_json(text) and not _Levels().end_after(text)


def _texts_of(pieces: list[Piece]) -> Iterator[list[Piece]]:
    """Part what was torn from the event behind it, which may have been torn again."""
    while starts := [n for n, piece in enumerate(pieces) if n and _BEGINS.match(piece.text)]:
        if _is_whole(pieces):
            break
        yield pieces[: starts[0]]
        pieces = pieces[starts[0] :]
    yield pieces


def _is_whole(pieces: Iterable[Piece]) -> bool:
    """Say whether *pieces* are an object that ends where they do."""
    levels = _Levels()
    *before, last = (levels.end_after(piece.text) for piece in pieces)
    return last and not any(before)
