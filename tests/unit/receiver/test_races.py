"""A listing is no snapshot: what is renamed beside it is neither lost nor said to be missing."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.receiver.listing import Entry, list_log
from tests.conftest import ManualClock
from tests.kit.log.log_files import FIRST, append, rename_numbered, rotate
from tests.kit.log.lumberjack import backup_name, compress_in_place

UNSEEN = ("unseen", 0, 1)


class Listings:
    """Lists the log, and does the next of what happens meanwhile right after a listing."""

    def __init__(self) -> None:
        self.meanwhile: Iterator[Callable[[], Any]] = iter(())
        self.hidden: list[set[str]] = []  # of the next listings
        self.made = 0

    def __call__(self, path: Path) -> list[Entry]:
        self.made += 1
        entries = list_log(path)
        if self.hidden:
            hidden = self.hidden.pop(0)
            entries = [e for e in entries if e.name.name not in hidden]
        next(self.meanwhile, lambda: None)()
        return entries


@pytest.mark.parametrize("count", [1, 3, 50])
def test_backups_that_are_packed_beside_the_listing_keep_their_order(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any], count: int
) -> None:
    """More files than are opened ahead, each of them plain in the listing and packed after it."""
    append(live, event(0))
    listings = Listings()
    receiver = receive(listing=listings)
    assert receiver.drain() == [event(0)]
    backups = []
    for number in range(1, count + 1):
        backups.append(rotate(live, number))
        append(live, event(number))
    listings.meanwhile = iter([lambda: [compress_in_place(b) for b in backups]])
    assert receiver.drain() == [event(n) for n in range(1, count + 1)]
    append(live, event(count + 1))
    assert receiver.drain() == [event(count + 1)]
    assert receiver.gaps == []


@pytest.mark.parametrize("restart", [True, False])
def test_a_rotation_beside_the_listing_keeps_the_order(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any], restart: bool
) -> None:
    """The live name leads to a later file than the listing says: the earlier one comes first."""
    append(live, event(0))
    listings = Listings()
    receiver = receive(listing=listings)
    assert receiver.drain() == [event(0)]
    rotate(live, 1)
    append(live, event(1))

    def meanwhile(number: int) -> Callable[[], None]:
        def act() -> None:
            rotate(live, number)
            append(live, event(number))

        return act

    listings.meanwhile = iter([meanwhile(n) for n in (2, 3, 4)])
    second = receive(receiver, listing=listings) if restart else receiver
    assert second.drain() == [event(n) for n in range(1, 5)]
    assert second.gaps == []


@pytest.mark.parametrize("restart", [True, False])
def test_what_one_listing_does_not_show_is_looked_for_in_another(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any], restart: bool
) -> None:
    """The last known file is being renamed while the directory is read."""
    append(live, event(0))
    listings = Listings()
    receiver = receive(listing=listings)
    assert receiver.drain() == [event(0)]
    backup = rotate(live, 1)
    compress_in_place(backup)
    append(live, event(1))
    listings.hidden = [{backup.name + ".gz"}]
    second = receive(receiver, listing=listings) if restart else receiver
    assert second.drain() + second.drain() == [event(1)]
    assert second.gaps == []


def test_what_two_listings_do_not_show_is_missing(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """The doubt costs one more listing, not the notice; a new live file costs another one."""
    append(live, event(0))
    listings = Listings()
    receiver = receive(listing=listings)
    assert receiver.drain() == [event(0)]
    for number in (1, 2):
        rotate(live, number).unlink()
        append(live, event(number))
    made = listings.made
    second = receive(receiver, listing=listings)
    assert second.drain() == [event(2)]
    assert second.gaps == [UNSEEN]
    assert listings.made == made + 3


def test_the_last_known_file_may_come_behind_older_ones_that_are_new(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """Backups that were put back are named before it: nothing is missing between them."""
    append(live, event(5))
    receiver = receive()
    assert receiver.drain() == [event(5)]
    compress_in_place(rotate(live, 5))
    append(live.with_name(backup_name(live, FIRST + 1).name), event(1))
    second = receive(receiver)
    assert second.drain() + second.drain() == [event(1)]
    assert second.gaps == []


def test_a_log_that_is_cut_beside_the_first_look_at_it_is_no_gap(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """Listed before it is copied, cut once its first line was read: such a look shows nothing."""
    append(live, event(0))
    copy = live.with_name("audit.log.1")

    def cut() -> None:
        copy.write_bytes(live.read_bytes())
        os.truncate(live, 0)

    listings = Listings()
    listings.meanwhile = iter([copy.touch, lambda: None, lambda: None, cut])
    receiver = receive(listing=listings)
    assert receiver.drain() + receiver.drain() == [event(0)]
    assert receiver.gaps == []


@pytest.mark.parametrize("kept", [1, 2])
def test_a_new_file_that_is_deleted_beside_every_listing_is_told(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any], kept: int
) -> None:
    """More of them than can be opened ahead: what was listed and could not be opened is missing."""
    append(live, event(0))
    listings = Listings()
    receiver = receive(listing=listings)
    assert receiver.drain() == [event(0)]
    for number in range(1, 61):
        rotate(live, number)
        append(live, event(number))

    def delete() -> None:
        olds = sorted(live.parent.glob("audit-*"))
        for old in olds[: max(0, len(olds) - kept - 1)][:10]:
            old.unlink()

    listings.meanwhile = iter([delete] * 20)
    second = receive(receiver, listing=listings)
    assert second.drain() == []  # the last known file may be being renamed
    got = second.drain()
    assert got == [event(n) for n in range(61 - len(got), 61)]
    assert UNSEEN in second.gaps


@pytest.mark.parametrize("read", [True, False])
def test_a_log_that_is_cut_beside_the_listing_is_followed_into_its_copy(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any], read: bool
) -> None:
    """By then another line stands in the file that is open: the copy has what was there."""
    append(live, event(0))
    listings = Listings()
    receiver = receive(listing=listings)
    receiver.log.scan()
    given = receiver.read_on() if read else []
    live.with_name("audit.log.1").write_bytes(live.read_bytes())
    listings.meanwhile = iter([lambda: live.write_bytes(event(1))])
    for _ in range(2):
        given += receiver.drain()
    assert given == [event(0), event(1)]
    assert receiver.gaps == []


@pytest.mark.parametrize("stays", [True, False])
def test_what_was_in_a_log_that_is_cut_beside_the_last_listing_is_in_no_doubt_too_soon(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any], stays: bool
) -> None:
    """The next listing shows its copy; where that is gone by then, it is told."""
    append(live, event(0))
    listings = Listings()
    receiver = receive(listing=listings)
    assert receiver.drain() == [event(0)]
    old = live.rename(live.with_name("audit.log-20260102"))
    append(live, event(1))
    copy = live.with_name("audit.log-20260103")

    def cut() -> None:
        copy.write_bytes(live.read_bytes())
        live.write_bytes(event(2))

    listings.hidden = [{old.name}]  # so that the next one is the last
    listings.meanwhile = iter([lambda: None, cut])
    second = receive(receiver, listing=listings)
    assert second.drain() == [event(2)]
    assert second.gaps == []
    for file in () if stays else (old, copy):
        file.unlink()
    assert second.drain() == ([event(1)] if stays else [])
    assert second.gaps == ([] if stays else [UNSEEN])


def renamed_in(directory: Path, clock: ManualClock) -> None:
    """Somebody is renaming the files in *directory* just now."""
    os.utime(directory, ns=(int(clock.now * 1e9),) * 2)


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_number_that_is_missing_while_files_are_renamed_may_be_there_soon(
    receive: Callable[..., Any],
    live: Path,
    event: Callable[..., Any],
    clock: ManualClock,
    goes_on: bool,
) -> None:
    """Whoever shifts the numbers begins with the highest; a hole that stays is a file too few."""
    append(live, event(0))
    receiver = receive()
    assert receiver.drain() == [event(0)]
    for number in (1, 2):
        rename_numbered(live)
        append(live, event(number))
    old, new = live.with_name("audit.log.2"), live.with_name("audit.log.1")
    old.rename(live.with_name("audit.log.3"))
    renamed_in(live.parent, clock)
    second = receive(receiver)
    assert second.drain() == [event(1), event(2)]
    assert second.gaps == []
    # A process that is killed before its checkpoint leaves positions, which must prove nothing.
    assert [s.seq for s in second.log.segments()] == [1, 3, 4]
    if goes_on:
        new.rename(old)
    for _ in range(2):
        clock.advance(2)
        assert second.drain() == []
    assert second.gaps == ([] if goes_on else [UNSEEN])


@pytest.mark.parametrize("returns", [True, False])
def test_a_file_that_no_listing_shows_while_others_are_renamed_is_waited_for(
    receive: Callable[..., Any],
    live: Path,
    event: Callable[..., Any],
    clock: ManualClock,
    returns: bool,
) -> None:
    """What is told as deleted is never sent, though a moment later it is there."""
    append(live, event(0))
    receiver = receive()
    receiver.log.scan()
    backup = rotate(live, 1)
    append(live, event(1))
    aside = backup.rename(backup.with_name("aside"))
    renamed_in(live.parent, clock)
    second = receive(receiver)
    assert second.drain() == []
    if returns:
        aside.rename(backup)
    clock.advance(2)
    assert second.drain() == ([event(0), event(1)] if returns else [event(1)])
    assert second.gaps == ([] if returns else [("deleted", 0, len(event(0))), UNSEEN])


def test_a_log_was_empty_when_the_look_at_it_began(
    receive: Callable[..., Any], clock: ManualClock
) -> None:
    """What is written while it is listed may be gone before the next look."""
    began = clock.now

    def slow(path: Path) -> list[Entry]:
        clock.advance(5)
        return list_log(path)

    receiver = receive(listing=slow)
    receiver.log.scan()
    assert receiver.log.state().empty_ns == int(began * 1e9)
