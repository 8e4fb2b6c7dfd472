"""Decompresses gzip files as a stream, and detects damage and missing ends.

A stream only moves forward and keeps what it has not given away yet. Damage does not throw away
what was decoded before it.
"""

import contextlib
import os
import struct

from isal import isal_zlib
from isal.igzip_lib import IsalError

# The library's stub calls this class an instance.
DamagedError: type[Exception] = IsalError  # type: ignore[assignment]
MAGIC = b"\x1f\x8b"  # what a gzip file begins with (RFC 1952)
_FORMS = {  # by what a file begins with; of those that are packed only gzip is read
    MAGIC: "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ\0": "xz",
    b"BZh": "bzip2",
    b"\x04\x22\x4d\x18": "lz4",
    b"PK\x03\x04": "zip",
}
_WINDOW = 31  # window bits: a gzip header, and its checksum verified
_DEFLATE = -15  # window bits: the data alone
_TRAILER = struct.Struct("<II")  # checksum and length of a member
_HEADER_BYTES = 64 * 1024  # more than a header with a name has
_HEADER_CHECKSUM, _EXTRA, _NAME, _COMMENT = 2, 4, 8, 16  # flags of RFC 1952
_TEXT = bytes(range(32, 127)) + b"\t\r\n"  # what deflated data is not made of
_CHUNK = 8 * 1024  # compressed bytes read at once: up to a thousand times as many come out
_MAX_INFLATED = 1024 * 1024  # bytes that one call may make of them: a bomb grows step by step


class CorruptGzipError(Exception):
    """The compressed data breaks off or is damaged at `offset` (decompressed)."""

    def __init__(self, offset: int, why: str) -> None:
        super().__init__(why)
        self.offset = offset


class InflateStream:
    """One decompressor that only moves forward, with the bytes it has not given away yet."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._read = 0  # compressed bytes taken
        self.start = 0  # offset of buffer[0]
        self._buffer = bytearray()
        self._inflate = isal_zlib.decompressobj(_WINDOW)
        self._inside = False  # a member has begun and not ended
        self._members = 0
        self._member = 0  # compressed offset of the one that began last
        self.damage = ""  # why nothing can follow what is in the buffer

    @property
    def end(self) -> int:
        return self.start + len(self._buffer)

    @property
    def complete(self) -> bool:
        """Every member so far has ended and its checksum and length were right."""
        return self._members > 0 and not self._inside

    def _fill(self, upto: int) -> None:
        """Decompress until *upto* is in the buffer, the file ends for now, or is damaged."""
        while self.end < upto and not self.damage:
            chunk = os.pread(self._fd, _CHUNK, self._read)
            if not chunk:
                return
            try:
                self._feed(chunk)
            except DamagedError as error:
                self._salvage(chunk)
                self.damage = str(error)
            self._read += len(chunk)

    def _feed(self, chunk: bytes) -> None:
        upto = self._read + len(chunk)
        while chunk:
            if not self._inside and self._members and _is_no_member(chunk):
                return
            if not self._inside:
                self._inside, self._member = True, upto - len(chunk)
            self._buffer += self._inflate.decompress(chunk, _MAX_INFLATED)
            chunk = self._inflate.unconsumed_tail
            if self._inflate.eof:
                chunk = self._inflate.unused_data
                self._inflate = isal_zlib.decompressobj(_WINDOW)
                self._members += 1
                self._inside = False

    def _salvage(self, chunk: bytes) -> None:
        """Get back what the failing call threw away: replay the file, the chunk byte by byte."""
        end = self.end
        replay = InflateStream(self._fd)
        while replay._read < self._read:
            del replay._buffer[:]
            piece = os.pread(self._fd, min(_CHUNK, self._read - replay._read), replay._read)
            if not piece:
                return
            before = replay.start
            replay._feed(piece)
            replay.start = before + len(replay._buffer)
            replay._read += len(piece)
        del replay._buffer[:]
        with contextlib.suppress(DamagedError):
            for i in range(len(chunk)):
                replay._feed(chunk[i : i + 1])
        already = end - replay.start
        self._buffer += replay._buffer[already:]

    def lacks_only_its_trailer(self) -> bool:
        """Say so of a file that was read to its end: deflate marks the last block of a member.

        What is there of the checksum and the length must be right.
        """
        at = self._member + _header_length(os.pread(self._fd, _HEADER_BYTES, self._member))
        inflate = isal_zlib.decompressobj(_DEFLATE)
        checksum = size = 0
        while not inflate.eof and (chunk := os.pread(self._fd, _CHUNK, at)):
            at += len(chunk)
            while chunk and not inflate.eof:
                try:
                    data = inflate.decompress(chunk, _MAX_INFLATED)
                except DamagedError:
                    return False
                checksum, size = isal_zlib.crc32(data, checksum), size + len(data)
                chunk = inflate.unconsumed_tail
        trailer = _TRAILER.pack(checksum, size & 0xFFFFFFFF)
        found = inflate.unused_data + os.pread(self._fd, len(trailer), at)
        return inflate.eof and len(found) < len(trailer) and trailer.startswith(found)

    def take(self, offset: int, length: int) -> bytes:
        """Return bytes at *offset*, and forget what lies before."""
        while self.end < offset:
            before = self.end
            del self._buffer[:]
            self.start = before
            self._fill(before + 1)
            if self.end == before:
                return b""
        del self._buffer[: offset - self.start]
        self.start = offset
        self._fill(offset + length)
        return bytes(self._buffer[:length])


def _is_no_member(data: bytes) -> bool:
    """Tell padding and text behind a member from what may be another one, damaged or not."""
    return not data.strip(b"\0") or _is_text(data)


def form_of(head: bytes) -> str:
    """Say what a file that begins with *head* is: text, or how it is packed; '' for neither."""
    packed = (form for magic, form in _FORMS.items() if head.startswith(magic))
    return "text" if head and _is_text(head) else next(packed, "")


def _is_text(data: bytes) -> bool:
    return not data.translate(None, _TEXT)


def _header_length(data: bytes) -> int:
    """Return how long the header is that a gzip member begins with."""
    flags, end = data[3] if len(data) > 10 else 0, 10
    if flags & _EXTRA:
        end += 2 + int.from_bytes(data[end : end + 2], "little")
    for text in (_NAME, _COMMENT):
        if flags & text:
            end = data.find(b"\0", end) + 1 or len(data)
    return end + 2 * bool(flags & _HEADER_CHECKSUM)
