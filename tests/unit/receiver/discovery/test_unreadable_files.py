"""A file that cannot be read is not gone: it is waited for, told once, and never passed over."""

import gzip
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.receiver.log import AuditLog
from tests.kit.agent import NobodyListens
from tests.kit.log.log_files import denied
from tests.kit.log.lumberjack import backup_name

FIRST = 1_767_323_045_000
BROKEN = "/proc/self/mem"  # a file whose first byte is an I/O error


@pytest.fixture
def log_dir() -> Iterator[Path]:
    """Give a directory that another user may enter."""
    with tempfile.TemporaryDirectory(prefix="unread-") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


def append(path: Path, *lines: Any) -> None:
    with path.open("ab") as file:
        file.write(b"".join(lines))
    path.chmod(0o644)


def rotate(live: Path, number: int) -> Path:
    return live.rename(backup_name(live, FIRST + number))


@pytest.mark.parametrize("rotated", [True, False])
def test_a_log_that_may_not_be_read_for_a_while_after_a_start(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any], rotated: bool
) -> None:
    """Whether it is the live file or a backup by now; what may be read goes on meanwhile."""
    append(live, event(0))
    receiver = receive()
    receiver.log.scan()
    append(live, event(1))
    file = rotate(live, 0) if rotated else live
    if rotated:
        append(live, event(2))
    with denied(file):
        receiver = receive(receiver)
        for _ in range(3):
            assert receiver.drain() in ([event(2)] if rotated else [], [])
        assert receiver.gaps == []
        (said,) = receiver.events.troubles
        assert "Permission denied" in said[1]
        assert str(file) in said[1]
        assert receiver.log.troubles.now == [said[1]]
    assert receiver.drain() == [event(0), event(1)]
    assert receiver.gaps == []
    assert [message for _, message in receiver.events.troubles] == [said[1], ""]
    assert receiver.log.troubles.now == []


def test_a_new_backup_that_cannot_be_read_is_told_when_it_is_gone(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """Nobody knows what was in it; a restart in between forgets nothing."""
    append(live, event(0))
    receiver = receive()
    assert receiver.drain() == [event(0)]
    backup = Path(backup_name(live, FIRST))
    backup.symlink_to(BROKEN)
    append(live, event(1))
    for _ in range(2):
        assert receiver.drain() in ([event(1)], [])
    assert len(receiver.events.troubles) == 1
    assert "Input/output error" in receiver.events.troubles[0][1]
    receiver = receive(receiver)
    assert (receiver.drain(), receiver.gaps) == ([], [])
    backup.unlink()
    assert (receiver.drain(), receiver.gaps) == ([], [("unseen", 0, 1)])
    assert receiver.segments()[-1][0] is None
    assert receive(receiver).drain() == []


def test_a_known_segment_whose_disk_fails_is_waited_for(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """At a start, under the name that it had."""
    append(live, event(0), event(1))
    rotate(live, 0)
    append(live, event(2))
    receiver = receive()
    receiver.log.scan()
    backup = Path(backup_name(live, FIRST))
    data = backup.read_bytes()
    backup.unlink()
    backup.symlink_to(BROKEN)
    receiver = receive(receiver)
    assert receiver.drain() == [event(2)]
    assert receiver.gaps == []
    backup.unlink()
    backup.write_bytes(data)
    assert receiver.drain() == [event(0), event(1)]
    assert receiver.gaps == []


def test_a_file_that_nobody_may_read_hides_no_other_loss(
    receive: Any, live: Path, event: Any
) -> None:
    """One that was never readable: it cannot be what was read and is gone."""
    append(live, event(0))
    alien = Path(backup_name(live, FIRST - 9))
    alien.symlink_to(BROKEN)
    receiver = receive()
    receiver.log.scan()
    rotate(live, 0).unlink()
    append(live, event(1))
    receiver = receive(receiver)
    assert receiver.drain() == [event(1)]
    assert receiver.gaps == [("deleted", 0, len(event(0))), ("unseen", 0, 1)]


@pytest.mark.parametrize("same", [True, False])
def test_whether_an_unreadable_file_fills_a_gap_is_judged_when_it_can_be_read(
    receive: Any, live: Path, event: Any, *, same: bool
) -> None:
    """Rotated and packed while the agent was away, and its owner changed: new name, new inode."""
    append(live, event(0))
    receiver = receive()
    receiver.drain()
    append(live, event(1))
    data = rotate(live, 0)
    packed = gzip.compress(data.read_bytes() if same else event(7))
    data.unlink()
    backup = data.with_name(data.name + ".gz")
    backup.symlink_to(BROKEN)
    append(live, event(2))
    for _ in range(2):
        receiver = receive(receiver)
        assert receiver.drain() in ([event(2)], [])
        assert receiver.gaps == []
    backup.unlink()
    backup.write_bytes(packed)
    if same:
        assert (receiver.drain(), receiver.gaps) == ([event(1)], [])
    else:
        assert receiver.drain() == [event(7)]
        assert receiver.gaps == [("unseen", 0, 1)]
    receiver = receive(receiver)
    assert (receiver.drain(), receiver.gaps) == ([], [])


def test_an_unreadable_file_keeps_its_place_and_holds_nobody_up(
    receive: Any, live: Path, event: Any
) -> None:
    """No position moves over it, its number stays the lower one, later ones are sent meanwhile."""
    for number in range(3):
        append(live, event(number))
        rotate(live, number)
    append(live, event(3))
    receiver = receive()
    receiver.log.scan()
    with denied(Path(backup_name(live, FIRST + 1))):
        receiver = receive(receiver)
        assert receiver.drain() == [event(0), event(2), event(3)]
        unread = receiver.log.segments()[1]
        assert receiver.ledger.settled_offset(unread.seq) == 0
        assert receiver.log.troubles.now
    append(live, event(4))
    assert receiver.drain() == [event(1), event(4)]
    assert receiver.gaps == []


def test_a_directory_that_may_not_be_entered_at_a_start_is_waited_for(
    receive: Any, log_dir: Path, live: Path, event: Any
) -> None:
    """It is no configuration mistake, and nothing in it is gone."""
    append(live, event(0))
    receiver = receive()
    receiver.drain()
    append(live, event(1))
    rotate(live, 0)
    append(live, event(2))
    with denied(log_dir):
        log = AuditLog("audit", live, NobodyListens(), receiver.log.state())
        log.scan()
        assert "Permission denied" in log.troubles.now[0]
        log.close()
        receiver = receive(receiver)
        assert receiver.drain() == []
    assert receiver.drain() == [event(1), event(2)]
    assert receiver.gaps == []


def test_a_link_in_a_circle_beside_the_log_stops_nothing(
    receive: Any, live: Path, event: Any
) -> None:
    """Whether its name is one of a backup or only looks like one."""
    append(live, event(0))
    for name in ("audit.log.1", "audit.log.bak"):
        live.with_name(name).symlink_to(name)
    receiver = receive()
    assert receiver.drain() == [event(0)]
    assert receiver.log.troubles.now == []


@pytest.mark.parametrize("restart", [True, False])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("next_too", [True, False])
def test_a_file_that_was_seen_where_it_belongs_follows_once_it_can_be_read(
    receive: Any, live: Path, event: Any, clock: Any, *, restart: bool, packed: bool, next_too: bool
) -> None:
    """Though the file before it was deleted meanwhile, and it was rotated and packed itself."""
    append(live, event(0))
    receiver = receive()
    assert receiver.drain() == [event(0)]
    before = rotate(live, 0)
    append(live, event(1))
    clock.advance(1)
    with denied(live):
        receiver.drain()
    backup = rotate(live, 1)
    with denied(backup):
        receiver.drain()
    before.unlink()
    if packed:
        (backup.parent / f"{backup.name}.gz").write_bytes(gzip.compress(backup.read_bytes()))
        backup.unlink()
        backup = backup.with_name(f"{backup.name}.gz")
    append(live, event(2))
    expected = [event(1), event(2)]
    with denied(backup):
        if next_too:
            assert receiver.drain() == [expected.pop()]
        receiver = receive(receiver) if restart else receiver
    assert receiver.drain() == expected
    assert receiver.gaps == []


def test_an_older_file_that_can_be_read_at_last_proves_nothing_of_what_came_later(
    receive: Any, live: Path, event: Any, clock: Any
) -> None:
    alien = Path(backup_name(live, FIRST - 9))
    append(alien, event(0))
    append(live, event(1))
    clock.advance(1)
    with denied(alien):
        receiver = receive()
        assert receiver.drain() == [event(1)]
    rotate(live, 0).unlink()
    append(live, event(3))
    receiver = receive(receiver)
    assert sorted(receiver.drain()) == [event(0), event(3)]
    assert receiver.gaps == [("unseen", 0, 1)]


def test_a_file_that_could_be_read_at_last_excuses_nothing_any_more(
    receive: Any, live: Path, event: Any
) -> None:
    """Though its segment is read from a copy, and it is listed as a second one of the same."""
    append(live, event(0))
    receiver = receive()
    receiver.log.scan()
    rotate(live, 0).unlink()
    append(live, event(1))
    with denied(live):
        receiver = receive(receiver)
        assert (receiver.drain(), receiver.gaps) == ([], [])
    backup = rotate(live, 1)
    append(live, backup.read_bytes())
    assert receiver.drain() == [event(1)]
    assert ("deleted", 0, len(event(0))) in receiver.gaps
