"""A live file that was seen while it was empty proves what follows only where nothing can differ.

Whoever writes may go on in the file before it, or cut the live one in place beside a copy.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from k8s_audit_otlp.receiver.deleted import DeletedSegments, HoldLimits
from k8s_audit_otlp.receiver.listing import Entry, list_log
from tests.kit.log.log_files import append, copytruncate, rename_numbered, rotate, shift_numbered
from tests.kit.log.lumberjack import compress_in_place

UNSEEN = ("unseen", 0, 1)


def test_what_is_written_to_a_rotated_file_that_is_deleted_then_is_read(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """Nobody has told the writer of the rotation yet: it is the file that it has open."""
    append(live, event(0))
    receiver = receive()
    assert receiver.drain() == [event(0)]
    rename_numbered(live)
    assert receiver.drain() == []
    with live.with_name("audit.log.1").open("ab") as late:
        live.with_name("audit.log.1").unlink()
        late.write(event(1))
    append(live, event(2))
    assert receiver.drain() == [event(1), event(2)]
    assert receiver.gaps == []


def test_what_is_written_to_a_rotated_file_after_it_was_packed_is_read(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """Its packed twin lacks it; the deleted file is kept for as long as it may grow."""
    append(live, event(0))
    receiver = receive(deleted=DeletedSegments(HoldLimits(), free=lambda _: 1 << 40))
    receiver.drain()
    backup = rename_numbered(live)
    receiver.drain()
    with backup.open("ab") as late:
        compress_in_place(backup)
        receiver.drain()
        late.write(event(1))
        late.flush()
        assert receiver.drain() == [event(1)]
    append(live, event(2))
    assert receiver.drain() == [event(2)]
    assert receiver.gaps == []


def test_what_may_have_been_written_to_a_rotated_file_while_stopped_is_told(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """The file that was seen empty follows it; nobody saw its end. lumberjack closes it first."""
    for rotated, gaps in ((rename_numbered, [UNSEEN]), (lambda path: rotate(path, 5), [])):
        for file in live.parent.iterdir():
            file.unlink()
        append(live, event(0))
        receiver = receive()
        receiver.drain()
        backup = rotated(live)
        receiver.drain()
        backup.unlink()
        append(live, event(1))
        second = receive(receiver)
        assert second.drain() == [event(1)]
        assert second.gaps == gaps


def test_a_file_that_was_seen_empty_and_cut_since_proves_nothing(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """Beside a copy that is new, an empty one too, nobody knows how often it was cut."""
    append(live, event(0))
    receiver = receive()
    receiver.drain()
    rotate(live, 1).unlink()
    receiver.drain()
    append(live, event(1))
    copytruncate(live)
    copytruncate(live)
    live.with_name("audit.log.2").unlink()
    append(live, event(2))
    second = receive(receiver)
    assert second.drain() == [event(2)]
    assert second.gaps == [UNSEEN]


def test_what_was_copied_and_cut_beside_a_listing_is_listed_again(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """The live file of the listing holds what came later; the copy of what it held comes first."""
    append(live, event(0))
    receiver = receive()
    receiver.drain()
    copytruncate(live)
    receiver.drain()
    append(live, event(1))
    shift_numbered(live)
    made: list[list[Entry]] = []

    def listing(path: Path) -> list[Entry]:
        entries = list_log(path)
        if not made:
            live.with_name("audit.log.1").write_bytes(live.read_bytes())
            live.write_bytes(event(2))
        made.append(entries)
        return entries

    second = receive(receiver, listing=listing)
    assert second.drain() == [event(1), event(2)]
    assert second.gaps == []


def test_a_last_known_file_of_another_kind_of_name_proves_nothing(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """Where the log was rotated by logrotate before, lumberjack deletes its own backups alone."""
    append(live, event(0))
    receiver = receive()
    receiver.drain()
    rename_numbered(live)
    receiver.drain()
    for number in (1, 2):
        append(live, event(number))
        backup = rotate(live, number)
        if number == 1:
            backup.unlink()
    append(live, event(3))
    second = receive(receiver)
    assert second.drain() == [event(2), event(3)]
    assert second.gaps == [UNSEEN]
