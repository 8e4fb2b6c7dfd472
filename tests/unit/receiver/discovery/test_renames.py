"""A live file that was made and deleted between two looks at the directory is told of."""

import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.receiver.discovery.renames import Renames
from k8s_audit_otlp.receiver.inotify import Change, DirectoryWatch
from k8s_audit_otlp.receiver.listing import list_log
from k8s_audit_otlp.receiver.segments import KnownSegments, LogLimits
from tests.kit.log.log_files import FIRST, append, rename_numbered, shift_numbered
from tests.kit.log.lumberjack import backup_name, compress_in_place

Receive = Callable[..., Any]
Event = Callable[..., bytes]


def rotate(live: Path, number: int) -> None:
    live.rename(backup_name(live, FIRST + number))


@pytest.fixture
def receiver(receive: Receive, live: Path, event: Event) -> Iterator[Any]:
    append(live, event(0))
    made = receive()
    assert made.drain() == [event(0)]
    watch = DirectoryWatch(live.parent)
    made.log.follow(watch.changes)
    yield made
    made.log.follow(list)
    watch.close()


@pytest.mark.parametrize("more", [0, 2])
def test_a_live_file_that_came_and_went_is_told(
    receiver: Any, live: Path, event: Event, more: int
) -> None:
    """Between the last event that is known and the first one after it; so are several, once."""
    rotate(live, 0)
    for number in range(more + 1):
        append(live, event(1 + number))
        live.unlink()
    append(live, event(9))
    assert receiver.drain() == [event(9)]
    assert receiver.gaps == [("unseen", 0, 1)]
    ((since_ns, until_ns),) = receiver.between
    assert (since_ns % 1_000_000, until_ns % 1_000_000) == (0, 9_000)


def test_it_is_told_where_nothing_follows_yet(receiver: Any, live: Path, event: Event) -> None:
    rotate(live, 0)
    append(live, event(1))
    live.unlink()
    live.touch()
    receiver.drain()
    assert receiver.gaps == [("unseen", 0, 1)]
    append(live, event(2))
    assert receiver.drain() == [event(2)]
    assert len(receiver.gaps) == 1


def test_a_directory_in_the_place_of_the_log_is_no_file_that_left(
    receiver: Any, live: Path, event: Event
) -> None:
    """As kubelet makes one for a mount whose file is not there."""
    rotate(live, 0)
    live.mkdir()
    assert receiver.drain() == []
    live.rename(live.with_name("audit.log.old"))
    live.mkdir()
    live.rmdir()
    append(live, event(1))
    assert receiver.drain() == [event(1)]
    assert receiver.gaps == []


def test_a_pipe_in_the_place_of_the_log_is_no_file_that_left(
    receiver: Any, live: Path, event: Event
) -> None:
    """Its event says only that there is something, so somebody has to have looked at it."""
    rotate(live, 0)
    os.mkfifo(live)
    assert receiver.drain() == []
    live.unlink()
    append(live, event(1))
    assert receiver.drain() == [event(1)]
    assert receiver.gaps == []


def test_rotations_between_two_looks_leave_nothing_out(
    receiver: Any, live: Path, event: Event
) -> None:
    for number in range(1, 4):
        rotate(live, number)
        append(live, event(number))
    assert receiver.drain() == [event(1), event(2), event(3)]
    assert receiver.gaps == []


def test_a_file_with_a_second_name_is_no_other_one(receiver: Any, live: Path, event: Event) -> None:
    """As where whoever rotates makes a link and deletes the old name."""
    os.link(live, backup_name(live, FIRST))
    live.unlink()
    append(live, event(1))
    assert receiver.drain() == [event(1)]
    assert receiver.gaps == []


@pytest.mark.parametrize("looked", [True, False])
def test_a_file_that_was_away_for_a_moment_is_the_same(
    receiver: Any, live: Path, event: Event, looked: bool
) -> None:
    aside = live.rename(live.with_name("aside"))
    if looked:
        receiver.log.scan()
    aside.rename(live)
    append(live, event(1))
    assert receiver.drain() == [event(1)]
    assert receiver.gaps == []


def test_numbered_rotations_between_two_looks_leave_nothing_out(
    receiver: Any, live: Path, event: Event
) -> None:
    """Each number has been another file's before."""
    for first in (1, 3, 5):
        for number in range(first, first + 2):
            rename_numbered(live, compress=first == 5)
            append(live, event(number))
        assert receiver.drain() == [event(first), event(first + 1)]
    assert receiver.gaps == []


def test_more_changes_than_the_kernel_keeps_are_no_file_that_is_missing(
    receiver: Any, live: Path, event: Event
) -> None:
    """What came and went among them nobody knows."""
    changes = receiver.log._renames.changes
    receiver.log.follow(lambda: [Change("", live.name)])
    receiver.log.follow(lambda: None if changes() else [])
    rotate(live, 0)
    append(live, event(1))
    assert receiver.drain() == [event(1)]
    assert receiver.gaps == []


def test_a_file_in_the_place_of_the_live_one_is_none_that_left(
    receiver: Any, live: Path, event: Event
) -> None:
    """As `sed -i` and editors put it there; a rotation after it is one."""
    other = live.with_name("sedXYZ")
    other.write_bytes(live.read_bytes())
    other.rename(live)
    receiver.drain()
    told = len(receiver.gaps)
    rotate(live, 0)
    append(live, event(1))
    assert receiver.drain() == [event(1)]
    assert len(receiver.gaps) == told


OPS = st.lists(st.sampled_from(["make", "date", "number", "pack", "oldest", "live", "look"]))


class Directory:
    """A log whose files are made, renamed, packed and deleted, and what a look must tell."""

    def __init__(self, live: Path) -> None:
        self.live, self.made = live, 0
        self.files: dict[Path, int] = {}  # which file is called so: its number
        self.seen: set[int] = set()
        self.missed = False

    def make(self) -> None:
        if self.live not in self.files:
            self.made += 1
            self.live.write_text(f"{self.made}\n")
            self.files[self.live] = self.made

    def date(self) -> None:
        if self.live in self.files:
            backup = self.live.rename(backup_name(self.live, FIRST + self.made))
            self.files[backup] = self.files.pop(self.live)

    def number(self) -> None:
        if self.live in self.files:
            shift_numbered(self.live)
            self.live.rename(self.live.with_name("audit.log.1"))
            shifted = {self.moved(path): n for path, n in self.files.items()}
            self.files = shifted

    def moved(self, path: Path) -> Path:
        if path == self.live:
            return path.with_name("audit.log.1")
        found = re.fullmatch(r"audit\.log\.(\d+)(.*)", path.name)
        return path.with_name(f"audit.log.{int(found[1]) + 1}{found[2]}") if found else path

    def pack(self) -> None:
        for plain in [f for f in self.files if f != self.live and f.suffix != ".gz"][:1]:
            self.files[compress_in_place(plain)] = self.files.pop(plain)

    def oldest(self) -> None:
        for backup in [f for f in self.files if f != self.live][:1]:
            self.delete(backup)

    def delete(self, path: Path) -> None:
        path.unlink()
        self.missed |= self.files.pop(path) not in self.seen

    def look(self, renames: Renames, known: KnownSegments) -> None:
        before = len(list(known))
        renames.begin()
        entries = renames.listed(self.live, self.live.name)
        renames.tell_missing(entries, self.live.name)
        assert {e.path for e in entries} == set(self.files)
        assert (len(list(known)) > before) == self.missed
        self.seen, self.missed = self.seen | set(self.files.values()), False


@given(OPS)
def test_what_is_told_is_what_came_and_went_between_two_looks(ops: list[str]) -> None:
    """By a plain list of the files that there are, whatever they are called."""
    with TemporaryDirectory() as folder:
        directory = Directory(Path(folder) / "audit.log")
        known = KnownSegments(None, LogLimits(), time.time_ns)
        renames, watch = Renames(known, list_log), DirectoryWatch(Path(folder))
        renames.changes = watch.changes
        for op in [*ops, "look"]:
            if op == "look":
                directory.look(renames, known)
            elif op == "live":
                if directory.live in directory.files:
                    directory.delete(directory.live)
            else:
                getattr(directory, op)()
        watch.close()
