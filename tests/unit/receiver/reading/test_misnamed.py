"""A file is packed if its bytes say so: whoever copies a backup may leave it the wrong name."""

import bz2
import gzip
import lzma
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.tools.offline import OfflineSegment, files_of, segments
from tests.conftest import ManualClock
from tests.kit.log.log_files import FIRST, append
from tests.kit.log.lumberjack import backup_name

UNPACK = "unpack it, or pack it with gzip"


@pytest.mark.parametrize(("packed", "suffix"), [(True, ""), (False, ".gz")])
def test_a_backup_is_read_whatever_its_name_says(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any], packed: bool, suffix: str
) -> None:
    """By the agent, over a restart, and by what reads a log without it."""
    lines = event(0) + event(1)
    backup = live.with_name(backup_name(live, FIRST).name + suffix)
    backup.write_bytes(gzip.compress(lines) if packed else lines)
    append(live, event(2))
    receiver = receive()
    assert receiver.drain() == [event(0), event(1), event(2)]
    again = receive(receiver)
    assert (again.drain(), again.gaps) == ([], [])
    offline = [s for s in segments(files_of(live), {}) if isinstance(s, OfflineSegment)]
    assert [block.data for s in offline for block in s.blocks()] == [lines, event(2)]
    assert [s.identity for s in offline] == [identity for _, identity in receiver.segments()]


def test_a_packed_twin_under_a_plain_name_is_the_same_segment(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """Packed in place, with its name: what was read of it is not sent again."""
    append(live, event(0))
    receiver = receive()
    assert receiver.drain() == [event(0)]
    backup = live.rename(backup_name(live, FIRST))
    packed = backup.with_name("packing")
    packed.write_bytes(gzip.compress(event(0) + event(1)))
    packed.rename(backup)
    append(live, event(2))
    again = receive(receiver)
    assert again.drain() == [event(1), event(2)]
    assert again.gaps == []


def test_a_packed_live_file_is_read_and_what_it_becomes(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any], clock: ManualClock
) -> None:
    """As a whole, when another member follows, and when it is cut and written as a log is."""
    live.write_bytes(gzip.compress(event(0) * 40))
    receiver = receive()
    assert receiver.drain() == [event(0)] * 40
    assert not receiver.log.poll()
    append(live, gzip.compress(event(1)))
    assert receiver.drain() == [event(1)]
    os.truncate(live, 0)
    append(live, *[event(2)] * 20)
    assert receiver.log.poll()
    assert receiver.drain() == [event(2)] * 20
    clock.advance(61)  # who wrote it anew may have added something before
    assert (receiver.drain(), receiver.gaps) == ([], [("unseen", 0, 1)])


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("xz", lzma.compress),
        ("bzip2", bz2.compress),
        ("zstd", lambda data: b"\x28\xb5\x2f\xfd\x24" + data),
        ("lz4", lambda data: b"\x04\x22\x4d\x18\x64" + data),
    ],
)
def test_what_is_packed_otherwise_waits_until_somebody_unpacks_it(
    receive: Callable[..., Any],
    live: Path,
    event: Callable[..., Any],
    clock: ManualClock,
    name: str,
    pack: Callable[[bytes], bytes],
    suffix: str,
) -> None:
    """It is no text of the log, and not given up: said once, with the way out."""
    append(live, event(0))
    receiver = receive()
    assert receiver.drain() == [event(0)]
    append(live, event(1))
    plain = live.rename(backup_name(live, FIRST))
    lines = plain.read_bytes()
    plain.unlink()
    backup = plain.with_name(plain.name + suffix)
    backup.write_bytes(pack(lines))
    append(live, event(2))
    receiver = receive(receiver)
    for _ in range(3):
        assert receiver.drain() in ([event(2)], [])
        clock.advance(100)
    (said,) = [message for _, message in receiver.events.troubles]
    assert said == f"{backup}: is packed with {name}, which is not read; {UNPACK}"
    backup.unlink()
    plain.write_bytes(lines)
    assert (receiver.drain(), receiver.gaps) == ([event(1)], [])


def test_a_line_that_begins_as_a_packed_file_does_is_text(
    receive: Callable[..., Any], live: Path
) -> None:
    """Nothing that can be read waits for anybody."""
    append(live, b"BZh is no archive\n")
    assert receive().drain() == [b"BZh is no archive\n"]
