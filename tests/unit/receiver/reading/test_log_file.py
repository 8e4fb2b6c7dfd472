"""Decompressed bytes at an offset, whatever happened to the file."""

import contextlib
import gzip
import os
import random
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.receiver.inflate import CorruptGzipError
from k8s_audit_otlp.receiver.log_file import GzipLogFile, LogFile, open_log_file

DATA = random.Random(1).randbytes(100_000).hex().encode()  # noqa: S311 - it must not compress well


@pytest.fixture
def gz(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Write bytes as a .gz and open it."""
    opened = []

    def make(packed: Any) -> Any:
        path = tmp_path / "audit.log.gz"
        path.write_bytes(packed)
        opened.append(open_log_file(path, compressed=True))
        return opened[-1]

    yield make
    for source in opened:
        source.close()


def _sound(data: bytearray | bytes) -> int:
    """Count the bytes before the first one that was never written."""
    wrong = (i for i, (got, sent) in enumerate(zip(data, DATA, strict=False)) if got != sent)
    return next(wrong, min(len(data), len(DATA)))


def everything(source: GzipLogFile, step: int = 100_000) -> tuple[Any, ...]:
    data, damage = b"", None
    try:
        while piece := source.read_at(len(data), step):
            data += piece
    except CorruptGzipError as error:
        damage = error
    return data, damage


def test_a_whole_file_is_read_and_its_end_is_known(gz: Callable[..., Any]) -> None:
    """Every byte, then the end."""
    source = gz(gzip.compress(DATA))
    assert everything(source) == (DATA, None)
    assert source.end == len(DATA)


def test_members_follow_one_another(gz: Callable[..., Any]) -> None:
    """What `cat a.gz b.gz` makes is one segment."""
    source = gz(gzip.compress(DATA[:1000]) + gzip.compress(b"") + gzip.compress(DATA[1000:]))
    assert everything(source) == (DATA, None)
    assert source.end == len(DATA)


def test_padding_after_the_last_member_is_no_damage(gz: Callable[..., Any]) -> None:
    """Some tools fill up with NULs."""
    source = gz(gzip.compress(DATA) + bytes(100_000))
    assert everything(source) == (DATA, None)
    assert source.end == len(DATA)


def test_garbage_after_the_last_member_is_damage_after_all_the_data(gz: Callable[..., Any]) -> None:
    """What came before it is kept."""
    source = gz(gzip.compress(DATA) + b"\x80 is no header and no text" * 10)
    data, damage = everything(source)
    assert data == DATA
    assert damage.offset == len(DATA)
    assert source.end is None


@pytest.mark.parametrize("part", [0.1, 0.5, 0.999])
def test_a_torn_file_gives_what_it_has_and_no_end(gz: Callable[..., Any], part: float) -> None:
    """All that a plain decompressor gets out of it but the last few bytes."""
    packed = gzip.compress(DATA)
    packed = packed[: int(len(packed) * part)]
    source = gz(packed)
    data, damage = everything(source)
    expected = zlib.decompressobj(31).decompress(packed)
    assert expected.startswith(data)
    assert len(expected) - len(data) < 16
    assert damage is None
    assert source.end is None


def test_a_torn_file_that_grows_is_read_on(gz: Callable[..., Any], tmp_path: Path) -> None:
    """It was still being written."""
    packed = gzip.compress(DATA)
    source = gz(packed[:1000])
    first, _ = everything(source)
    (tmp_path / "audit.log.gz").write_bytes(packed)
    rest = b""
    while piece := source.read_at(len(first) + len(rest), 100_000):
        rest += piece
    assert first + rest == DATA
    assert source.end == len(DATA)


@pytest.mark.parametrize("place", [0.02, 0.3, 0.9])
def test_damage_in_the_middle_keeps_what_came_before(gz: Callable[..., Any], place: float) -> None:
    """Nothing is lost that a byte-by-byte decompressor would give."""
    packed = bytearray(gzip.compress(DATA))
    middle = int(len(packed) * place)
    packed[middle : middle + 50] = b"\xff" * 50
    expected, plain = bytearray(), zlib.decompressobj(31)
    with contextlib.suppress(zlib.error):
        for i in range(len(packed)):
            expected += plain.decompress(packed[i : i + 1])
    data, damage = everything(gz(bytes(packed)))
    assert _sound(data) >= _sound(expected) - 300
    assert damage is not None


def test_a_wrong_checksum_is_damage(gz: Callable[..., Any]) -> None:
    """The data is given, the end is not confirmed."""
    packed = bytearray(gzip.compress(DATA))
    packed[-6] ^= 1
    source = gz(bytes(packed))
    data, damage = everything(source)
    assert data == DATA
    assert damage is not None
    assert source.end is None


@pytest.mark.parametrize("packed", [b"", b"\x1f\x8b", b"\xfeno gzip", bytes(100)])
def test_a_file_without_data_gives_none(gz: Callable[..., Any], packed: bytes) -> None:
    """It neither hangs nor invents an end."""
    source = gz(packed)
    data, _ = everything(source)
    assert data == b""
    assert source.end is None


@pytest.mark.parametrize("size", [1 << 20, (1 << 20) + 1, 5 << 20])
def test_what_compresses_a_thousandfold_comes_whole(gz: Callable[..., Any], size: int) -> None:
    """More comes out of one piece than is taken at once."""
    source = gz(gzip.compress(b"a" * size))
    assert everything(source) == (b"a" * size, None)
    assert source.end == size


@given(offsets=st.lists(st.integers(0, len(DATA)), min_size=1, max_size=6))
def test_any_order_of_offsets_gives_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, offsets: Any
) -> None:
    """Consumers at different places share a source."""
    path = tmp_path_factory.mktemp("gz") / "audit.log.gz"
    path.write_bytes(gzip.compress(DATA, 1))
    source = open_log_file(path, compressed=True)
    for offset in offsets:
        assert source.read_at(offset, 1000) == DATA[offset : offset + 1000]
    source.close()


def test_a_plain_source_outlives_its_name(tmp_path: Path) -> None:
    """The descriptor is what is read."""
    path = tmp_path / "audit.log"
    path.write_bytes(b"0123456789")
    source = open_log_file(path, compressed=False)
    path.unlink()
    assert source.read_at(2, 3) == b"234"
    assert source.read_at(8, 10) == b"89"
    assert source.read_at(20, 10) == b""
    source.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        source.read_at(0, 1)


def test_a_fifo_does_not_hang(tmp_path: Path) -> None:
    """It may have the name of a backup."""
    os.mkfifo(tmp_path / "audit.log.1")
    source = open_log_file(tmp_path / "audit.log.1", compressed=False)
    source.close()


def test_what_is_written_while_its_end_is_looked_for_is_no_hole(tmp_path: Path) -> None:
    """It would be passed over, and the segment named after its second line."""
    path = tmp_path / "audit.log"
    path.touch()

    class Growing(LogFile):
        def stat(self) -> os.stat_result:
            path.write_bytes(DATA)
            return super().stat()

    assert Growing(os.open(path, os.O_RDONLY)).next_data(0) == 0


def test_beyond_the_end_the_next_data_is_where_it_is_looked_for(tmp_path: Path) -> None:
    """A file that was cut has none before the place that was read."""
    path = tmp_path / "audit.log"
    path.write_bytes(b"one\n")
    assert open_log_file(path, compressed=False).next_data(9) == 9


@pytest.mark.parametrize("trailer", [b"\xff\xff\xff\xff", b"\0\0\0\0"])
def test_a_trailer_that_cannot_be_is_no_promise(gz: Callable[..., Any], trailer: bytes) -> None:
    """Nothing packs a thousand to one, and nothing packs to more than it was."""
    packed = gzip.compress(DATA)[:-4] + trailer
    assert gz(packed).promised_size() == len(packed)


def test_a_packed_file_that_goes_on_damaged_has_no_end_any_more(tmp_path: Path) -> None:
    """What was its end is none: something was added that nobody can read."""
    path = tmp_path / "audit.log.gz"
    path.write_bytes(gzip.compress(b"one\n"))
    source = open_log_file(path, compressed=True)
    assert (source.read_at(0, 10), source.end) == (b"one\n", 4)
    with path.open("ab") as file:
        file.write(b"\x1f\x8b\x08\x00" + b"\xff" * 100)
    with pytest.raises(CorruptGzipError):
        source.read_at(4, 10)
    assert not source.has_end
    assert not source.ends_without_trailer()
