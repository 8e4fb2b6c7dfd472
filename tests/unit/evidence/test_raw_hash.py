"""The hash of a segment is what `sha256sum` says of its file, whoever read it and in what order."""

import gzip
import os
from collections.abc import Sequence
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.evidence import raw_hash
from k8s_audit_otlp.evidence.raw_hash import RawHashes
from k8s_audit_otlp.model import Block, Span
from k8s_audit_otlp.receiver.identity import fingerprint
from k8s_audit_otlp.receiver.log_file import open_log_file
from k8s_audit_otlp.receiver.names import parse
from k8s_audit_otlp.receiver.segment import Segment
from k8s_audit_otlp.state.manifest import SegmentState

LINES = [b"%06d\n" % n for n in range(100)]
DATA = b"".join(LINES)


def segment_in(directory: Path, data: bytes = DATA, *, packed: bool = False) -> Segment:
    name = "audit.log.1.gz" if packed else "audit.log.1"
    path = directory / name
    path.write_bytes(gzip.compress(data) if packed else data)
    state = SegmentState(1, "a" * 16, "head", 0, size=len(data), complete=True)
    segment = Segment(state, parse("audit.log", name), path)
    segment.source = open_log_file(path, compressed=packed)
    return segment


def block(start: int, end: int, data: bytes | None = None) -> Block:
    return Block(Span(1, start, end), "a" * 16, "audit.log.1", data or DATA[start:end], 1)


def of(data: bytes) -> str:
    return sha256(data).hexdigest()


@pytest.mark.parametrize("packed", [False, True])
def test_blocks_in_order_make_the_hash_of_the_plain_file(tmp_path: Path, *, packed: bool) -> None:
    """Also of a packed one: the bytes as they were written count."""
    hashes, segment = RawHashes(), segment_in(tmp_path, packed=packed)
    for start in range(0, len(DATA), 70):
        hashes.take(segment, block(start, min(start + 70, len(DATA))))
    segment.source = segment.path = None  # nothing is read again for it
    assert hashes.of(segment) == of(DATA)


cuts = st.lists(st.integers(0, 100), max_size=12)


@given(cuts, st.randoms(use_true_random=False))
def test_several_readers_in_any_order_make_one_hash(
    tmp_path_factory: pytest.TempPathFactory, places: Sequence[int], rng: Random
) -> None:
    """One is ahead, another repeats, a third begins in the middle: each byte counts once."""
    hashes, segment = RawHashes(), segment_in(tmp_path_factory.mktemp("hash"))
    edges = sorted({0, 100, *places})
    blocks = [block(a * 7, b * 7) for a, b in pairwise(edges)]
    blocks += blocks[::2]
    rng.shuffle(blocks)
    for each in blocks:
        hashes.take(segment, each)
    assert hashes.of(segment) == of(DATA)


def test_what_nobody_took_is_read_from_the_file(tmp_path: Path) -> None:
    """After a restart the first block comes from the middle, or none comes at all."""
    hashes, segment = RawHashes(), segment_in(tmp_path)
    hashes.take(segment, block(350, 420))
    assert hashes.of(segment) == of(DATA)
    assert RawHashes().of(segment) == of(DATA)
    segment.source = None  # closed to make room: opened again by its path
    segment.state.head = fingerprint(b"")
    assert RawHashes().of(segment) == of(DATA)


def test_a_record_without_its_bodies_does_not_stand_for_the_line(tmp_path: Path) -> None:
    """A line over the limit comes shortened; its own bytes are read for the hash."""
    hashes, segment = RawHashes(), segment_in(tmp_path)
    hashes.take(segment, block(0, 350, data=b"shortened\n"))
    hashes.take(segment, block(350, 700))
    assert hashes.of(segment) == of(DATA)


def test_a_part_of_a_file_is_hashed_from_where_it_begins(tmp_path: Path) -> None:
    """What was written behind a cut is a segment of its own."""
    hashes, segment = RawHashes(), segment_in(tmp_path)
    segment.state.begin = 70
    assert hashes.of(segment) == of(DATA[70:])


@pytest.mark.parametrize("packed", [False, True])
def test_what_is_out_of_reach_has_no_hash(tmp_path: Path, *, packed: bool) -> None:
    """A hash of a part would look like one of the whole."""
    segment = segment_in(tmp_path, packed=packed)
    assert segment.path is not None
    os.truncate(segment.path, 40)
    assert RawHashes().of(segment) == ""
    segment.source = None
    segment.path.unlink()
    assert RawHashes().of(segment) == ""


def test_a_gap_over_the_bound_is_not_read_again(tmp_path: Path) -> None:
    """A gigabyte is read once more at the most; what lies farther has no hash."""
    hashes, segment = RawHashes(), segment_in(tmp_path)
    far = raw_hash._MOST_AGAIN + 1
    segment.state.size = far + 7
    hashes.take(segment, block(far, far + 7, data=b"000000\n"))
    assert hashes._of == {}
    assert hashes.of(segment) == ""


def test_what_is_forgotten_begins_anew(tmp_path: Path) -> None:
    """A number is not used again, and its hash takes no room."""
    hashes, segment = RawHashes(), segment_in(tmp_path)
    hashes.take(segment, block(0, 700))
    hashes.keep(())
    hashes.keep(())
    assert hashes._of == {}
    assert hashes.of(segment) == of(DATA)
