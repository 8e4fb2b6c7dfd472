"""Which segment each file of a listing is: an old one, a copy of one, or a new one."""

import gzip
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from k8s_audit_otlp.receiver.discovery.discovery import Discovery
from k8s_audit_otlp.receiver.discovery.unreadable_files import ScanResult
from k8s_audit_otlp.receiver.listing import list_log, without_packed_twins
from k8s_audit_otlp.receiver.log_file import open_log_file
from k8s_audit_otlp.receiver.marks import mark_of
from k8s_audit_otlp.receiver.segments import KnownSegments, LogLimits
from k8s_audit_otlp.state.ledger import Ledger
from tests.conftest import ManualClock

Event = Callable[..., bytes]


class Directory:
    """A log directory, and discovery over it, a listing at a time."""

    def __init__(self, live: Path, clock: ManualClock) -> None:
        self.live, self.clock = live, clock
        self.known = KnownSegments(None, LogLimits(torn_s=60), lambda: int(clock.now * 1e9))
        self.known.register(Ledger())
        self.discovery = Discovery(self.known, lambda: False)

    def write(self, name: str, *lines: bytes) -> Path:
        path = self.live.with_name(name)
        with path.open("ab") as file:
            file.write(b"".join(lines))
        return path

    def look(self) -> ScanResult:
        entries = without_packed_twins(list_log(self.live))
        assert self.discovery.open_new(entries)
        found = self.discovery.bind(entries)
        self.known.unbind(found.bound, found.candidates, nothing_listed=not entries)
        return found

    @property
    def new(self) -> list[tuple[int, str]]:
        return [(segment.seq, segment.state.name) for segment in self.known]

    def names(self) -> dict[int, str | None]:
        return {s.seq: s.name.name if s.name else None for s in self.known}


@pytest.fixture
def directory(log_dir: Path, clock: ManualClock) -> Iterator[Directory]:
    made = Directory(log_dir / "audit.log", clock)
    yield made
    for segment in made.known:
        segment.release()
    made.discovery.continuity.unnamed.open.clear()


def test_files_of_one_listing_are_numbered_in_the_order_of_their_names(
    directory: Directory, event: Event
) -> None:
    """And each has one segment, however often it is looked at."""
    directory.write("audit.log", event(3))
    directory.write("audit.log.2", event(1))
    directory.write("audit.log.1", event(2))
    for _ in range(2):
        assert directory.look().bound == {1, 2, 3}
    assert directory.new == [(1, "audit.log.2"), (2, "audit.log.1"), (3, "audit.log")]


def test_a_renamed_file_keeps_its_segment_and_a_new_live_one_gets_the_next(
    directory: Directory, event: Event
) -> None:
    """Both while it is open, and when only its directory entry is known."""
    directory.write("audit.log", event(1))
    directory.look()
    directory.live.rename(directory.live.with_name("audit.log.1"))
    directory.write("audit.log", event(2))
    assert directory.look().follows
    assert directory.names() == {1: "audit.log.1", 2: "audit.log"}
    directory.known[1].release()
    directory.live.with_name("audit.log.1").rename(directory.live.with_name("audit.log.2"))
    directory.look()
    assert directory.names() == {1: "audit.log.2", 2: "audit.log"}
    assert len(directory.new) == 2


def test_an_inode_that_is_used_again_is_no_segment_of_before(
    directory: Directory, event: Event
) -> None:
    """A closed file is known by its entry only as long as nothing about it has changed."""
    path = directory.write("audit.log.1", event(1))
    directory.look()
    directory.known[1].release()
    path.write_bytes(event(2) + event(3))
    directory.look()
    assert directory.names() == {1: None, 2: None, 3: "audit.log.1"}
    assert directory.known[2].state.lost == "unseen", "something may have been between them"


def test_a_packed_backup_is_the_segment_that_it_was_made_of(
    directory: Directory, event: Event
) -> None:
    """The plain file is read on while it is open, and the packed one afterwards."""
    path = directory.write("audit.log.1", event(1), event(2))
    directory.look()
    plain = directory.known[1].source
    packed = path.with_name("audit.log.1.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    directory.look()
    assert directory.names() == {1: "audit.log.1.gz"}
    assert directory.known[1].source is plain
    assert len(directory.new) == 1


def test_a_copy_is_no_segment_for_as_long_as_the_original_is_there(
    directory: Directory, event: Event
) -> None:
    """An editor's or an administrator's; it is compared once, not at every look."""
    path = directory.write("audit.log.1", event(1))
    directory.look()
    copy = Path(shutil.copy(path, path.with_name("audit.log.5")))
    for _ in range(2):
        assert directory.look().bound == {1}
        assert directory.discovery._copies.keys() == {_stamp(copy)}
    path.unlink()
    directory.known[1].release()
    directory.look()
    assert directory.names() == {1: "audit.log.5"}


def _stamp(path: Path) -> tuple[int, int, int, int]:
    info = path.stat()
    return info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns


def test_a_live_file_is_a_segment_with_its_first_whole_line(
    directory: Directory, event: Event
) -> None:
    """Until then it is known by where it lies."""
    whole = event(1)
    directory.write("audit.log", whole[:20])
    assert directory.look().bound == set()
    assert set(directory.discovery.continuity.unnamed.open) == {_stamp(directory.live)[:2]}
    assert directory.discovery.continuity.unnamed.live_size == 20
    directory.write("audit.log", whole[20:])
    assert directory.look().bound == {1}
    assert directory.discovery.continuity.unnamed.open == {}


def test_what_was_empty_at_the_last_look_and_is_deleted_now_is_taken_up(
    directory: Directory, event: Event
) -> None:
    """Written and deleted between two looks: only the descriptor has it."""
    directory.write("audit.log.1", event(1))
    directory.write("audit.log")
    directory.look()
    directory.write("audit.log", event(2))
    directory.live.unlink()
    directory.write("audit.log", event(3))
    directory.look()
    seen = [s for s in directory.known if not s.state.lost]
    assert [s.source.read_at(0, 1000) for s in seen if s.source] == [event(n) for n in (1, 2, 3)]
    assert [s.name.name if s.name else None for s in seen] == ["audit.log.1", None, "audit.log"]
    lost = [s.state.lost for s in directory.known]
    assert lost == ["", "", "unseen", ""], "others may have been written before the new live file"


def test_a_cut_backup_of_no_line_is_a_segment_only_when_it_is_finished(
    directory: Directory, event: Event
) -> None:
    """Nothing is added to a backup: a last line without its end counts."""
    directory.write("audit.log.1", event(1)[:-1])
    directory.look()
    assert directory.names() == {1: "audit.log.1"}


def test_a_file_takes_over_from_a_packed_one_that_is_damaged(
    directory: Directory, event: Event
) -> None:
    """The damaged one may have been the same; as another segment all would be sent again."""
    path = directory.write("audit.log.1.gz", gzip.compress(event(1) * 50))
    directory.look()
    assert directory.known[1].source is not None
    path.write_bytes(b"\xfedamaged" * 20)
    directory.known[1].source = open_log_file(path, compressed=True)
    directory.write("audit.log.2", event(1) * 50)
    directory.look()
    assert directory.names()[1] == "audit.log.2"
    assert len([s for s in directory.known if not s.state.lost]) == 1


def test_a_packed_file_gives_no_more_than_the_segment_before_a_cut_had(
    directory: Directory, event: Event
) -> None:
    """What is behind the cut in it belongs to another segment."""
    directory.write("audit.log", event(1), event(2))
    directory.look()
    state = directory.known[1].state
    state.complete, size = True, state.size
    packed = directory.write("other.gz", gzip.compress(event(1) + event(2) + event(3)))
    for cut, expected in ((size, size), (0, size + len(event(3)))):
        state.size, state.complete, state.cut = size, True, cut
        source = open_log_file(packed, compressed=True)
        directory.discovery._take(directory.known[1], source)
        assert state.size == expected


def test_a_torn_gz_is_waited_for_and_then_given_up(
    directory: Directory, event: Event, clock: ManualClock
) -> None:
    """It may be written just now; after a minute without a change it is a loss that is told."""
    path = directory.write("audit.log.1.gz", gzip.compress(event(1) * 50)[:12])
    os.utime(path, (clock.now, clock.now))
    found = directory.look()
    assert found.bound == set()
    assert list(found.troubles) == ["audit.log.1.gz"]
    clock.advance(59)
    assert directory.look().bound == set()
    clock.advance(1)
    directory.look()
    assert [s.state.lost for s in directory.known] == ["corrupt_gzip"]


def test_a_file_that_went_since_the_listing_asks_for_another_one(
    directory: Directory, event: Event
) -> None:
    """It was renamed: under its new name it will be found."""
    path = directory.write("audit.log.1", event(1))
    entries = list_log(directory.live)
    path.rename(path.with_name("audit.log.2"))
    assert not directory.discovery.open_new(entries)
    assert directory.discovery.bind(entries).bound == set()
    assert directory.look().bound == {1}
    assert directory.names() == {1: "audit.log.2"}


def test_a_listing_that_is_out_of_date_gives_up_no_file(directory: Directory, event: Event) -> None:
    """One that could not be read and is not in it may have another name by now."""
    unread = directory.write("audit.log.90.gz", gzip.compress(event(0) * 50)[:12])
    os.utime(unread, (directory.clock.now, directory.clock.now))
    directory.look()
    for n in range(1, 34):  # one more than are opened at once
        directory.write(f"audit.log.{n}", event(n))
    entries = [entry for entry in list_log(directory.live) if not entry.name.compressed]
    directory.live.with_name("audit.log.33").rename(directory.live.with_name("audit.log.34"))
    assert directory.discovery.bind(entries, final=False).outdated
    assert [segment.state.lost for segment in directory.known if segment.state.lost] == []


def test_what_was_not_opened_behind_a_listed_file_is_told_once_it_is_gone(
    directory: Directory, event: Event
) -> None:
    """It went since the listing, and what was before it before the next one."""
    before = directory.write("audit.log.2", event(1))
    directory.look()
    between = directory.write("audit.log.1", event(2))
    directory.write("audit.log", event(3))
    entries = list_log(directory.live)
    between.unlink()
    directory.discovery.bind(entries)
    before.unlink()
    directory.look()
    assert [segment.state.lost for segment in directory.known if segment.state.lost] == ["unseen"]


def test_two_files_that_only_begin_alike_are_two_segments(
    directory: Directory, event: Event
) -> None:
    """The first line proves little; the second has a name of its own."""
    directory.write("audit.log.1", event(1), event(2))
    directory.write("audit.log", event(1), event(3))
    directory.look()
    assert directory.names() == {1: "audit.log.1", 2: "audit.log"}
    first, second = (s.state.identity for s in directory.known)
    assert second == f"{first}.2"


def test_what_was_written_behind_a_cut_is_a_part_of_its_own(
    directory: Directory, event: Event
) -> None:
    """Up to the last place that holds it is the segment of before."""
    lines = [event(n) for n in range(4)]
    directory.write("audit.log", *lines[:3])
    directory.look()
    end = len(lines[0])
    directory.known[1].state.marks = [
        (len(b"".join(lines[:3])), mark_of(b"".join(lines[:3]))),
        (end, mark_of(lines[0])),
    ]
    directory.known[1].release()
    directory.live.write_bytes(lines[0] + lines[3] * 3)
    directory.look()
    part = next(s for s in directory.known if s.name is not None)
    assert (part.state.begin, part.state.after) == (end, 1)
    assert directory.known[1].state.cut == end
