"""Places that are known by their bytes."""

import gzip
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.receiver.log_file import open_log_file
from k8s_audit_otlp.receiver.marks import (
    MARK_BYTES,
    begins_with,
    extended,
    mark_length,
    mark_of,
    verified,
)
from tests.kit.log.log_files import append, rotate

LINES = [b"%06d %s\n" % (n, b"x" * (n % 700)) for n in range(3000)]
DATA = b"".join(LINES)


def marks_of(data: bytes, step: int = 100_000) -> list[tuple[int, str]]:
    marks: list[tuple[int, str]] = []
    offset = 0
    while offset < len(data):
        end = data.rfind(b"\n", offset, offset + step) + 1
        marks = extended(marks, offset, data[offset:end])
        offset = end
    return marks


def opened(path: Path, data: bytes) -> Any:
    path.write_bytes(data)
    return open_log_file(path, compressed=False)


def test_what_was_read_is_known_up_to_its_end(tmp_path: Path) -> None:
    """Few marks, close together near the end, every one at the end of a line."""
    marks = marks_of(DATA)
    assert marks[0] == (len(DATA), mark_of(DATA))
    assert len(marks) < 40
    assert all(DATA[offset - 1 : offset] == b"\n" for offset, _ in marks)
    assert marks == sorted(marks, reverse=True)
    assert verified(opened(tmp_path / "log", DATA), marks) == (len(DATA), True)


@given(st.integers(1_000, len(DATA) - 1))
def test_of_a_cut_file_no_more_is_given_up_than_about_as_much_as_was_cut(
    tmp_path_factory: pytest.TempPathFactory, cut: Any
) -> None:
    """And never is a place taken for verified behind the cut."""
    other = DATA[:cut] + b"!\n" + b"other line\n" * (len(DATA) // 11)
    source = opened(tmp_path_factory.mktemp("cut") / "log", other)
    farthest, intact = verified(source, marks_of(DATA))
    assert not intact
    assert farthest <= cut
    assert cut - farthest <= 3 * (len(DATA) - cut) + 8 * 1024
    source.close()


def test_what_is_the_same_again_behind_a_difference_does_not_count(tmp_path: Path) -> None:
    marks = marks_of(DATA)
    place = marks[5][0]
    other = DATA[: place - 2] + b"!" + DATA[place - 1 :]
    farthest, intact = verified(opened(tmp_path / "log", other), marks)
    assert not intact
    assert farthest == marks[6][0]


def test_what_lies_behind_the_end_of_a_file_says_nothing(tmp_path: Path) -> None:
    """It may not have been written yet: a copy under way, a tail that a power cut took."""
    farthest, intact = verified(opened(tmp_path / "log", DATA[: len(DATA) // 2]), marks_of(DATA))
    assert intact
    assert 0 < farthest <= len(DATA) // 2


def test_of_a_backup_that_is_cut_after_it_was_sent_little_is_sent_again(
    receive: Any, live: Path, event: Any
) -> None:
    """It is another segment, which begins at the last place that is known to be as it was."""
    append(live, *(event(number, size=100) for number in range(300)))
    receiver = receive()
    assert len(receiver.drain()) == 300
    backup = rotate(live, 0)
    append(live, event(300))
    assert len(receiver.drain()) == 1
    receiver.log.scan()
    os.truncate(backup, 200 * len(event(0, size=100)))
    assert len(receiver.drain()) < 60


@given(st.binary(max_size=3000), st.binary(max_size=3000))
def test_a_mark_names_the_last_bytes(one: bytes, other: bytes) -> None:
    same = one[-MARK_BYTES:] == other[-MARK_BYTES:]
    assert (mark_of(one) == mark_of(other)) == same
    assert mark_length(mark_of(one)) == min(len(one), MARK_BYTES)


def test_what_a_damaged_file_begins_with_is_not_known(tmp_path: Path) -> None:
    """It is no: that it cannot be read must not end the look at the other files."""
    packed = gzip.compress(b"one\ntwo\n")
    for name, data, expected in (
        ("whole.gz", packed, True),
        ("damaged.gz", packed[:10] + b"\xff" * 40, False),
        ("none.gz", b"", False),
        ("plain", b"one\ntwo\n", True),
        ("short", b"on", False),
    ):
        path = tmp_path / name
        path.write_bytes(data)
        source = open_log_file(path, compressed=name.endswith(".gz"))
        assert begins_with(source, b"one\n") is expected, name
