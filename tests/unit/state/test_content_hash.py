"""The hashes of what was delivered depend on the records, not on requests or restarts."""

from struct import Struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.state.content_hash import (
    PRIME,
    Content,
    Sums,
    entry_of,
    located,
    split_in_python,
    whole_hash,
)


def made(count: int) -> list[bytes]:
    return [entry(n * 100, n * 100, b"%d" % n) for n in range(count)]


def entry(offset: int, named: int, body: bytes) -> bytes:
    return entry_of(offset, b"0123456789abcdef-%x" % named, body)


def content(records: list[bytes], cuts: set[int], *, restarts: bool = False) -> Content:
    grown = Content()
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(records)], strict=True):
        grown.add(b"".join(records[start:end]))
        if restarts:
            grown = msgspec.msgpack.decode(msgspec.msgpack.encode(grown), type=Content)
    return grown


@given(st.integers(0, 50), st.sets(st.integers(0, 50), max_size=8))
def test_it_is_the_same_in_any_parts_and_over_any_restarts(count: int, cuts: set[int]) -> None:
    records, cuts = made(count), {cut for cut in cuts if cut <= count}
    whole = content(records, set())
    assert content(records, cuts, restarts=True) == whole
    assert whole.finished() == whole_hash(b"".join(each[8:] for each in records))
    numbers = [Struct(">QI16x").unpack(each) for each in records]
    assert list(whole.sums) == [
        sum(value * at**k for at, value in numbers) % PRIME for k in range(4)
    ]


@given(st.integers(2, 40), st.data())
def test_any_change_shows(count: int, data: st.DataObject) -> None:
    """Changed, dropped, repeated, inserted, in another order."""
    records = made(count)
    at = data.draw(st.integers(0, count - 1))
    other = entry(at * 100, 0, b"other")
    swapped = list(records)
    swapped[0] = records[0][:8] + records[-1][8:]
    swapped[-1] = records[-1][:8] + records[0][8:]
    for changed in (
        [*records[:at], other, *records[at + 1 :]],
        [*records[:at], *records[at + 1 :]],
        [*records[:at], records[at], *records[at:]],
        swapped,
    ):
        assert content(changed, set()).finished() != content(records, set()).finished()
        assert content(changed, set()).sums != content(records, set()).sums


def test_records_that_come_in_another_order_than_their_places_are_told() -> None:
    first, second = made(2)
    assert content([second, first], set()).disordered
    assert content([second, first], {1}).disordered
    assert not content([first, first, second], {1}).disordered


def test_what_nobody_can_tell_stays_so() -> None:
    grown = Content()
    grown.add(None)
    grown.add(made(1)[0])
    assert grown.unknown


def test_it_fits_beside_a_position() -> None:
    """A record of the positions file has a fixed size."""
    large = content([entry(n * 10**9, n, b"") for n in range(15)], set())
    assert len(msgspec.msgpack.encode(large)) < 300


@given(st.integers(3, 40), st.data())
def test_the_places_of_one_or_two_that_changed_are_named(count: int, data: st.DataObject) -> None:
    """By the difference of their sums alone."""
    records = made(count)
    places = data.draw(st.permutations(range(count)))[:2]
    for changed in range(3):
        other = list(records)
        for at in places[:changed]:
            other[at] = entry(at * 100, 0, b"other %d" % at)
        before, after = content(records, set()).sums, content(other, set()).sums
        found = located([b - a for b, a in zip(after, before, strict=True)])
        wanted = sorted(at * 100 for at in places[:changed])
        assert found is not None
        assert sorted(at for at, _ in found) == wanted


@given(
    st.lists(st.tuples(st.integers(0, (1 << 40) - 1), st.binary(max_size=3)), min_size=1),
    st.tuples(*[st.integers(0, PRIME - 1)] * 4),
    st.integers(-1, 1 << 40),
)
def test_the_compiled_part_takes_entries_in_as_its_twin_does(
    records: list[tuple[int, bytes]], sums: Sums, last: int
) -> None:
    compiled = pytest.importorskip("k8s_audit_otlp.otlp._quick_line", reason="no compiler")
    digests = b"".join(entry(offset, offset, body) for offset, body in records)
    assert compiled.split(digests, sums, last) == split_in_python(digests, sums, last)
