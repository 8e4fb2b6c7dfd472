"""A compressed file without its head or its end: waited for, then told once."""

import gzip
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.model import Span
from k8s_audit_otlp.receiver.marks import mark_of
from k8s_audit_otlp.state.ledger import Tally
from tests.conftest import ManualClock
from tests.kit.log.log_files import FIRST, append, rotate
from tests.kit.log.lumberjack import backup_name

HEADS = {
    "empty": lambda packed: packed[:0],
    "zeros": lambda packed: bytes(len(packed)),
    "header": lambda packed: packed[:12],
    "no gzip": lambda packed: b"\xfe" * len(packed),
}


def test_a_damaged_gz_of_a_time_to_come_is_given_up_at_once(
    receive: Any, live: Path, event: Any, clock: ManualClock
) -> None:
    """The clock was set back since it was written: nobody waits until it is that late again."""
    backup = live.with_name(backup_name(live, FIRST).name + ".gz")
    backup.write_bytes(bytes(100))
    os.utime(backup, (clock.now + 86_400, clock.now + 86_400))
    append(live, event(3))
    receiver = receive()
    assert receiver.drain() == [event(3)]
    assert receiver.gaps == [("corrupt_gzip", 0, 1)]


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_a_gz_without_a_readable_line_is_told_once_it_does_not_change(
    receive: Callable[..., Any],
    live: Path,
    event: Callable[..., Any],
    clock: ManualClock,
    head: Callable[..., Any],
) -> None:
    """What it held is not known; after a minute it is given up, and no restart tells it again."""
    packed = gzip.compress(event(1) + event(2))
    backup = live.with_name(backup_name(live, FIRST).name + ".gz")
    backup.write_bytes(head(packed))
    append(live, event(3))
    for path in (backup, live):
        os.utime(path, (clock.now, clock.now))
    receiver = receive()
    assert receiver.drain() == [event(3)]
    assert receiver.gaps == []
    clock.advance(61)
    assert receiver.drain() == []
    assert receiver.gaps == [("corrupt_gzip", 0, 1)]
    clock.advance(61)
    receiver.drain()
    assert len([s for s in receiver.log.segments() if s.state.lost]) == 1
    again = receive(receiver)
    assert (again.drain(), again.gaps) == ([], [])
    assert receiver.log.finished() == []
    backup.write_bytes(packed)
    os.utime(backup, (clock.now, clock.now))
    assert again.drain() == [event(1), event(2)]


def test_a_half_gz_ends_open_for_everyone(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """How much it held nobody knows; who comes later is told the same."""
    whole = b"".join(event(n, n % 97) for n in range(2000))
    packed = gzip.compress(whole)
    backup = live.with_name(backup_name(live, FIRST).name + ".gz")
    backup.write_bytes(packed[: len(packed) // 2])
    receiver = receive(torn_s=0.0)
    lines = receiver.drain()
    ((reason, start, _),) = receiver.gaps
    assert (reason, start) == ("corrupt_gzip", len(b"".join(lines)))
    segment = receiver.log.segments()[0]
    assert segment.state.open_end
    gap = receiver.reader.read(segment, start)
    assert gap.open_end
    backup.write_bytes(packed)
    rest = receive(receiver).drain()
    assert rest == whole[start:].splitlines(keepends=True)[1:]  # the torn line was told as lost


def test_a_gz_that_breaks_off_behind_a_whole_line_is_told_and_passed(
    receive: Any, live: Path, event: Any
) -> None:
    """Its writer flushed there: no byte of a next line came, and yet something is lost."""
    packer = zlib.compressobj(wbits=31)
    backup = live.with_name(backup_name(live, FIRST).name + ".gz")
    backup.write_bytes(packer.compress(event(1)) + packer.flush(zlib.Z_FULL_FLUSH))
    append(live, event(3))
    receiver = receive(torn_s=0.0)
    assert receiver.drain() == [event(1), event(3)]
    assert receiver.gaps == [("corrupt_gzip", len(event(1)), len(event(1)) + 1)]


@pytest.mark.parametrize("half", [100, 300_000, 2_000_000])
def test_of_a_gz_that_breaks_off_within_a_line_all_of_its_beginning_is_lost(
    receive: Any, live: Path, event: Any, half: int
) -> None:
    """In one gap, however long it is: nobody takes its middle for the beginning of a line."""
    packer = zlib.compressobj(wbits=31)
    data = event(1) + event(2, 3_000_000)[:half]
    backup = live.with_name(backup_name(live, FIRST).name + ".gz")
    backup.write_bytes(packer.compress(data) + packer.flush(zlib.Z_FULL_FLUSH))
    append(live, event(3))
    receiver = receive(torn_s=0.0)
    assert receiver.drain() == [event(1), event(3)]
    assert receiver.gaps == [("corrupt_gzip", len(event(1)), len(data))]


@pytest.mark.parametrize("read", [0, 1, 2])
@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_a_damaged_gz_of_a_segment_that_is_known_loses_its_rest_alone(
    receive: Any, live: Path, event: Any, clock: Any, head: Any, read: int
) -> None:
    """Of what had been delivered nothing is missing; a mended file is read on where it was."""
    append(live, event(0), event(1))
    receiver = receive()
    receiver.log.scan()
    backup = rotate(live, 0)
    append(live, event(2))
    receiver.log.scan()
    segment = receiver.log.segments()[0]
    for number in range(read):
        span = Span(segment.seq, number * len(event(0)), (number + 1) * len(event(0)))
        receiver.ledger.settle(receiver.ledger.open(span, mark_of(event(number))), Tally())
    receiver.log.scan()
    packed = gzip.compress(backup.read_bytes())
    backup.unlink()
    broken = backup.with_name(backup.name + ".gz")
    broken.write_bytes(head(packed))
    os.utime(broken, (clock.now, clock.now))
    receiver = receive(receiver)
    receiver.drain()
    clock.advance(61)
    receiver.drain()
    clock.advance(61)
    receiver.drain()
    start = read * len(event(0))
    lost = [("corrupt_gzip", start, 2 * len(event(0)))] if read < 2 else []
    assert receiver.gaps == lost
    assert len(receiver.log.segments()) == 2
    again = receive(receiver)
    assert (again.drain(), again.gaps) == ([], [])


@pytest.mark.parametrize("there", [0, 3, 7])
@pytest.mark.parametrize("end", [b"", b"\n"], ids=["no newline", "newline"])
def test_a_gz_that_lacks_only_its_trailer_loses_nothing(
    receive: Callable[..., Any],
    live: Path,
    event: Callable[..., Any],
    clock: ManualClock,
    there: int,
    end: bytes,
) -> None:
    """Its data says where it ends; that nothing verifies it is said once, and is no gap."""
    lines = [event(n, n % 97) for n in range(2000)]
    lines[-1] = lines[-1].removesuffix(b"\n") + end
    packed = gzip.compress(b"".join(lines))
    backup = live.with_name(backup_name(live, FIRST).name + ".gz")
    backup.write_bytes(packed[: len(packed) - 8 + there])
    os.utime(backup, (clock.now, clock.now))
    receiver = receive()
    assert receiver.drain() == lines[:-1] + lines[-1:] * bool(end), "it may still be written"
    clock.advance(61)
    got = receiver.drain() + receiver.drain()
    assert got == lines[-1:] * (not end)
    assert receiver.gaps == []
    said = [message for _, message in receiver.events.troubles if "checksum" in message]
    assert len(said) == 1
    assert receiver.log.segments()[0].state.complete
    again = receive(receiver)
    assert (again.drain(), again.gaps) == ([], [])


@pytest.mark.parametrize(
    ("behind", "told"), [(b"rotated by a script\n", []), (b"\x80\x02" * 90, ["corrupt_gzip"])]
)
def test_what_stands_behind_a_whole_gz_holds_nothing_up(
    receive: Any, live: Path, event: Any, clock: ManualClock, behind: bytes, told: list[str]
) -> None:
    """Text is no part of a gzip; anything else may be a damaged member, which is told at once."""
    backup = live.with_name(backup_name(live, FIRST).name + ".gz")
    backup.write_bytes(gzip.compress(event(0) + event(1)) + behind)
    os.utime(backup, (clock.now - 3600, clock.now - 3600))
    append(live, event(2))
    receiver = receive()
    assert receiver.drain() == [event(0), event(1), event(2)]
    assert [reason for reason, *_ in receiver.gaps] == told
