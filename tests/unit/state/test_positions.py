"""Positions are on disk the moment they move, whatever becomes of the process or of a write."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.model import Span
from k8s_audit_otlp.state.checkpoint import Checkpoint, CheckpointFile, Position
from k8s_audit_otlp.state.ledger import Ledger, Place, Tally, mark_of
from k8s_audit_otlp.state.manifest import ManifestState, SegmentState
from k8s_audit_otlp.state.positions import (
    FILE_NAME,
    SLOT_BYTES,
    PositionFile,
    key_of,
    read_positions,
)

KEY = key_of("k8s_audit:audit.log", "siem")
IDENTITY = "0123456789abcdef"


def at(offset: int, **counts: Any) -> Ledger:
    ledger = Ledger()
    ticket = ledger.open(Span(1, 0, offset), mark_of(b"x" * offset))
    ledger.settle(ticket, Tally(**counts))
    return ledger


@pytest.fixture
def file(tmp_path: Path) -> PositionFile:
    file = PositionFile(tmp_path)
    file.begin()
    return file


def offsets(folder: Path) -> dict[tuple[bytes, int], int]:
    return {(r.subscription, r.segment): r.place.offset for r in read_positions(folder)}


def test_the_newest_place_comes_back_whole(tmp_path: Path, file: PositionFile) -> None:
    for offset in (10, 20, 30):
        file.write(KEY, 1, IDENTITY, at(offset, read=3, delivered=3))
    (record,) = read_positions(tmp_path)
    assert (record.subscription, record.segment, record.identity) == (KEY, 1, IDENTITY)
    assert record.place == Place(30, mark_of(b"x" * 30), Tally(read=3, delivered=3))


@given(cut=st.integers(0, SLOT_BYTES), seed=st.binary(min_size=1, max_size=8))
def test_a_torn_write_costs_one_step_and_not_the_position(
    tmp_path_factory: pytest.TempPathFactory, cut: int, seed: bytes
) -> None:
    """A power cut may leave any part of the last write, or rubbish."""
    folder = tmp_path_factory.mktemp("torn")
    file = PositionFile(folder)
    file.begin()
    file.write(KEY, 1, IDENTITY, at(10))
    before = (folder / FILE_NAME).read_bytes()
    file.write(KEY, 1, IDENTITY, at(20))
    after = (folder / FILE_NAME).read_bytes()
    start = next(i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b)
    start -= start % SLOT_BYTES
    torn = after[: start + cut] + (seed * SLOT_BYTES)[: SLOT_BYTES - cut]
    (folder / FILE_NAME).write_bytes(torn + before[start + SLOT_BYTES :])
    assert offsets(folder)[KEY, 1] in (10, 20)
    file.close()


def test_rules_without_room_become_one_and_the_counts_stay_right(
    tmp_path: Path, file: PositionFile
) -> None:
    """A record has a fixed size, a policy has any number of rules."""
    ledger = Ledger()
    rules = {f"rule {n} of a policy": n + 1 for n in range(300)}
    ticket = ledger.open(Span(1, 0, 9))
    ledger.settle(ticket, Tally(read=sum(rules.values()), dropped=rules))
    file.write(KEY, 1, IDENTITY, ledger)
    (record,) = read_positions(tmp_path)
    assert record.place.tally.balance == 0
    assert record.place.tally.dropped["rule 299 of a policy"] == 300
    assert ledger.tally(1).dropped == rules


def test_slots_are_used_again_once_a_checkpoint_holds_their_places(
    tmp_path: Path, file: PositionFile
) -> None:
    """The file does not grow with the segments that there ever were."""
    size = (tmp_path / FILE_NAME).stat().st_size
    for segment in range(1, 500):
        ledger = Ledger()
        ledger.settle(ledger.open(Span(segment, 0, 10)), Tally())
        file.write(KEY, segment, IDENTITY, ledger)
        file.stored(KEY, {segment: 10})
    assert (tmp_path / FILE_NAME).stat().st_size == size


def test_a_place_that_no_checkpoint_holds_keeps_its_slots(
    tmp_path: Path, file: PositionFile
) -> None:
    file.write(KEY, 1, IDENTITY, at(20))
    file.stored(KEY, {1: 10})
    other = key_of("k8s_audit:audit.log", "lake")
    for _ in range(3):
        file.write(other, 1, IDENTITY, at(7))
        file.stored(other, {1: 7})
    assert offsets(tmp_path)[KEY, 1] == 20


def test_a_new_file_says_nothing_of_the_old_one(tmp_path: Path, file: PositionFile) -> None:
    file.write(KEY, 1, IDENTITY, at(20))
    file.begin()
    assert read_positions(tmp_path) == []


def test_a_file_that_is_gone_on_with_keeps_what_it_says(tmp_path: Path) -> None:
    """Newer places win, whoever wrote them, and free slots are used before new ones."""
    lake = key_of("k8s_audit:audit.log", "lake")
    for turn in range(1, 6):
        file = PositionFile(tmp_path)
        file.go_on()
        file.write(KEY, 1, IDENTITY, at(10 * turn))
        file.write(lake, turn, IDENTITY, at(0))
        file.close()
    assert offsets(tmp_path) == {(KEY, 1): 50, **{(lake, turn): 0 for turn in range(1, 6)}}
    assert (tmp_path / FILE_NAME).stat().st_size == 64 * 1024


def test_a_refused_sync_is_an_error_and_so_is_a_refused_record(tmp_path: Path) -> None:
    """Whoever cannot store positions must know."""
    asked: list[int] = []
    file = PositionFile(tmp_path, fsync=asked.append)
    with pytest.raises(OSError, match="not open"):
        file.sync()
    file.begin()
    file.write(KEY, 1, IDENTITY, at(5))
    file.sync()
    assert len(asked) == 1
    fd = os.open("/dev/full", os.O_WRONLY)
    os.dup2(fd, asked[0])
    os.close(fd)
    file.write(KEY, 1, IDENTITY, at(6))
    with pytest.raises(OSError, match="No space"):
        file.sync()


# -- with the checkpoint ---------------------------------------------------------------------------


def checkpoint(offset: int) -> Checkpoint:
    segment = SegmentState(1, IDENTITY, "head", 4, names=["audit.log"], size=offset)
    return Checkpoint(
        manifests={"k8s_audit:audit.log": ManifestState(2, [segment], started=True)},
        positions={
            "k8s_audit:audit.log": {"siem": Position({1: offset}, {1: Tally(read=1, delivered=1)})}
        },
    )


def loaded(folder: Path) -> tuple[Position, SegmentState]:
    restored = CheckpointFile(folder).load().checkpoint
    assert restored is not None
    position = restored.positions["k8s_audit:audit.log"]["siem"]
    return position, restored.manifests["k8s_audit:audit.log"].segments[0]


def test_a_start_goes_on_where_the_last_request_settled(tmp_path: Path, file: PositionFile) -> None:
    """Offset, counts, mark and the size that the segment must have, all of one moment."""
    CheckpointFile(tmp_path).save(checkpoint(10))
    file.write(KEY, 1, IDENTITY, at(30, read=3, delivered=3))
    position, segment = loaded(tmp_path)
    assert position.settled == {1: 30}
    assert position.tallies == {1: Tally(read=3, delivered=3)}
    assert position.marks == {1: mark_of(b"x" * 30)}
    assert segment.size == 30


def test_an_older_record_does_not_take_a_position_back(tmp_path: Path, file: PositionFile) -> None:
    file.write(KEY, 1, IDENTITY, at(5))
    CheckpointFile(tmp_path).save(checkpoint(10))
    assert loaded(tmp_path)[0].settled == {1: 10}


def test_a_record_of_another_segment_with_the_number_is_not_taken(
    tmp_path: Path, file: PositionFile
) -> None:
    """Numbers are given anew where the checkpoint that gave them is lost."""
    CheckpointFile(tmp_path).save(checkpoint(10))
    file.write(KEY, 1, "another", at(30))
    assert loaded(tmp_path)[0].settled == {1: 10}


def test_a_segment_that_no_checkpoint_names_yet_is_known_by_its_identity(
    tmp_path: Path, file: PositionFile
) -> None:
    CheckpointFile(tmp_path).save(checkpoint(10))
    ledger = Ledger()
    ledger.settle(ledger.open(Span(2, 0, 40), "m"), Tally(read=4, delivered=4))
    file.write(KEY, 2, "new one", ledger)
    assert loaded(tmp_path)[0].unplaced == {"new one": Place(40, "m", Tally(read=4, delivered=4))}


def test_a_state_of_an_older_version_has_no_positions_of_its_own(tmp_path: Path) -> None:
    """It is taken up as it is, and written in the new way from then on."""
    CheckpointFile(tmp_path).save(checkpoint(10))
    position, _ = loaded(tmp_path)
    assert (position.settled, position.marks, position.trail) == ({1: 10}, {}, {})


@pytest.mark.parametrize("content", [b"", b"\0" * 5000, b"rubbish" * 1000])
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, content: bytes) -> None:
    CheckpointFile(tmp_path).save(checkpoint(10))
    (tmp_path / FILE_NAME).write_bytes(content)
    assert loaded(tmp_path)[0].settled == {1: 10}


def expected(folder: Path) -> list[str]:
    restored = CheckpointFile(folder).load().checkpoint
    assert restored is not None
    return list(restored.manifests["k8s_audit:audit.log"].following.values())


def settle(file: PositionFile, key: bytes, segment: int, end: int | None = None) -> None:
    ledger = Ledger()
    ledger.settle(ledger.open(Span(segment, 0, 40)), Tally())
    file.write(key, segment, IDENTITY if segment == 1 else str(segment), ledger, end=end)


def test_segments_that_ended_prove_what_follows_them(tmp_path: Path, file: PositionFile) -> None:
    """Numbers that a killed process gave; one that is not known to its end proves nothing."""
    CheckpointFile(tmp_path).save(checkpoint(10))
    settle(file, KEY, 1)
    settle(file, KEY, 2)
    assert expected(tmp_path) == []
    settle(file, KEY, 1, end=40)
    assert expected(tmp_path) == ["2"]
    assert loaded(tmp_path)[1].complete
    settle(file, KEY, 3)
    assert expected(tmp_path) == ["2"]
    settle(file, KEY, 2, end=40)
    assert expected(tmp_path) == ["2", "3"]


def test_a_segment_is_closed_only_where_its_end_is_as_far_as_it_is_known(
    tmp_path: Path, file: PositionFile
) -> None:
    CheckpointFile(tmp_path).save(checkpoint(50))
    file.write(KEY, 1, IDENTITY, at(40), end=40)
    assert not loaded(tmp_path)[1].complete


def test_who_lags_proves_nothing_for_others(tmp_path: Path, file: PositionFile) -> None:
    """What one had of a segment that is gone, the other may lack."""
    state = checkpoint(10)
    log = "k8s_audit:audit.log"
    state.positions[log]["lake"] = Position({1: 10})
    CheckpointFile(tmp_path).save(state)
    for segment in (1, 2, 3):
        settle(file, KEY, segment, end=40)
    assert expected(tmp_path) == ["2"]
    settle(file, key_of(log, "lake"), 2, end=40)
    assert expected(tmp_path) == ["2", "3"]
