"""Texts in pieces come out whole; one whose end never came costs no other event."""

import json
from collections.abc import Iterable, Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.event.frames import Framed
from k8s_audit_otlp.event.partial_lines import Piece, Pieces, joined

CORE = {"kind": "Event", "apiVersion": "v1", "message": 'a "quoted\\" } text [\\'}


def event(name: str, body: object = None, size: int = 40) -> bytes:
    members = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "auditID": name,
        "userAgent": "{[\"'\\" * size,
        "requestObject": body,
    }
    return json.dumps(members, separators=(",", ":")).encode()


def cut(text: bytes, places: Iterable[int]) -> list[bytes]:
    edges = sorted({0, len(text), *(at % len(text) for at in places)})
    return [text[a:b] for a, b in pairwise(edges)]


def texts(pieces: Pieces, framed: Iterable[Framed]) -> Iterator[bytes]:
    """Return what comes out, and what is left at the end."""
    for at, one in enumerate(framed):
        yield from map(joined, pieces.add(at, one))
    yield from map(joined, pieces.end_all())


def parted(text: bytes, places: Iterable[int], *, said: bool, stream: bytes = b"") -> list[Framed]:
    parts = cut(text, places)
    return [
        Framed(part, 0, stream, more=(n < len(parts) - 1) if said else None)
        for n, part in enumerate(parts)
    ]


CUTS = st.lists(st.integers(1, 5000), max_size=12)


@given(cuts=st.lists(CUTS, min_size=1, max_size=4), said=st.booleans())
def test_texts_in_pieces_come_out_whole(cuts: list[list[int]], *, said: bool) -> None:
    """Wherever they are cut, inside escapes and before objects too."""
    body = CORE if said else {"a": "\\u00e9 \n"}
    wanted = [event(f"id-{n}", [body, "x" * n]) for n in range(len(cuts))]
    framed = [
        one
        for text, places in zip(wanted, cuts, strict=True)
        for one in parted(text, places, said=said)
    ]
    assert list(texts(Pieces(), framed)) == wanted


@given(
    torn=CUTS.filter(bool),
    left=st.integers(1, 12),
    cuts=CUTS,
    times=st.integers(1, 3),
    said=st.booleans(),
)
def test_an_event_behind_a_torn_one_comes_out_whole(
    torn: list[int], left: int, cuts: list[int], times: int, *, said: bool
) -> None:
    """What was torn is given out by itself, however often and in however many pieces it came."""
    begun = parted(event("torn"), torn, said=True)[:-1][:left] or parted(b"{", [], said=True)
    begun = [one._replace(more=True if said else None) for one in begun]
    behind = event("behind", [CORE] if said else None)
    places = [60 + n % (len(behind) - 60) for n in cuts]  # pieces are no shorter than a head
    found = list(texts(Pieces(), begun * times + parted(behind, places, said=said)))
    assert found[-1] == behind
    assert b"".join(found) == b"".join(one.text for one in begun) * times + behind


def test_another_line_that_was_torn_costs_no_event_either() -> None:
    """A container logs many a thing."""
    line = Framed(b"I0102 a long line of the apiserver", more=True)
    assert list(texts(Pieces(), [line, Framed(event("a"))])) == [line.text, event("a")]


def test_an_event_of_the_core_group_at_the_edge_of_a_piece_parts_nothing() -> None:
    """Bodies hold such; the text is whole."""
    text = event("a", CORE)
    at = text.index(b'{"kind"', 1)
    assert list(texts(Pieces(), parted(text, [at], said=True))) == [text]
    torn = Framed(event("torn")[:90], more=True)
    assert list(texts(Pieces(), [torn, *parted(text, [at], said=True)])) == [torn.text, text]


def test_streams_are_put_together_by_themselves() -> None:
    """Two containers in one topic, two apiservers in one Event Hub."""
    one, two = event("one"), event("two")
    first, second = (
        parted(one, [30, 90], said=False, stream=b"a"),
        parted(two, [40, 70], said=False, stream=b"b"),
    )
    mixed = [each for pair in zip(first, second, strict=True) for each in pair]
    assert list(texts(Pieces(), mixed)) == [one, two]


@pytest.mark.parametrize("more", [True, None])
def test_a_text_without_end_takes_no_more_than_its_bound(more: bool | None) -> None:
    """Something that writes no line break must not fill the memory."""
    pieces = Pieces(most_bytes=1000)
    given = [pieces.add(n, Framed(b"{" + b"x" * 99, more=more)) for n in range(100)]
    assert max(sum(len(p.text) for p in text) for texts in given for text in texts) <= 1100
    assert pieces.first is not None
    assert pieces.first > 85


def test_what_goes_on_can_be_gone_on_with_more_than_once() -> None:
    """Exporters read one block each in their own time."""
    pieces = Pieces()
    first, second = parted(event("a"), [50], said=True)
    assert not pieces.add(7, first)
    assert pieces.first == 7
    for to in (None, -1):
        copy = pieces.moved(to)
        (text,) = copy.add(9, second)
        assert joined(text) == event("a")
        assert text[0].at == (7 if to is None else -1)
        assert copy.first is None
    assert pieces.begun == {b""}
    assert pieces.add(9, second)[0] == [Piece(7, first.text), Piece(9, second.text)]


@pytest.mark.parametrize(
    ("text", "more"),
    [
        (b"I1128 12:00:00 server.go:1] ready", None),
        (b"", None),
        (b"  [1, 2", None),
        (b"x{", None),
        (b'{"kind":"Event","auditID":"torn', False),
    ],
)
def test_what_begins_no_object_or_is_said_to_end_waits_for_no_other(
    text: bytes, more: bool | None
) -> None:
    """Most frames do not say whether a text goes on."""
    pieces = Pieces()
    assert pieces.add(3, Framed(text, more=more)) == [[Piece(3, text)]]
    assert pieces.first is None
