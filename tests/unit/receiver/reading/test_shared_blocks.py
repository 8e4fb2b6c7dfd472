"""Exporters share the blocks of a log, whether they are at its tail or far behind."""

from pathlib import Path
from typing import Any

from k8s_audit_otlp.model import Block
from k8s_audit_otlp.receiver.blocks import BlockReader
from tests.kit.log.log_files import append, rotate
from tests.unit.receiver.reading.one_segment import blocks_from, lines_of, opened


def test_who_comes_second_gets_the_block_that_was_read(log_dir: Path) -> None:
    """Consumers at the same place share it; the cache is bounded in bytes."""
    (log_dir / "audit.log").write_bytes(b"".join(lines_of([1000] * 1000)))
    log = opened(log_dir / "audit.log")
    (segment,) = log.segments()
    reader = BlockReader(log, cache_bytes=600_000)
    first = reader.read(segment, 0)
    assert isinstance(first, Block)
    assert reader.read(segment, 0) is first
    offset = first.span.end
    while (block := reader.read(segment, offset)) is not None:
        offset = block.span.end
        assert reader._cache.size <= 600_000
    assert reader.read(segment, 0) is not first
    log.close()


def test_a_block_that_is_too_large_to_be_kept_takes_no_other_away(log_dir: Path) -> None:
    """Who lags far behind reads past the tail, which others are about to ask for."""
    (log_dir / "audit.log").write_bytes(b"".join(lines_of([1000] * 10 + [900_000, 1000])))
    log = opened(log_dir / "audit.log")
    (segment,) = log.segments()
    reader = BlockReader(log, cache_bytes=600_000)
    tail = reader.read(segment, 910_000)
    large = reader.read(segment, 0)
    assert isinstance(large, Block)
    assert large.span.end > 900_000
    assert reader.read(segment, 910_000) is tail
    log.close()


def test_who_is_behind_takes_back_nothing_that_is_known_of_the_segment(log_dir: Path) -> None:
    """Its marks and its last time are those of the farthest place, by which a cut is seen."""
    line = b'{"stageTimestamp":"2026-01-02T03:04:%02d.000000Z","x":"%b"}\n'
    (log_dir / "audit.log").write_bytes(b"".join(line % (n, b"x" * 200_000) for n in range(4)))
    log = opened(log_dir / "audit.log")
    assert len(blocks_from(log)) > 1
    (segment,) = log.segments()
    known = list(segment.state.marks), segment.state.lines, segment.state.last_ns
    assert known[0][0][0] == segment.state.size
    BlockReader(log, cache_bytes=0).read(segment, 0)
    assert (list(segment.state.marks), segment.state.lines, segment.state.last_ns) == known
    log.close()


def test_what_lies_before_a_hole_is_not_put_before_what_follows_it(
    receive: Any, live: Path, event: Any
) -> None:
    """A text in pieces would be put together of two: its middle is in a file that is gone."""
    append(live, event(0))
    rotate(live, 0)
    append(live, event(1))
    middle = rotate(live, 1)
    append(live, event(2))
    receiver = receive()
    receiver.log.scan()
    last = receiver.log.segments()[-1].seq
    assert receiver.reader.before(last, 0, 10_000) == event(0) + event(1)
    receiver.log.close()
    middle.unlink()
    again = receive(receiver)
    again.log.scan()
    assert again.reader.before(last, 0, 10_000) == b""
