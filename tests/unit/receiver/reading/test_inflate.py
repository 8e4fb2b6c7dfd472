"""A compressed file is read in order, and its end is told from a break."""

import gzip
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from k8s_audit_otlp.receiver.inflate import InflateStream

TEXT = b"".join(b"line %05d of the audit log\n" % n for n in range(9000))


@pytest.fixture
def open_at() -> Iterator[list[int]]:
    """Keep the descriptors that a test opens."""
    opened: list[int] = []
    yield opened
    for fd in opened:
        os.close(fd)


def _stream(tmp_path: Path, data: bytes, opened: list[int]) -> InflateStream:
    path = tmp_path / "audit.log.gz"
    path.write_bytes(data)
    opened.append(os.open(path, os.O_RDONLY))
    return InflateStream(opened[-1])


def test_bytes_come_from_where_they_are_asked_for(tmp_path: Path, open_at: list[int]) -> None:
    """Forward, with a leap, to the end and beyond it."""
    stream = _stream(tmp_path, gzip.compress(TEXT), open_at)
    assert stream.take(0, 100) == TEXT[:100]
    assert stream.take(50, 100) == TEXT[50:150]
    assert stream.take(200_000, 64) == TEXT[200_000:200_064]
    assert not stream.damage
    assert stream.take(len(TEXT) - 10, 100) == TEXT[-10:]
    assert stream.complete
    assert stream.end == len(TEXT)
    assert stream.take(len(TEXT) + 5, 10) == b""


@pytest.mark.parametrize("behind", [b"", bytes(700), b"garbage\n", b"copied twice\n" * 2000])
def test_members_follow_each_other_and_padding_is_none(
    tmp_path: Path, open_at: list[int], behind: bytes
) -> None:
    """As `cat a.gz b.gz` makes them, as a tape pads them, and as a script wrote on."""
    data = gzip.compress(TEXT[:500]) + gzip.compress(TEXT[500:]) + behind
    stream = _stream(tmp_path, data, open_at)
    assert stream.take(0, len(TEXT) + 1) == TEXT
    assert stream.complete
    assert not stream.damage


@pytest.mark.parametrize("head", [b"\x1f\x8b", b"A\x8b", b"\x1f", b"\0\0\x08"])
def test_what_may_be_a_member_is_not_passed_over(
    tmp_path: Path, open_at: list[int], head: bytes
) -> None:
    """Damaged or begun: what it holds is missing."""
    member = gzip.compress(TEXT[500:])
    second = head + member[len(head) :] if len(head) > 1 else head
    stream = _stream(tmp_path, gzip.compress(TEXT[:500]) + second, open_at)
    got = stream.take(0, len(TEXT) + 1)
    assert got == TEXT[: len(got)]
    assert len(got) == (len(TEXT) if second == member else 500)
    assert second == member or stream.damage or not stream.complete


@pytest.mark.parametrize("missing", [1, 8, 500])
def test_a_file_without_its_trailer_is_not_complete(
    tmp_path: Path, open_at: list[int], missing: int
) -> None:
    """It may still be growing: that is no damage."""
    stream = _stream(tmp_path, gzip.compress(TEXT)[:-missing], open_at)
    assert TEXT.startswith(stream.take(0, len(TEXT) + 1))
    assert not stream.complete
    assert not stream.damage


def test_what_stands_before_the_damage_is_kept(tmp_path: Path, open_at: list[int]) -> None:
    """To the byte, though the library throws away what it was decoding."""
    packed = bytearray(gzip.compress(TEXT, 0))  # stored in blocks: a length, then so many bytes
    first = int.from_bytes(packed[11:13], "little")
    packed[15 + first + 3] ^= 0xFF  # the check of the second length
    stream = _stream(tmp_path, bytes(packed), open_at)
    assert stream.take(0, len(TEXT)) == TEXT[:first]
    assert stream.damage
    assert stream.take(first, 1) == b""


def test_a_wrong_checksum_is_damage(tmp_path: Path, open_at: list[int]) -> None:
    """All bytes were there, and they are not those that were packed."""
    packed = bytearray(gzip.compress(TEXT))
    packed[-8] ^= 1
    stream = _stream(tmp_path, bytes(packed), open_at)
    assert stream.take(0, len(TEXT)) == TEXT
    stream.take(len(TEXT), 1)
    assert stream.damage


FULL = b"\x1f\x8b\x08\x1e\0\0\0\0\0\x03\x02\0xyname\0remark\0"
HEADERS = {
    "as Go writes it": b"\x1f\x8b\x08\0\0\0\0\0\0\xff",
    "as gzip does": b"\x1f\x8b\x08\x08\0\0\0\0\0\x03audit.log\0",
    "with everything": FULL + (zlib.crc32(FULL) & 0xFFFF).to_bytes(2, "little"),
}


@pytest.mark.parametrize("there", range(9))
@pytest.mark.parametrize("before", [b"", gzip.compress(TEXT[:5000])])
@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_data_that_lacks_only_its_trailer_is_told_from_half_of_it(
    tmp_path: Path, open_at: list[int], header: bytes, before: bytes, there: int
) -> None:
    """Whatever of the checksum and the length is there must be right."""
    packed = gzip.compress(TEXT)
    data, trailer = packed[10:-8], packed[-8:]

    def lacks(rest: bytes) -> bool:
        stream = _stream(tmp_path, before + header + rest, open_at)
        assert TEXT[:5000] in stream.take(0, 2 * len(TEXT))
        return not stream.damage and stream.lacks_only_its_trailer()

    assert lacks(data + trailer[:there]) == (there < len(trailer))
    assert not lacks(data[: len(data) - 1 - there])
    if there:
        assert not lacks(data + trailer[: there - 1] + bytes([trailer[there - 1] ^ 1]))
