"""Which segments a log has, and their order."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.state.ledger import Place
from k8s_audit_otlp.state.manifest import MAX_NAMES, Manifest, SegmentState


def added(manifest: Manifest, identity: str, **state: Any) -> SegmentState:
    segment = SegmentState(0, identity, "head", 4, **state)
    manifest.add(segment)
    return segment


@given(identities=st.lists(st.sampled_from(["a" * 16, "b" * 16]), max_size=12))
def test_every_segment_has_a_number_and_a_name_of_its_own(identities: Any) -> None:
    """The same first event again gets an occurrence number; the order is that of discovery."""
    manifest = Manifest()
    for identity in identities:
        added(manifest, identity)
    assert [s.seq for s in manifest.segments] == list(range(1, len(identities) + 1))
    names = [s.identity for s in manifest.segments]
    assert len(set(names)) == len(names)
    for identity in set(identities):
        count = identities.count(identity)
        expected = [identity, *(f"{identity}.{n}" for n in range(2, count + 1))]
        assert [n for n in names if n.startswith(identity)] == expected
        assert [s.identity for s in manifest.with_identity(identity)] == expected[::-1]


def test_a_sequence_number_is_never_given_twice() -> None:
    """Not even when the newest segment is forgotten, nor after a restart."""
    manifest = Manifest()
    added(manifest, "a")
    manifest.forget([added(manifest, "b").seq])
    again = manifest.copy()
    assert added(again, "c").seq == 3
    assert [s.seq for s in again.segments] == [1, 3]


def test_a_stored_manifest_comes_back_as_it_was() -> None:
    """Through the format of the checkpoint."""
    manifest = Manifest()
    segment = added(manifest, "a", head_start=3)
    segment.seen_as("audit.log")
    segment.size, segment.complete, segment.truncated = 7, True, True
    data = msgspec.json.encode(manifest)
    assert msgspec.json.decode(data, type=Manifest) == manifest


def test_a_copy_does_not_change_with_the_manifest() -> None:
    """It is written while the log goes on."""
    manifest = Manifest()
    segment = added(manifest, "a")
    segment.seen_as("one")
    state = manifest.copy()
    segment.seen_as("two")
    segment.size = 99
    assert (state.segments[0].names, state.segments[0].size) == (["one"], 0)


def test_the_newest_names_are_kept() -> None:
    """A log that logrotate renumbers has many names in its life."""
    segment = added(Manifest(), "a")
    assert segment.name == "?"
    for number in range(10):
        segment.seen_as(f"audit.log.{number}")
    segment.seen_as("audit.log.8")
    assert segment.names[:2] == ["audit.log.8", "audit.log.9"]
    assert len(segment.names) == MAX_NAMES


def test_a_size_is_an_estimate_only_while_a_gz_promises_more() -> None:
    """As much as is known already is no estimate, and neither is a segment that is through."""
    found = [
        SegmentState(1, "a", "", 0, size=5, promised=promised, complete=complete).is_estimated
        for promised, complete in ((4, False), (5, False), (6, False), (6, True))
    ]
    assert found == [False, False, True, False]


def test_what_may_come_next_may_not_once_another_came() -> None:
    """Else a later segment would get the number of an earlier one, and no gap between them."""
    manifest = Manifest(next_seq=2, following={2: "b", 3: "c.2"})
    assert [manifest.in_positions(name) for name in "abc"] == [0, 2, 3]
    assert added(manifest, "a").seq == 2
    assert [manifest.in_positions(name) for name in "abc"] == [0, 0, 0]


def test_the_lines_are_those_before_the_farthest_place() -> None:
    """A file that was cut is searched for them there."""
    segment = SegmentState(1, "a", "head", 4)
    for offset in (20, 10, 30):
        segment.read(Place(offset, f"{offset}", lines=b"%d" % offset))
        assert segment.lines == b"%d" % max(20, offset)
    assert segment.marks == [(30, "30"), (20, "20"), (10, "10")]
