"""A path leads to the files of a log, and to every whole line in them."""

import gzip
import json
from pathlib import Path

import pytest

from k8s_audit_otlp.receiver.lines import BLOCK_BYTES
from k8s_audit_otlp.tools.explain.source import LogFiles
from tests.kit.log.events import EventSource


def read(path: Path) -> tuple[LogFiles, bytes, int]:
    files = LogFiles.of(path)
    told: list[int] = []
    data = b"".join(block.data for block in files.blocks(1, told.append, 0))
    return files, data, sum(told)


def test_a_live_file_brings_its_backups_oldest_first(tmp_path: Path) -> None:
    """Compressed ones too, but not the twin of a plain one."""
    (tmp_path / "audit-2026-01-02T03-04-05.678.log.gz").write_bytes(gzip.compress(b"1\n"))
    (tmp_path / "audit-2026-01-02T03-04-06.678.log").write_bytes(b"2\n")
    (tmp_path / "audit-2026-01-02T03-04-06.678.log.gz").write_bytes(b"half")
    (tmp_path / "audit.log").write_bytes(b"3\n")
    (tmp_path / "other.log").write_bytes(b"4\n")
    files, data, told = read(tmp_path / "audit.log")
    assert data == b"1\n2\n3\n"
    assert told == files.size
    assert all("seems to be JSON of another kind" in damage for damage in files.damage)
    assert files.names == [f"{tmp_path}/audit.log and 2 older files"]


def test_a_compressed_file_is_read_alone(tmp_path: Path) -> None:
    """Whatever lies beside it; progress ends where the file does."""
    path = tmp_path / "captured.log.gz"
    path.write_bytes(gzip.compress(b"x" * 100 + b"\n"))
    (tmp_path / "captured.log").write_bytes(b"no\n")
    files, data, told = read(path)
    assert data == b"x" * 100 + b"\n"
    assert told == files.size == path.stat().st_size


def test_a_line_that_is_still_written_waits(tmp_path: Path) -> None:
    """But an event without a newline at the end of a file is one."""
    path = tmp_path / "audit.log"
    path.write_bytes(b'{"a":1}\n{"b":')
    assert read(path)[1] == b'{"a":1}\n'
    path.write_bytes(b'{"a":1}\n{"b":1}')
    assert read(path)[1] == b'{"a":1}\n{"b":1}'


@pytest.mark.parametrize("size", [BLOCK_BYTES - 1, BLOCK_BYTES, 3 * BLOCK_BYTES + 7])
def test_no_line_is_cut(tmp_path: Path, size: int) -> None:
    """Long lines and short ones come whole, each once."""
    path = tmp_path / "audit.log"
    lines = [b"a" * size, b"b", b"c" * size, b"d" * 100]
    path.write_bytes(b"\n".join(lines) + b"\n")
    blocks = list(LogFiles.of(path).blocks(1, lambda _: None, 0))
    assert b"".join(block.data for block in blocks) == path.read_bytes()
    assert all(block.data.endswith(b"\n") for block in blocks)
    spans = [block.span for block in blocks]
    assert [s.start for s in spans[1:]] == [s.end for s in spans[:-1]]


def test_a_broken_compressed_file_is_counted_as_far_as_it_goes(tmp_path: Path) -> None:
    """And named."""
    path = tmp_path / "audit.log.gz"
    whole = gzip.compress(b"".join(b"%d\n" % n for n in range(100_000)))
    path.write_bytes(whole[: len(whole) // 2])
    files, data, told = read(path)
    assert data.startswith(b"0\n1\n2\n")
    assert told == files.size
    [foreign, damage] = files.damage
    assert "this is no audit log" in foreign
    assert "breaks off" in damage
    assert damage.endswith("; what comes before it was counted")


@pytest.mark.parametrize("head", ["2025-03-04T06:22:10Z stdout F ", ""])
def test_frames_are_taken_off_as_the_receiver_does(tmp_path: Path, head: str) -> None:
    """What a container runtime has written is previewed as its events."""
    line = EventSource(1).line().decode()
    framed = f"{head}{line}" if head else json.dumps({"log": f"{line}\n", "stream": "stdout"})
    path = tmp_path / "audit.log"
    path.write_text(f"{framed}\n{framed}\n")
    files, data, _ = read(path)
    assert data.decode().split() == f"{line}\n{line}".split()
    assert files.damage == []
