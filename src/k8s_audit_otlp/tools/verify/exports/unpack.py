"""Undoes gzip and zstd, seen by the first bytes of a stream."""

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, cast

import zstandard
from isal import igzip

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BUFFER = 1024 * 1024
_PACKED = 8192  # read at once of zstd: what it may become is bounded, too


def unpacked(stream: io.BufferedReader) -> BinaryIO:
    """Undo gzip or zstd, seen by the first bytes."""
    magic = stream.peek(4)[:4]
    if magic.startswith(b"\x1f\x8b"):
        reader = igzip.IGzipFile(fileobj=stream)  # type: ignore[no-untyped-call]  # isal's own gap
        return cast("BinaryIO", io.BufferedReader(reader, _BUFFER))
    if magic == b"\x28\xb5\x2f\xfd":
        return cast("BinaryIO", io.BufferedReader(_ZstdFile(stream), _BUFFER))
    return stream


class _ZstdFile(io.RawIOBase):
    """Frames of zstd. The library's own reader takes one that breaks off for a whole one."""

    def __init__(self, stream: BinaryIO) -> None:
        self._parts = _frames(stream)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        while not self._rest and (part := next(self._parts, None)) is not None:
            self._rest = memoryview(part)
        target = memoryview(buffer)
        count = min(len(target), len(self._rest))
        target[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


def _frames(stream: BinaryIO) -> Iterator[bytes]:
    data = stream.read(_PACKED)
    while data:
        frame = zstandard.ZstdDecompressor().decompressobj()
        while not frame.eof:
            if not data:
                raise EOFError("a frame breaks off")
            yield frame.decompress(data)
            data = frame.unused_data if frame.eof else stream.read(_PACKED)
        data = data or stream.read(_PACKED)
