"""Positions are on disk the moment they move, whatever becomes of the process or of a write."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.model import Span
from k8s_audit_otlp.receiver.marks import mark_of
from k8s_audit_otlp.state.ledger import Ledger, Place, Tally
from k8s_audit_otlp.state.positions import (
    FILE_NAME,
    SLOT_BYTES,
    PositionFile,
    key_of,
    read_positions,
)
from tests.unit.state.written_positions import IDENTITY, KEY, at, numbered


def offsets(folder: Path) -> dict[tuple[bytes, int], int]:
    return {(r.subscription, r.segment): r.place.offset for r in read_positions(folder)}


def test_the_newest_place_comes_back_whole(tmp_path: Path, file: PositionFile) -> None:
    for offset in (10, 20, 30):
        file.write(KEY, numbered(1), at(offset, read=3, delivered=3))
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
    file.write(KEY, numbered(1), at(10))
    before = (folder / FILE_NAME).read_bytes()
    file.write(KEY, numbered(1), at(20))
    after = (folder / FILE_NAME).read_bytes()
    start = next(i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b)
    start -= start % SLOT_BYTES
    torn = after[: start + cut] + (seed * SLOT_BYTES)[: SLOT_BYTES - cut]
    (folder / FILE_NAME).write_bytes(torn + before[start + SLOT_BYTES :])
    assert offsets(folder)[KEY, 1] in (10, 20)
    file.close()


@pytest.mark.parametrize("resumed_at", [30, 50])
@pytest.mark.parametrize("writers", [1, 2, 3])
def test_the_slot_beside_a_torn_one_is_of_the_write_before(
    tmp_path: Path, file: PositionFile, writers: int, resumed_at: int
) -> None:
    """However many exporters take turns, and in a process that goes on in the file, too."""
    lakes = [key_of("k8s_audit:audit.log", f"lake{n}") for n in range(writers - 1)]
    for offset in range(10, 60, 10):
        for key in (KEY, *lakes):
            file.write(key, numbered(1), at(offset))
        if offset == resumed_at:
            file.close()
            file = PositionFile(tmp_path)
            file.resume()
        before = (tmp_path / FILE_NAME).read_bytes()
    file.write(KEY, numbered(1), at(60))
    after = (tmp_path / FILE_NAME).read_bytes()
    start = next(i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b)
    start -= start % SLOT_BYTES
    torn = after[:start] + bytes(SLOT_BYTES) + after[start + SLOT_BYTES :]
    (tmp_path / FILE_NAME).write_bytes(torn)
    assert offsets(tmp_path) == dict.fromkeys([(KEY, 1), *((lake, 1) for lake in lakes)], 50)


def test_a_process_that_goes_on_gives_no_two_places_the_same_slots(
    tmp_path: Path, file: PositionFile
) -> None:
    """Slots that were used again still hold an older record of what they were of before."""
    lake = key_of("k8s_audit:audit.log", "lake")
    file.write(KEY, numbered(1), at(10))
    file.stored(KEY, file.turn)
    file.write(lake, numbered(1), at(20))
    file.close()
    file = PositionFile(tmp_path)
    file.resume()
    for offset in (30, 40):
        file.write(KEY, numbered(1), at(offset))
    assert offsets(tmp_path) == {(KEY, 1): 40, (lake, 1): 20}


def test_rules_without_room_become_one_and_the_counts_stay_right(
    tmp_path: Path, file: PositionFile
) -> None:
    """A record has a fixed size, a policy has any number of rules."""
    ledger = Ledger()
    rules = {f"rule {n} of a policy": n + 1 for n in range(300)}
    ticket = ledger.open(Span(1, 0, 9))
    ledger.settle(ticket, Tally(read=sum(rules.values()), dropped=rules))
    file.write(KEY, numbered(1), ledger)
    (record,) = read_positions(tmp_path)
    assert record.place.tally.balance == 0
    assert record.place.tally.dropped["rule 299 of a policy"] == 300
    assert ledger.place(1).tally.dropped == rules


def test_slots_are_used_again_once_a_checkpoint_holds_their_places(
    tmp_path: Path, file: PositionFile
) -> None:
    """The file does not grow with the segments that there ever were."""
    size = (tmp_path / FILE_NAME).stat().st_size
    for segment in range(1, 500):
        ledger = Ledger()
        ledger.settle(ledger.open(Span(segment, 0, 10)), Tally())
        file.write(KEY, numbered(segment), ledger)
        file.stored(KEY, file.turn)
    assert (tmp_path / FILE_NAME).stat().st_size == size


@pytest.mark.parametrize("offset", [10, 20], ids=["no farther", "farther"])
def test_what_was_written_after_a_checkpoint_was_taken_keeps_its_slots(
    tmp_path: Path, file: PositionFile, offset: int
) -> None:
    """A place that has not moved says what was read behind it: that may be with a back end."""
    file.write(KEY, numbered(1), at(10))
    taken = file.turn
    on_its_way = numbered(1)
    on_its_way.marks = [(90, mark_of(b"x" * 90))]
    file.write(KEY, on_its_way, at(offset))
    file.stored(KEY, taken)
    for end in (7, 8):
        ledger = Ledger()
        ledger.settle(ledger.open(Span(2, 0, end)), Tally())
        file.write(KEY, numbered(2), ledger)
    (record,) = (r for r in read_positions(tmp_path) if r.segment == 1)
    assert (record.place.offset, record.place.near) == (offset, on_its_way.marks)


def test_a_new_file_says_nothing_of_the_old_one(tmp_path: Path, file: PositionFile) -> None:
    file.write(KEY, numbered(1), at(20))
    file.begin()
    assert read_positions(tmp_path) == []


def test_a_file_that_is_gone_on_with_keeps_what_it_says(tmp_path: Path) -> None:
    """Newer places win, whoever wrote them, and free slots are used before new ones."""
    lake = key_of("k8s_audit:audit.log", "lake")
    for turn in range(1, 6):
        file = PositionFile(tmp_path)
        file.resume()
        file.write(KEY, numbered(1), at(10 * turn))
        file.write(lake, numbered(turn), at(0))
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
    file.write(KEY, numbered(1), at(5))
    file.sync()
    assert len(asked) == 1
    fd = os.open("/dev/full", os.O_WRONLY)
    os.dup2(fd, asked[0])
    os.close(fd)
    file.write(KEY, numbered(1), at(6))
    with pytest.raises(OSError, match="No space"):
        file.sync()
