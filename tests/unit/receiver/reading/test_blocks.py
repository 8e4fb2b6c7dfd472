"""Blocks are whole lines, and where they end is a matter of the segment alone."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8s_audit_otlp.model import Span
from k8s_audit_otlp.receiver.gaps import Gap
from k8s_audit_otlp.receiver.lines import BLOCK_BYTES
from k8s_audit_otlp.receiver.log_file import LogFile
from tests.conftest import ManualClock
from tests.unit.receiver.reading.one_segment import blocks_from, lines_of, opened

LINE_SIZES = st.lists(
    st.sampled_from([20, 300, 7_000, 9_000, 100_000, 300_000, 1_200_000]), min_size=1, max_size=12
)


@settings(max_examples=40)
@given(sizes=LINE_SIZES, start=st.integers(0, 11))
def test_whoever_starts_at_a_line_meets_the_same_boundaries(
    tmp_path_factory: pytest.TempPathFactory, sizes: Any, start: Any
) -> None:
    """From any line on, the blocks end where those of a reader from the beginning end."""
    path = tmp_path_factory.mktemp("log") / "audit.log"
    lines = lines_of(sizes)
    path.write_bytes(b"".join(lines))
    log = opened(path)
    ends = [b.span.end for b in blocks_from(log)]
    offset = sum(map(len, lines[: start % len(lines)]))
    later = [b.span.end for b in blocks_from(log, offset)]
    assert later[-1] == ends[-1] == sum(map(len, lines))
    long = {sum(map(len, lines[:n])) for n, line in enumerate(lines) if len(line) > 1 << 20}
    assert {e for e in later if e not in ends} <= long  # only where a long line begins
    log.close()


@settings(max_examples=40)
@given(sizes=LINE_SIZES, cuts=st.lists(st.integers(0, 4_000_000), max_size=4))
def test_however_it_was_written_the_bytes_are_whole_lines_in_order(
    tmp_path_factory: pytest.TempPathFactory, sizes: Any, cuts: Any
) -> None:
    """Read while it grows, nothing is cut, lost or doubled, and the grid is kept."""
    path = tmp_path_factory.mktemp("log") / "audit.log"
    data = b"".join(lines_of(sizes))
    path.touch()
    log = opened(path)
    read, before = b"", 0
    for cut in [*sorted(c for c in cuts if c < len(data)), len(data)]:
        with path.open("ab") as file:
            file.write(data[before:cut])
        before = cut
        log.scan()
        if not log.segments():
            continue
        for block in blocks_from(log, len(read)):
            assert block.data.endswith(b"\n")
            assert block.span.start == len(read)
            read += block.data
    assert read == data
    log.close()


@settings(max_examples=40)
@given(sizes=LINE_SIZES)
def test_a_packed_file_has_the_boundaries_of_its_plain_twin(
    tmp_path_factory: pytest.TempPathFactory, sizes: Any
) -> None:
    """So that a consumer does not notice the change."""
    directory = tmp_path_factory.mktemp("log")
    data = b"".join(lines_of(sizes))
    (directory / "audit.log.1").write_bytes(data)
    plain = opened(directory / "audit.log")
    one = [(b.span.start, b.span.end, b.data) for b in blocks_from(plain)]
    plain.close()
    (directory / "audit.log.1").unlink()
    (directory / "audit.log.1.gz").write_bytes(gzip.compress(data, 1))
    packed = opened(directory / "audit.log")
    assert [(b.span.start, b.span.end, b.data) for b in blocks_from(packed)] == one
    packed.close()


def test_blocks_end_at_the_first_line_start_after_each_multiple(log_dir: Path) -> None:
    """The grid is 256 KiB."""
    lines = lines_of([1000] * 1000)
    (log_dir / "audit.log").write_bytes(b"".join(lines))
    log = opened(log_dir / "audit.log")
    ends = [b.span.end for b in blocks_from(log)]
    assert ends == [-(-k * BLOCK_BYTES // 1000) * 1000 for k in range(1, 4)] + [1_000_000]
    log.close()


def test_a_long_line_goes_alone(log_dir: Path) -> None:
    """Lines over 1 MiB must not multiply in memory."""
    lines = lines_of([50, 50, 3_000_000, 50])
    (log_dir / "audit.log").write_bytes(b"".join(lines))
    log = opened(log_dir / "audit.log")
    blocks = [b.data for b in blocks_from(log)]
    assert blocks == [lines[0] + lines[1], lines[2], lines[3]]
    log.close()


def test_a_line_over_the_limit_is_a_record_without_bodies(log_dir: Path) -> None:
    """Who, what and when stay; the bodies go; the lines beside it are whole."""
    before, after = b'{"a":1}\n', b'{"b":2}\n'
    head = b'{"kind":"Event","auditID":"big","verb":"create"'
    tail = b',"requestReceivedTimestamp":"2026-01-02T03:04:05Z","stageTimestamp":"x"}\n'
    big = head + b',"requestObject":{"x":"' + b"y" * 5_000_000 + b'"}' + tail
    (log_dir / "audit.log").write_bytes(before + big + after)
    log = opened(log_dir / "audit.log", max_line_bytes=2 << 20)
    blocks = blocks_from(log)
    assert [b.data for b in blocks] == [before, head + tail, after]
    assert blocks[1].span.end - blocks[1].span.start == len(big)
    log.close()


def test_a_small_limit_does_not_swallow_the_lines_before(log_dir: Path) -> None:
    """A limit below the size of a block is a limit of lines, not of blocks."""
    lines = lines_of([100] * 500 + [400_000] + [100] * 500)
    (log_dir / "audit.log").write_bytes(b"".join(lines))
    log = opened(log_dir / "audit.log", max_line_bytes=64 * 1024)
    got = [line for b in blocks_from(log) for line in b.data.splitlines(keepends=True)]
    assert got[:500] == lines[:500]
    assert got[-500:] == lines[-500:]
    log.close()


def test_marks_and_holes_are_passed_without_a_line(log_dir: Path) -> None:
    """A byte order mark and NULs at the beginning."""
    with (log_dir / "audit.log").open("wb") as file:
        file.write(b"\xef\xbb\xbf")
        file.seek(3_000_000)
        file.write(b"two\n")
    log = opened(log_dir / "audit.log")
    blocks = blocks_from(log)
    assert b"".join(b.data for b in blocks).replace(b"\0", b"") == b"two\n"
    assert blocks[-1].span.end == 3_000_004
    assert blocks[0].span == (1, 0, 3)
    log.close()


def test_the_last_line_waits_for_its_end_while_the_log_is_live(
    receive: Callable[..., Any], log_dir: Path
) -> None:
    """A closed file's is a line after five quiet seconds."""
    live = log_dir / "audit.log"
    live.write_bytes(b"one\ntw")
    receiver = receive()
    assert receiver.drain() == [b"one\n"]
    with live.open("ab") as file:
        file.write(b"o\nthr")
    assert receiver.drain() == [b"two\n"]


def test_the_last_line_of_a_closed_file_counts_after_a_while(
    receive: Callable[..., Any], log_dir: Path, clock: ManualClock
) -> None:
    """Its writer may still be at it just after the renaming."""
    live = log_dir / "audit.log"
    live.write_bytes(b"one\ntw")
    receiver = receive()
    receiver.log.scan()
    moved = live.rename(log_dir / "audit.log.1")
    assert receiver.drain() == [b"one\n"]
    clock.advance(3)
    with moved.open("ab") as file:
        file.write(b"o\nthr")
    assert receiver.drain() == [b"two\n"]
    clock.advance(4)
    assert receiver.drain() == []
    clock.advance(2)
    assert receiver.drain() == [b"thr"]


def test_a_torn_gz_is_waited_for_and_then_gives_its_whole_lines(
    receive: Callable[..., Any], log_dir: Path, clock: ManualClock
) -> None:
    """After a minute without change the rest is a gap."""
    data = b"".join(b"%06d %s\n" % (n, bytes([97 + n % 26]) * 50) for n in range(20_000))
    packed = gzip.compress(data)
    (log_dir / "audit.log.1.gz").write_bytes(packed[: len(packed) // 2])
    receiver = receive()
    lines = receiver.drain()
    assert receiver.gaps == []
    clock.advance(61)
    lines += receiver.drain()
    assert len(lines) > 5_000
    assert b"".join(lines) == data[: len(b"".join(lines))]
    ((reason, start, end),) = receiver.gaps
    assert (reason, start) == ("corrupt_gzip", len(b"".join(lines)))
    assert end > start


def test_a_torn_gz_that_is_finished_in_time_loses_nothing(
    receive: Callable[..., Any], log_dir: Path, clock: ManualClock
) -> None:
    """It was only being copied slowly."""
    data = b"".join(b"%06d\n" % n for n in range(50_000))
    packed = gzip.compress(data)
    path = log_dir / "audit.log.1.gz"
    path.write_bytes(packed[: len(packed) // 2])
    receiver = receive()
    lines = receiver.drain()
    clock.advance(50)
    with path.open("ab") as file:
        file.write(packed[len(packed) // 2 :])
    lines += receiver.drain()
    assert b"".join(lines) == data
    clock.advance(61)
    assert receiver.drain() == []
    assert receiver.gaps == []


@pytest.mark.parametrize("offset", [0, 4])
def test_a_gap_is_told_to_each_who_misses_it(
    receive: Callable[..., Any], log_dir: Path, offset: int
) -> None:
    """Each consumer misses what it had not read."""
    live = log_dir / "audit.log"
    live.write_bytes(b"one\ntwo\n")
    receiver = receive()
    receiver.log.scan()
    live.write_bytes(b"other\n")
    receiver.log.scan()
    gap = receiver.reader.read(receiver.log.segments()[0], offset)
    assert gap == Gap(Span(1, offset, 8), "truncated", open_end=True)


def test_a_file_that_was_written_anew_is_looked_at_before_it_is_read_on(
    receive: Callable[..., Any], log_dir: Path
) -> None:
    """Its bytes are not those of the segment that it held."""
    live = log_dir / "audit.log"
    live.write_bytes(b"one\ntwo\n")
    receiver = receive()
    receiver.log.scan()
    segment = receiver.log.segments()[0]
    live.write_bytes(b"another\nlonger one\n")
    assert receiver.reader.read(segment, 0) is None
    assert receiver.reader.read(segment, 8) is None


class WrittenOnMeanwhile(LogFile):
    """A file that is written on just after somebody has read that it ends."""

    def read_at(self, offset: int, length: int) -> bytes:
        data = super().read_at(offset, length)
        if not data:
            os.pwrite(self._fd, b"two\n", offset)
        return data


def test_a_copy_that_is_written_on_while_it_is_read_is_not_taken_for_cut(
    receive: Callable[..., Any], log_dir: Path, clock: ManualClock
) -> None:
    """Whoever copies a backup back may pause for long: what comes at last is no loss."""
    live = log_dir / "audit.log"
    live.write_bytes(b"one\ntwo\n")
    receiver = receive()
    receiver.log.scan()
    moved = live.rename(log_dir / "audit.log.1")
    receiver.log.scan()
    os.truncate(moved, 4)
    (segment,) = receiver.log.segments()
    segment.hold(WrittenOnMeanwhile(os.open(moved, os.O_RDWR)), int(clock() * 1e9))
    clock.advance(60)
    assert receiver.reader.read(segment, 4) is None
    clock.advance(60)
    assert receiver.reader.read(segment, 4).data == b"two\n"
