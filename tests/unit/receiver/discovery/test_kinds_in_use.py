"""Which ways to make backups are in use where none of their files is there."""

from pathlib import Path
from typing import Any

import pytest

from tests.kit.log.log_files import append, rotate
from tests.unit.receiver.discovery.test_kinds_of_names import (
    beside_backups_of_both_kinds,
    numbered,
)


@pytest.mark.parametrize("restart", [False, True])
def test_a_kind_of_which_only_an_empty_file_was_listed_is_in_use(
    receive: Any, live: Path, event: Any, *, restart: bool
) -> None:
    """It is deleted, and so is the next one of its kind, before anybody looks again."""
    append(live, event(0))
    rotate(live, 1)
    append(live, event(1))
    live.with_name("audit.log.1").touch()
    receiver = receive()
    receiver.drain()
    rotate(live, 2)
    append(live, event(2))
    numbered(live, 1)
    live.with_name("audit.log.1").unlink()
    append(live, event(3))
    receiver = receive(receiver) if restart else receiver
    assert receiver.drain() == [event(3)]
    assert receiver.gaps == [("unseen", 0, 1)]
    rotate(live, 3)
    append(live, event(4))
    assert receiver.drain() == [event(4)]
    assert len(receiver.gaps) == 1, "the other kind is not in use any more"


@pytest.mark.parametrize("restart", [False, True])
def test_a_kind_of_which_the_last_file_was_deleted_is_in_use(
    receive: Any, live: Path, event: Any, *, restart: bool
) -> None:
    """Its rotation stands still there, and two more end before anybody looks again."""
    receiver = beside_backups_of_both_kinds(receive, live, event)
    number_1 = live.with_name("audit.log.1")
    number_1.unlink()
    assert receiver.drain() == []
    numbered(live, 1)
    append(live, event(3))
    rotate(live, 2)
    append(live, event(4))
    number_1.unlink()
    numbered(live, 1)
    append(live, event(5))
    number_1.unlink()
    receiver = receive(receiver) if restart else receiver
    assert receiver.drain() == [event(3), event(5)]
    assert [until_ns - since_ns for since_ns, until_ns in receiver.between] == [1000, 3000]


@pytest.mark.parametrize("restart", [False, True])
def test_a_kind_is_out_of_use_once_another_has_made_the_log_a_backup(
    receive: Any, live: Path, event: Any, *, restart: bool
) -> None:
    """Somebody has tidied up, and nothing is told of it ever."""
    receiver = beside_backups_of_both_kinds(receive, live, event)
    live.with_name("audit.log.1").unlink()
    for number in range(2, 5):
        assert receiver.drain() == ([event(number)] if number > 2 else [])
        receiver = receive(receiver) if restart else receiver
        rotate(live, number)
        append(live, event(number + 1))
    assert receiver.drain() == [event(5)]
    assert receiver.gaps == []


@pytest.mark.parametrize("restart", [False, True])
def test_whose_files_are_taken_up_again_is_in_use(
    receive: Any, live: Path, event: Any, *, restart: bool
) -> None:
    """Lumberjack, of whose own files none is left, and who deletes one before the next night."""

    def night(number: int) -> None:
        for file in live.parent.glob("audit-*.log"):
            file.rename(file.with_name(file.name + ".1"))
        for file in sorted(live.parent.glob("audit.log.*"), reverse=True):
            file.rename(file.with_suffix(f".{int(file.suffix[1:]) + 1}"))
        numbered(live, 1)
        append(live, event(number))

    append(live, event(0))
    rotate(live, 1)
    append(live, event(1))
    night(2)
    receiver = receive()
    receiver.drain()
    night(3)
    assert receiver.drain() == [event(3)]
    rotate(live, 2)
    append(live, event(4))
    night(5)
    deleted = rotate(live, 3)
    append(live, event(6))
    rotate(live, 4)
    deleted.unlink()
    append(live, event(7))
    night(8)
    receiver = receive(receiver) if restart else receiver
    assert receiver.drain() == [event(6), event(4), event(7), event(8)]
    assert [until_ns - since_ns for since_ns, until_ns in receiver.between] == [5000], "3 to 8"
