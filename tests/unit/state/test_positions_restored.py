"""A start takes positions for what is newer than the checkpoint, and for proof of what follows."""

from pathlib import Path

import pytest

from k8s_audit_otlp.model import Span
from k8s_audit_otlp.receiver.marks import mark_of
from k8s_audit_otlp.state.checkpoint import Checkpoint, CheckpointFile, Position
from k8s_audit_otlp.state.ledger import Ledger, Place, Tally
from k8s_audit_otlp.state.manifest import Manifest, SegmentState
from k8s_audit_otlp.state.positions import FILE_NAME, PositionFile, key_of
from tests.unit.state.written_positions import IDENTITY, KEY, at, numbered


def checkpoint(offset: int) -> Checkpoint:
    segment = SegmentState(1, IDENTITY, "head", 4, names=["audit.log"], size=offset)
    return Checkpoint(
        manifests={"k8s_audit:audit.log": Manifest(2, [segment], started=True)},
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
    file.write(KEY, numbered(1), at(30, read=3, delivered=3))
    position, segment = loaded(tmp_path)
    assert position.settled == {1: 30}
    assert position.tallies == {1: Tally(read=3, delivered=3)}
    assert position.marks == {1: mark_of(b"x" * 30)}
    assert segment.size == 30


def test_a_place_comes_with_others_for_when_it_is_cut_off(
    tmp_path: Path, file: PositionFile
) -> None:
    """A power cut may take the end of a log whose first checkpoint nobody had time to write."""
    CheckpointFile(tmp_path).save(checkpoint(10))
    marks = [(at_, mark_of(b"x" * at_)) for at_ in range(5000, 0, -100)]
    file.write(KEY, SegmentState(1, IDENTITY, "", 0, marks=marks, lines=b"lines"), at(30))
    assert loaded(tmp_path)[1].lines == b"lines"
    restored = loaded(tmp_path)[1].marks
    assert set(marks[:8]) < set(restored)
    assert (30, mark_of(b"x" * 30)) in restored
    assert restored == sorted(restored, reverse=True)


def test_what_was_read_beyond_a_place_that_has_not_moved_is_known(
    tmp_path: Path, file: PositionFile
) -> None:
    """It was on its way: a cut file lacks it, and has no other lines in its place."""
    CheckpointFile(tmp_path).save(checkpoint(30))
    for read in (30, 50):
        marks = [(read, mark_of(b"x" * read))]
        file.write(KEY, SegmentState(1, IDENTITY, "", 0, marks=marks, lines=b"%d" % read), at(30))
    position, segment = loaded(tmp_path)
    assert position.settled == {1: 30}
    assert (segment.size, segment.lines) == (50, b"50")
    assert segment.marks[0] == (50, mark_of(b"x" * 50))


def test_an_older_record_does_not_take_a_position_back(tmp_path: Path, file: PositionFile) -> None:
    file.write(KEY, numbered(1), at(5))
    CheckpointFile(tmp_path).save(checkpoint(10))
    assert loaded(tmp_path)[0].settled == {1: 10}


def test_a_record_of_another_segment_with_the_number_is_not_taken(
    tmp_path: Path, file: PositionFile
) -> None:
    """Numbers are given anew where the checkpoint that gave them is lost."""
    CheckpointFile(tmp_path).save(checkpoint(10))
    file.write(KEY, numbered(1, "another"), at(30))
    assert loaded(tmp_path)[0].settled == {1: 10}


def test_a_segment_that_no_checkpoint_names_yet_is_known_by_its_identity(
    tmp_path: Path, file: PositionFile
) -> None:
    CheckpointFile(tmp_path).save(checkpoint(10))
    ledger = Ledger()
    ledger.settle(ledger.open(Span(2, 0, 40), "m"), Tally(read=4, delivered=4))
    file.write(KEY, numbered(2, "new one"), ledger)
    assert loaded(tmp_path)[0].unplaced == {"new one": Place(40, "m", Tally(read=4, delivered=4))}


def test_a_state_of_an_older_version_has_no_positions_of_its_own(tmp_path: Path) -> None:
    """It is taken up as it is, and written in the new way from then on."""
    CheckpointFile(tmp_path).save(checkpoint(10))
    position, _ = loaded(tmp_path)
    assert (position.settled, position.marks) == ({1: 10}, {})


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
    file.write(key, numbered(segment, IDENTITY if segment == 1 else str(segment)), ledger, end=end)


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


def test_what_positions_proved_outlives_them(tmp_path: Path, file: PositionFile) -> None:
    """A process that stored its state and ended before it could list the log has emptied them."""
    CheckpointFile(tmp_path).save(checkpoint(10))
    settle(file, KEY, 1, end=40)
    settle(file, KEY, 2)
    restored = CheckpointFile(tmp_path).load().checkpoint
    assert restored is not None
    CheckpointFile(tmp_path).save(restored)
    file.begin()
    assert expected(tmp_path) == ["2"]


def test_of_two_numbers_that_one_segment_was_given_the_later_counts(
    tmp_path: Path, file: PositionFile
) -> None:
    CheckpointFile(tmp_path).save(checkpoint(10))
    file.close()
    for number, offset in ((3, 20), (2, 30)):
        file = PositionFile(tmp_path)
        file.resume()
        ledger = Ledger()
        ledger.settle(ledger.open(Span(number, 0, offset)), Tally())
        file.write(KEY, numbered(number, "found twice"), ledger)
        file.close()
    assert loaded(tmp_path)[0].unplaced["found twice"].offset == 30


def test_a_segment_is_closed_only_where_its_end_is_as_far_as_it_is_known(
    tmp_path: Path, file: PositionFile
) -> None:
    CheckpointFile(tmp_path).save(checkpoint(50))
    file.write(KEY, numbered(1), at(40), end=40)
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
