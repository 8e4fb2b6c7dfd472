"""What a file that begins as a known segment does is to it."""

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.receiver.discovery.same_segment import SegmentMatch, match, same_content
from k8s_audit_otlp.receiver.log_file import open_log_file
from k8s_audit_otlp.receiver.names import parse
from k8s_audit_otlp.receiver.segment import Segment
from k8s_audit_otlp.state.manifest import SegmentState

DATA = b"".join(b"%06d\n" % n for n in range(1000))


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Open bytes as a file, packed or not."""
    opened: list[Any] = []

    def make(data: Any, *, packed: Any = False) -> Any:
        path = tmp_path / f"file{len(opened)}"
        path.write_bytes(gzip.compress(data) if packed else data)
        opened.append(open_log_file(path, compressed=packed))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def segment_of(size: int, *, complete: Any = True, name: str = "audit.log.1") -> Segment:
    state = SegmentState(1, "a" * 16, "head", 4, size=size, complete=complete)
    return Segment(state, parse("audit.log", name))


@pytest.mark.parametrize(
    ("size", "complete", "live", "expected"),
    [
        (len(DATA), True, False, SegmentMatch.SAME),  # it was renamed or moved to another disk
        (len(DATA) - 7, True, False, SegmentMatch.DIFFERENT),  # a closed segment does not grow
        (len(DATA) - 7, False, True, SegmentMatch.SAME),  # the log went on while nobody looked
        (len(DATA) + 7, False, False, SegmentMatch.SAME),  # a copy made before the log was cut
        (len(DATA) + 7, False, True, SegmentMatch.DIFFERENT),  # a log does not shrink
        (len(DATA) + 7, True, False, SegmentMatch.DIFFERENT),
        (0, True, False, SegmentMatch.DIFFERENT),  # nothing proves that an empty one was this
    ],
)
def test_a_plain_file_for_a_segment_without_one(
    source: Callable[..., Any], size: int, complete: bool, live: bool, expected: SegmentMatch
) -> None:
    """Sizes decide: in doubt it is another segment, so that nothing is skipped."""
    segment = segment_of(size, complete=complete)
    found = match(segment, None, source(DATA), elsewhere=False, live=live)
    assert found is expected


def test_a_packed_file_holds_a_segment_without_a_file(source: Callable[..., Any]) -> None:
    """Its size is not known before it is read."""
    packed = source(DATA, packed=True)
    assert match(segment_of(7), None, packed, elsewhere=False, live=False) is SegmentMatch.SAME


@pytest.mark.parametrize(
    ("other", "packed", "elsewhere", "live", "expected"),
    [
        (DATA, True, False, False, SegmentMatch.COMPRESSED),  # the plain file is open and unlinked
        (DATA[:700], True, False, False, SegmentMatch.COMPRESSED),  # and the twin not yet whole
        (DATA + b"more\n", True, False, False, SegmentMatch.SAME),  # a copy, written to and packed
        (DATA, False, False, True, SegmentMatch.COMPRESSED),  # an editor put a copy in its place
        (DATA + b"more\n", False, False, True, SegmentMatch.SAME),  # which is written to now
        (DATA[:700], False, False, True, SegmentMatch.COMPRESSED),  # it is still being made
        (DATA, False, True, False, SegmentMatch.DUPLICATE),  # logrotate's, before it cuts
        (DATA[:700], False, True, False, SegmentMatch.DUPLICATE),  # while it is copying
        (DATA, False, True, True, SegmentMatch.SAME),  # the log itself beside its copy
        (DATA + b"more\n", False, True, False, SegmentMatch.SAME),  # put back, written to, rotated
        (DATA + b"more\n", True, True, False, SegmentMatch.SAME),
        (b"other" + DATA, False, True, False, SegmentMatch.DIFFERENT),
        (DATA[:-7] + b"other!\n", False, True, False, SegmentMatch.DIFFERENT),
    ],
)
def test_a_file_beside_the_open_one(
    source: Callable[..., Any],
    other: bytes,
    packed: bool,
    elsewhere: bool,
    live: bool,
    expected: SegmentMatch,
) -> None:
    """Content decides, then who holds more."""
    segment, own = segment_of(len(DATA)), source(DATA)
    found = match(segment, own, source(other, packed=packed), elsewhere=elsewhere, live=live)
    assert found is expected


def test_of_a_log_and_a_longer_copy_the_log_goes_on(source: Callable[..., Any]) -> None:
    """Something was written to the copy; what comes is written to the log."""
    segment, own = segment_of(len(DATA), complete=False, name="audit.log"), source(DATA)
    copy = source(DATA + b"more\n")
    assert match(segment, own, copy, elsewhere=True, live=False) is SegmentMatch.DUPLICATE


def test_what_has_grown_since_the_last_look_is_not_given_up(source: Callable[..., Any]) -> None:
    """A copy of all that was known is still shorter than the log."""
    segment, own = segment_of(700), source(DATA)
    copy = source(DATA[:700])
    assert match(segment, own, copy, elsewhere=False, live=True) is SegmentMatch.COMPRESSED


def test_a_packed_file_that_nobody_has_read_is_not_given_up_for_less(
    source: Callable[..., Any],
) -> None:
    """Its size is unknown, not nothing."""
    segment, own = segment_of(0, complete=False), source(DATA, packed=True)
    copy = source(DATA[:700])
    assert match(segment, own, copy, elsewhere=True, live=True) is SegmentMatch.DUPLICATE


@pytest.mark.parametrize("at", [0, 1_100_000, 1_500_000, 2_999_999])
def test_a_byte_anywhere_makes_two_segments_of_two_files(
    source: Callable[..., Any], at: int
) -> None:
    """A spool that begins anew after a failed sync parts from what it wrote, and meets it again."""
    data = b"x" * 3_000_000
    other = data[:at] + b"y" + data[at + 1 :]
    segment, own = segment_of(len(data), complete=False, name="audit.log"), source(data)
    for elsewhere, live in ((True, True), (True, False), (False, True), (False, False)):
        found = match(segment, own, source(other), elsewhere=elsewhere, live=live)
        assert found is SegmentMatch.DIFFERENT
    assert same_content(own, source(data + b"more"))
