"""The hashes of what was delivered depend on the records, not on requests or restarts."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.state.content_hash import (
    DIGEST_BYTES,
    PRIME,
    Content,
    digest_of,
    located,
    whole_hash,
)

Digests = list[tuple[int, bytes]]


def digests(count: int) -> Digests:
    return [
        (n * 100, digest_of(b"0123456789abcdef-%x" % (n * 100), b"%d" % n)) for n in range(count)
    ]


def content(records: Digests, cuts: set[int], *, restarts: bool = False) -> Content:
    grown = Content()
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(records)], strict=True):
        grown.add(records[start:end])
        if restarts:
            grown = msgspec.msgpack.decode(msgspec.msgpack.encode(grown), type=Content)
    return grown


@given(st.integers(0, 50), st.sets(st.integers(0, 50), max_size=8))
def test_it_is_the_same_in_any_parts_and_over_any_restarts(count: int, cuts: set[int]) -> None:
    records, cuts = digests(count), {cut for cut in cuts if cut <= count}
    whole = content(records, set())
    assert content(records, cuts, restarts=True) == whole
    assert whole.finished() == whole_hash(b"".join(d[:DIGEST_BYTES] for _, d in records))
    values = [(int.from_bytes(d[:4], "big"), at) for at, d in records]
    assert list(whole.sums) == [sum(v * at**k for v, at in values) % PRIME for k in range(4)]


@given(st.integers(2, 40), st.data())
def test_any_change_shows(count: int, data: st.DataObject) -> None:
    """Changed, dropped, repeated, inserted, in another order."""
    records = digests(count)
    at = data.draw(st.integers(0, count - 1))
    other = (records[at][0], digest_of(b"0123456789abcdef-0", b"other"))
    swapped = list(records)
    swapped[0], swapped[-1] = (records[0][0], records[-1][1]), (records[-1][0], records[0][1])
    for changed in (
        [*records[:at], other, *records[at + 1 :]],
        [*records[:at], *records[at + 1 :]],
        [*records[:at], records[at], *records[at:]],
        swapped,
    ):
        assert content(changed, set()).finished() != content(records, set()).finished()
        assert content(changed, set()).sums != content(records, set()).sums


def test_records_that_come_in_another_order_than_their_places_are_told() -> None:
    first, second = digests(2)
    assert content([second, first], set()).disordered
    assert content([second, first], {1}).disordered
    assert not content([first, first, second], {1}).disordered


def test_what_nobody_can_tell_stays_so() -> None:
    grown = Content()
    grown.add(None)
    grown.add(digests(1))
    assert grown.unknown


def test_it_fits_beside_a_position() -> None:
    """A record of the positions file has a fixed size."""
    large = content([(n * 10**9, d) for n, (_, d) in enumerate(digests(15))], set())
    assert len(msgspec.msgpack.encode(large)) < 300


@given(st.integers(3, 40), st.data())
def test_the_places_of_one_or_two_that_changed_are_named(count: int, data: st.DataObject) -> None:
    """By the difference of their sums alone."""
    records = digests(count)
    places = data.draw(st.permutations(range(count)))[:2]
    for changed in range(3):
        other = dict(records)
        for at in places[:changed]:
            other[records[at][0]] = digest_of(b"other", b"%d" % at)
        before, after = content(records, set()).sums, content(list(other.items()), set()).sums
        found = located([b - a for b, a in zip(after, before, strict=True)])
        wanted = sorted(records[at][0] for at in places[:changed])
        assert found is not None
        assert sorted(at for at, _ in found) == wanted
