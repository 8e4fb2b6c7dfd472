"""Where the lines of a block end, whatever stands in the file."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.receiver.identity import read_identity
from k8s_audit_otlp.receiver.lines import BLOCK_BYTES, Lines, last_line_end
from k8s_audit_otlp.receiver.log_file import LogFile, open_log_file

MIB = 1024 * 1024
Open = Callable[[bytes], LogFile]


@pytest.fixture
def source_of(tmp_path: Path) -> Open:
    """Give a file that holds these bytes."""

    def make(data: bytes) -> LogFile:
        path = tmp_path / "audit.log"
        path.write_bytes(data)
        source = open_log_file(path, compressed=False)
        assert isinstance(source, LogFile)
        return source

    return make


def found_at(source: LogFile, offset: int, **limits: Any) -> tuple[bytes, int]:
    """Return the lines at a place, and where they end."""
    found = Lines(source, **limits).block_at(offset)
    return found.data, found.end


def _line(size: int) -> bytes:
    return b"x" * (size - 1) + b"\n"


def test_a_block_ends_behind_the_line_that_reaches_its_bound(source_of: Open) -> None:
    """The first line start at or after the bound, from wherever it is read."""
    lines = [_line(1000)] * 600
    source = source_of(b"".join(lines))
    _, end = found_at(source, 0, longest=64 * MIB, last=False)
    assert end == 263_000  # 262,144 and the rest of the line
    assert found_at(source, 5000, longest=64 * MIB, last=False)[1] == end
    assert found_at(source, end, longest=64 * MIB, last=False)[1] == 525_000


def test_nuls_end_where_the_next_segment_of_the_file_begins(source_of: Open) -> None:
    """What follows there is of another one: nothing comes any more that would take their place."""
    source = source_of(_line(10) + bytes(500) + _line(10))
    found = Lines(source, longest=MIB, last=False, upto=510).block_at(10)
    assert (found.data, found.end, found.hole) == (b"", 510, True)
    source = source_of(_line(10) + bytes(500))
    assert Lines(source, longest=MIB, last=False).block_at(10).end == 10  # it may still come
    assert Lines(source, longest=MIB, last=True).block_at(10).end == 510


def test_the_last_whole_line_is_found_however_far_back_it_ends(source_of: Open) -> None:
    """And nothing before where the segment begins is looked at."""
    source = source_of(_line(10) + _line(10) + b"y" * 3 * MIB)
    assert last_line_end(source, 25) == 20
    assert last_line_end(source, 20 + 3 * MIB) == 20
    assert last_line_end(source, 19) == 10
    assert last_line_end(source, 9) == 0
    assert last_line_end(source, 20 + 3 * MIB, begin=22) == 22


def test_a_line_that_ends_at_the_bound_ends_the_block(source_of: Open) -> None:
    """The next one begins there."""
    source = source_of(_line(BLOCK_BYTES) + _line(10))
    data, end = found_at(source, 0, longest=64 * MIB, last=False)
    assert (len(data), end) == (BLOCK_BYTES, BLOCK_BYTES)


def test_a_line_without_its_newline_counts_only_at_the_end_of_what_is_closed(
    source_of: Open,
) -> None:
    """Else the rest of it is still to come."""
    source = source_of(_line(10) + _line(10) + b"torn!")
    assert found_at(source, 0, longest=64 * MIB, last=False)[1] == 20
    assert found_at(source, 20, longest=64 * MIB, last=False) == (b"", 20)
    assert found_at(source, 20, longest=64 * MIB, last=True) == (b"torn!", 25)


def test_nothing_behind_a_cut_belongs_to_the_segment(source_of: Open) -> None:
    """Another one was written over it."""
    source = source_of(_line(10) + _line(10) + _line(10))
    assert found_at(source, 0, longest=64 * MIB, last=False, upto=20)[1] == 20
    assert found_at(source, 0, longest=64 * MIB, last=False, upto=15)[1] == 10


def test_a_line_over_a_mebibyte_is_a_block_of_its_own(source_of: Open) -> None:
    """What stands before it goes first, so that memory holds one of it at a time."""
    source = source_of(_line(100) + _line(3 * MIB) + _line(100))
    assert found_at(source, 0, longest=64 * MIB, last=False)[1] == 100
    data, end = found_at(source, 100, longest=64 * MIB, last=False)
    assert len(data) == 3 * MIB
    assert end == 100 + 3 * MIB


def test_of_a_line_over_the_limit_its_two_ends_are_kept(source_of: Open) -> None:
    """It is an event without its bodies, and the next line is whole."""
    head = b'{"kind":"Event","auditID":"a","requestObject":{"data":"'
    tail = b'"},"requestReceivedTimestamp":"2026-01-02T03:04:05Z","stageTimestamp":"2026"}\n'
    source = source_of(head + b"x" * (2 * MIB) + tail + _line(10))
    data, end = found_at(source, 0, longest=MIB, last=False)
    after = b',"requestReceivedTimestamp":"2026-01-02T03:04:05Z","stageTimestamp":"2026"}\n'
    assert data == b'{"kind":"Event","auditID":"a"' + after
    assert end == len(head) + 2 * MIB + len(tail)
    assert found_at(source, end, longest=MIB, last=False)[0] == _line(10)


def test_bodies_that_nobody_can_send_are_not_read(source_of: Open) -> None:
    """One event alone: of a list nobody could tell who did what."""
    event = b'{"kind":"Event","auditID":"a","requestObject":"%b"%b}'
    after = b',"requestReceivedTimestamp":"2026-01-02T03:04:05Z","stageTimestamp":"2026"'
    line = event % (b"x" * (3 * MIB), after)
    for useful, short in ((2 * MIB, b'{"kind":"Event","auditID":"a"%b}\n' % after), (4 * MIB, b"")):
        source = source_of(line + b"\n" + _line(10))
        data, end = found_at(source, 0, longest=64 * MIB, last=False, useful=useful)
        assert (data, end) == (short or line + b"\n", len(line) + 1)
    events = b'{"kind":"EventList","items":[%b,%b]}\n' % (line, line)
    found = found_at(source_of(events), 0, longest=64 * MIB, last=False, useful=MIB)
    assert found == (events, len(events))
    data, end = found_at(source_of(events), 0, longest=4 * MIB, last=False)
    assert (events.startswith(data), end) == (True, len(events))
    cut = found_at(source_of(line + b"\n"), 0, longest=MIB, last=True, upto=2 * MIB)
    assert cut == (line[: 256 * 1024], 2 * MIB)


def test_who_and_what_may_be_long_in_a_line_over_the_limit(source_of: Open) -> None:
    """A user of a thousand groups is told like any other."""
    head = b'{"kind":"Event","user":{"groups":["%b"]}' % b'","'.join([b"g" * 200] * 1000)
    tail = b',"requestReceivedTimestamp":"2026-01-02T03:04:05Z","stageTimestamp":"2026","a":{}}\n'
    body = b',"requestObject":"' + b"x" * (2 * MIB) + b'"'
    data, _ = found_at(source_of(head + body + tail), 0, longest=MIB, last=False)
    assert data == head + tail


class _Asked(LogFile):
    """Remembers the most that was asked for at once."""

    def __init__(self, path: Path) -> None:
        super().__init__(os.open(path, os.O_RDONLY))
        self.most = 0

    def read_at(self, offset: int, length: int) -> bytes:
        self.most = max(self.most, length)
        return super().read_at(offset, length)


def test_an_oversized_line_that_has_no_end_yet_is_waited_for(source_of: Open) -> None:
    """Unless nothing will be added to it."""
    source = source_of(b"x" * (2 * MIB))
    assert found_at(source, 0, longest=MIB, last=False) == (b"", 0)
    assert found_at(source, 0, longest=MIB, last=True)[1] == 2 * MIB


def test_a_line_that_still_grows_is_not_held(tmp_path: Path) -> None:
    """Every look at 20 MB without an end would take as much memory again."""
    path = tmp_path / "audit.log"
    path.write_bytes(b"x" * (20 * MIB))
    source = _Asked(path)
    assert found_at(source, 0, longest=64 * MIB, last=False) == (b"", 0)
    assert read_identity(source, finished=False, max_line_bytes=64 * MIB) is None
    assert source.most < 2 * MIB
    with path.open("ab") as file:
        file.write(b"\n")
    assert found_at(source, 0, longest=64 * MIB, last=False)[1] == 20 * MIB + 1


@pytest.mark.parametrize("blank", [b"\xef\xbb\xbf", b"\0" * 9000])
def test_what_is_no_line_is_passed_first(source_of: Open, blank: bytes) -> None:
    """A byte order mark at the beginning, and NULs that a power cut left."""
    source = source_of(blank + _line(10))
    assert found_at(source, 0, longest=64 * MIB, last=False) == (b"", len(blank))
    assert found_at(source, len(blank), longest=64 * MIB, last=False)[0] == _line(10)


def test_a_stretch_of_blank_lines_is_passed_at_once(source_of: Open) -> None:
    """Nobody looks at each of a hundred thousand of them."""
    source = source_of(b" \n" * BLOCK_BYTES + _line(10))
    data, end = found_at(source, 0, longest=64 * MIB, last=False)
    assert data == b""
    assert end >= BLOCK_BYTES


def test_a_hole_is_leapt_over(tmp_path: Path) -> None:
    """Whoever cut the file in place left gigabytes of nothing."""
    path = tmp_path / "audit.log"
    with path.open("wb") as file:
        os.truncate(file.fileno(), 1 << 30)
        file.seek(1 << 30)
        file.write(_line(10))
    data, end = found_at(open_log_file(path, compressed=False), 0, longest=64 * MIB, last=False)
    assert data == b""
    assert (1 << 30) - 4096 <= end <= 1 << 30
