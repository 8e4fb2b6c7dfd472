"""Which deleted files are kept open, and which are let go."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.receiver.deleted import DeletedSegments, HoldLimits, Rescue
from k8s_audit_otlp.receiver.log_file import open_log_file
from tests.kit.log.lumberjack import backup_name, compress_in_place

FIRST = 1_767_323_045_000
PLENTY = 1 << 40


def backups(
    live: Path, event: Callable[..., Any], numbers: list[int] | range, *, packed: Any
) -> list[Path]:
    made = []
    for number in numbers:
        live.write_bytes(event(number, 2000 * (number + 1)))
        backup = live.rename(backup_name(live, FIRST + number))
        if packed:
            compress_in_place(backup)
            backup = backup.with_name(backup.name + ".gz")
        made.append(backup)
    live.write_bytes(event(99))
    return made


@pytest.mark.parametrize("packed", [True, False])
def test_the_oldest_over_the_bound_is_let_go(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any], packed: bool
) -> None:
    """Counted is what they take on disk, compressed or not."""
    made = backups(live, event, range(4), packed=packed)
    sizes = [path.stat().st_size for path in made]
    deleted = DeletedSegments(HoldLimits(sum(sizes[1:]), 0), free=lambda _: PLENTY)
    receiver = receive(deleted=deleted)
    receiver.log.scan()
    for path in made:
        path.unlink()
    got = receiver.drain()
    assert [line[:20] for line in got] == [event(n)[:20] for n in (1, 2, 3, 99)]
    ((reason, start, end),) = receiver.gaps
    assert (reason, start) == ("let_go", 0)
    assert end == (1 if packed else sizes[0])


@pytest.mark.parametrize("free", [99, 100])
def test_with_little_free_disk_none_is_held(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any], free: int
) -> None:
    """A full disk would make the apiserver itself lose events."""
    made = backups(live, event, range(3), packed=False)
    deleted = DeletedSegments(HoldLimits(PLENTY, 100), free=lambda _: free)
    receiver = receive(deleted=deleted)
    receiver.log.scan()
    for path in made:
        path.unlink()
    receiver.drain()
    assert [reason for reason, *_ in receiver.gaps] == (["let_go"] * 3 if free < 100 else [])


@pytest.mark.parametrize("packed", [True, False])
def test_what_is_let_go_or_left_at_the_end_is_rescued(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any], tmp_path: Path, packed: bool
) -> None:
    """Whole files, found again after a restart, removed once they are settled."""
    made = backups(live, event, range(3), packed=packed)
    rescue = tmp_path / "rescue"

    def deleted() -> Any:
        return DeletedSegments(HoldLimits(0, 0), Rescue(rescue, PLENTY), free=lambda _: PLENTY)

    receiver = receive(deleted=deleted())
    receiver.log.scan()
    for path in made[:2]:
        path.unlink()
    receiver.log.scan()
    assert len(list(rescue.iterdir())) == 2
    made[2].unlink()
    again = receive(receiver, deleted=deleted())
    assert len(list(rescue.iterdir())) == 3
    assert [line[:20] for line in again.drain()] == [event(n)[:20] for n in (0, 1, 2, 99)]
    assert again.gaps == []
    again.log.scan()
    assert list(rescue.iterdir()) == []


def test_a_rescue_directory_without_room_takes_nothing(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any], tmp_path: Path
) -> None:
    """It is bounded too."""
    made = backups(live, event, range(2), packed=False)
    rescue = Rescue(tmp_path / "rescue", made[1].stat().st_size)  # each fits, both do not
    deleted = DeletedSegments(HoldLimits(0, 0), rescue, free=lambda _: PLENTY)
    receiver = receive(deleted=deleted)
    receiver.log.scan()
    for path in made:
        path.unlink()
    assert len(receiver.drain()) == 2
    assert [reason for reason, *_ in receiver.gaps] == ["let_go"]


def test_the_packed_twin_takes_over_only_when_it_is_whole(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """Until then the deleted plain file is what is read."""
    (plain,) = backups(live, event, [7], packed=False)
    receiver = receive()
    receiver.log.scan()
    data = plain.read_bytes()
    packed = gzip.compress(data)
    twin = plain.with_name(plain.name + ".gz")
    for content in (packed[:-3], packed):
        twin.write_bytes(content)
        plain.unlink(missing_ok=True)
        receiver.log.scan()
        assert receiver.log.segments()[0].compressed is (content is packed)
    assert receiver.drain()[0] == data


def test_a_file_that_was_handed_over_is_read_as_its_own_segment_alone(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """Where the last commit failed, a number stands for another segment by now."""
    live.write_bytes(event(0))
    before = receive()
    before.log.scan()
    live.unlink()
    live.write_bytes(event(1))
    (other := live.with_name("other")).write_bytes(event(7))
    handed = {1: open_log_file(other, compressed=False)}
    after = receive(before, deleted=DeletedSegments(HoldLimits(), None, handed))
    assert after.drain() == [event(1)]
    assert after.gaps[0] == ("deleted", 0, len(event(0)))
