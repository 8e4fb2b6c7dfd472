"""Backups that are made in several ways: each kind of rotation deletes its own oldest."""

from pathlib import Path
from typing import Any

import pytest

from tests.kit.log.log_files import append, rotate
from tests.unit.receiver.test_races import Listings


def numbered(live: Path, number: int) -> None:
    live.rename(live.with_name(f"{live.name}.{number}"))
    live.touch()


def beside_backups_of_both_kinds(receive: Any, live: Path, event: Any) -> Any:
    """Return a receiver that has read a log with a number and one with a date."""
    append(live, event(0))
    numbered(live, 1)
    append(live, event(1))
    rotate(live, 1)
    append(live, event(2))
    receiver = receive()
    receiver.drain()
    return receiver


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("first", ["live", "copy"])
def test_what_no_file_proves_is_told_once_a_file_that_was_empty_has_a_line(
    receive: Any, live: Path, event: Any, first: str, *, restart: bool
) -> None:
    """The look before shows only backups of the other kind, which prove nothing of this one."""
    receiver = beside_backups_of_both_kinds(receive, live, event)
    rotate(live, 2)  # it stays
    append(live, event(3))
    numbered(live, 1)  # and this comes and goes, and what was number 1
    live.with_name("audit.log.1").unlink()
    if first == "copy":
        numbered(live, 1)
    assert receiver.drain() == [], "nothing new has a line yet"
    assert receiver.gaps == []
    receiver = receive(receiver) if restart else receiver
    append(live.with_name("audit.log.1") if first == "copy" else live, event(4))
    assert receiver.drain() == [event(4)]
    assert receiver.gaps == [("unseen", 0, 1)]
    since_ns, until_ns = receiver.between[0]
    assert since_ns < until_ns
    append(live, event(5))
    assert receiver.drain() == [event(5)]
    assert len(receiver.gaps) == 1, "it is told once"


@pytest.mark.parametrize("name", ["audit.log.1", "audit.log-20260102", "lumberjack's.1"])
def test_a_backup_proves_nothing_of_those_that_somebody_else_makes(
    receive: Any, live: Path, event: Any, name: str
) -> None:
    """Two kinds of dates are two kinds: lumberjack's, and logrotate's; so is one of the other's."""
    append(live, event(0))
    first = rotate(live, 1)
    other = live.with_name(first.name + ".1" if name.startswith("lumber") else name)
    first.rename(other)
    append(live, event(1))
    rotate(live, 2)
    append(live, event(2))
    receiver = receive()
    receiver.drain()
    rotate(live, 3)  # it stays
    append(live, event(3))
    other.unlink()
    live.unlink()  # as it would be with that name, by now
    append(live, event(4))
    assert receiver.drain() == [event(4)]
    assert [until_ns - since_ns for since_ns, until_ns in receiver.between] == [2000], "2 to 4"


@pytest.mark.parametrize("restart", [False, True])
def test_who_takes_all_up_again_every_night_leaves_nothing_out(
    receive: Any, live: Path, event: Any, *, restart: bool
) -> None:
    """Logrotate is told of `audit*.log`: it renames lumberjack's backups, and the log itself."""
    append(live, event(0))
    receiver = receive()
    receiver.drain()
    for night in range(1, 4):
        rotate(live, night)
        append(live, event(2 * night - 1))
        assert receiver.drain() == [event(2 * night - 1)]
        for number in (2, 1, 0):
            for file in live.parent.glob(f"audit*.log.{number}" if number else "audit*.log"):
                name = f"{file.name.removesuffix(f'.{number}')}.{number + 1}"
                file.rename(file.with_name(name))
        append(live, event(2 * night))
        receiver = receive(receiver) if restart else receiver
        assert receiver.drain() == [event(2 * night)]
        assert receiver.gaps == []


def test_of_each_kind_it_is_told_before_its_own_next_file(
    receive: Any, live: Path, event: Any
) -> None:
    """The stretch of the other one reaches back to the last look as well."""
    append(live, event(0))
    receiver = receive()
    receiver.drain()
    rotate(live, 0)
    next(live.parent.glob("audit-*")).unlink()
    append(live, event(1))
    rotate(live, 1)
    append(live, event(2))
    numbered(live, 1)
    append(live, event(3))
    assert receiver.drain() == [event(1), event(2), event(3)]
    assert len(receiver.gaps) == 2
    assert len({since_ns for since_ns, _ in receiver.between}) == 1
    assert receiver.between[0][1] < receiver.between[1][1]


def test_a_kind_whose_known_file_is_listed_again_is_proven(
    receive: Any, live: Path, event: Any
) -> None:
    """As one that another listing did not show because it was being renamed."""
    receiver = beside_backups_of_both_kinds(receive, live, event)
    away = live.parent.parent / "away"
    live.with_name("audit.log.1").rename(away)
    rotate(live, 2)
    live.touch()
    assert receiver.drain() == []
    away.rename(live.with_name("audit.log.1"))
    append(live, event(3))
    assert receiver.drain() == [event(3)]
    assert receiver.gaps == []


def test_a_backup_beside_a_log_that_nobody_rotated_is_no_gap(
    receive: Any, live: Path, event: Any
) -> None:
    """Some backup of the other kind is put there, and another deleted."""
    append(live, event(0))
    rotate(live, 0)
    append(live, event(2))
    receiver = receive()
    receiver.drain()
    append(live.with_name("audit.log.1"), event(1))
    next(live.parent.glob("audit-*")).unlink()
    assert receiver.drain() == [event(1)]
    assert receiver.gaps == []


def test_what_is_not_found_where_the_listing_says_is_not_proven_by_it(
    receive: Any, live: Path, event: Any
) -> None:
    """A newer one with a date is found meanwhile: what is missing lies before that."""
    listings = Listings()
    receiver = beside_backups_of_both_kinds(lambda: receive(listing=listings), live, event)
    live.with_name("audit.log.1").unlink()
    numbered(live, 40)
    for number in range(3, 42):  # more than are opened ahead
        append(live, event(number))
        numbered(live, 42 - number)
    append(live, event(42))
    rotate(live, 2)
    append(live, event(43))

    def delete() -> None:
        for number in (40, 39):
            live.with_name(f"audit.log.{number}").unlink()

    listings.meanwhile = iter([delete])
    assert sorted(receiver.drain()) == sorted(event(n) for n in range(4, 44))
    assert [until_ns - since_ns for since_ns, until_ns in receiver.between] == [2000], "2 to 4"


@pytest.mark.parametrize("stays", [True, False])
def test_what_was_in_a_log_that_is_cut_is_proven_by_no_other_kind(
    receive: Any, live: Path, event: Any, *, stays: bool
) -> None:
    """The file that it followed is listed and has a date, and its copy has a number."""
    receiver = beside_backups_of_both_kinds(receive, live, event)
    old, copy = live.with_name("audit.log.2"), live.with_name("audit.log.1")
    copy.rename(old)
    newest = rotate(live, 2)
    append(live, event(3))

    def cut() -> None:
        copy.write_bytes(live.read_bytes())
        live.write_bytes(event(4))

    listings = Listings()
    listings.hidden = [{newest.name}]  # so that the next one is the last
    listings.meanwhile = iter([lambda: None, cut])
    receiver = receive(receiver, listing=listings)
    assert receiver.drain() == [event(4)]
    for file in () if stays else (old, copy):
        file.unlink()
    assert receiver.drain() == ([event(3)] if stays else [])
    rotate(live, 3)
    append(live, event(5))
    assert receiver.drain() == [event(5)]
    assert [until_ns - since_ns for since_ns, until_ns in receiver.between] == (
        [] if stays else [3000]  # 2 to 5
    )
