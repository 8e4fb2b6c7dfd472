"""An open file of a log: decompressed bytes at an offset, whatever the file is called by now.

It keeps its descriptor, so it outlives renames and deletion. It is closed with the last
reference to it: who reads from one holds it, and nobody closes it under a reader.
"""

import errno
import fcntl
import os
import resource
import struct
from contextlib import suppress
from pathlib import Path
from threading import Lock

from k8s_audit_otlp.receiver.inflate import CorruptGzipError, InflateStream, form_of

OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a fifo must not hang the agent
_MAX_STREAMS = 3  # decompressors kept for consumers at different places of one file
_STEP = 1024 * 1024
_HEAD = 64  # bytes that tell text from what is packed
_MOST_PACKED = 1032  # times that deflate makes anything smaller at most
_GENERATION = 0x80087601  # FS_IOC_GETVERSION, which ext4, xfs and btrfs answer
_OTHERS = 32  # descriptors: sockets, inotify, state, the dead letter, libraries
_LEAST_OPEN, _MOST_OPEN = 4, 256


class LogFile:
    """A file as it is on disk; a compressed one is a `GzipLogFile`."""

    compressed = False
    end: int | None = None  # where a compressed file ends, once it was read so far
    verified = True  # unless it ends without what verifies it

    def __init__(self, fd: int) -> None:
        self._fd = fd
        info = os.fstat(fd)
        self.device, self.inode = info.st_dev, info.st_ino

    def stat(self) -> os.stat_result:
        return os.fstat(self._fd)

    @property
    def unlinked(self) -> bool:
        """No name leads to the file any more."""
        return self.stat().st_nlink == 0

    @property
    def generation(self) -> int:
        """Tell the file from others that have its inode number before or after it; 0: unknown."""
        try:
            answer = fcntl.ioctl(self._fd, _GENERATION, bytes(struct.calcsize("l")))
        except OSError:
            return 0
        return int(struct.unpack("l", answer)[0])

    def raw(self, offset: int, length: int) -> bytes:
        """Return bytes as they are on disk."""
        return os.pread(self._fd, length, offset)

    def read_at(self, offset: int, length: int) -> bytes:
        data = os.pread(self._fd, length, offset)
        if len(data) == length or not data:
            return data
        # A short read that is not the end happens on some file systems; ask once more.
        return data + os.pread(self._fd, length - len(data), offset + len(data))

    def next_data(self, offset: int) -> int:
        """Return the offset of the next byte that is not in a hole (SEEK_DATA), or of the end."""
        size = self.stat().st_size  # first: what is written behind it meanwhile is data
        try:
            return os.lseek(self._fd, offset, os.SEEK_DATA)
        except OSError as error:
            return max(offset, size) if error.errno == errno.ENXIO else offset

    def length(self) -> int | None:
        """Return the length of what can be read; None where that has no proper end."""
        return self.stat().st_size

    @property
    def has_end(self) -> bool:
        """Where it ends is known."""
        return not self.compressed or self.end is not None

    def ends_without_trailer(self) -> bool:
        """Say whether the data is whole and only what verifies it is missing; that is an end."""
        return False

    @property
    def readable(self) -> bool:
        """At least its first byte can be had."""
        return True

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __del__(self) -> None:
        self.close()


class GzipLogFile(LogFile):
    """A compressed file, read from its beginning as often as it must be."""

    compressed = True

    def __init__(self, fd: int) -> None:
        self._lock = Lock()  # guards the streams and their places
        self._streams: list[InflateStream] = []
        super().__init__(fd)

    def read_at(self, offset: int, length: int) -> bytes:
        """Return up to *length* bytes at *offset*.

        Raise CorruptGzipError where nothing can be read at *offset* because the data before is
        damaged.
        """
        with self._lock:
            stream = self._stream_for(offset)
            data = stream.take(offset, length)
            if len(data) < length:
                if stream.damage and not data:
                    self.end = None  # where it ended before, more was added
                    raise CorruptGzipError(stream.end, stream.damage)
                if stream.complete and not stream.damage:
                    self.end = stream.end
        return data

    def next_data(self, offset: int) -> int:
        return offset

    def length(self) -> int | None:
        """Decompress to the end; None if the trailer is missing or something does not check out."""
        offset = 0
        try:
            while self.end is None and (data := self.read_at(offset, _STEP)):
                offset += len(data)
        except CorruptGzipError:
            return None
        return self.end

    def ends_without_trailer(self) -> bool:
        with self._lock:
            stream = max(self._streams, key=lambda s: s.end, default=None)
            if stream is None or stream.damage or not stream.lacks_only_its_trailer():
                return False
            self.end, self.verified = stream.end, False
        return True

    @property
    def readable(self) -> bool:
        try:
            return bool(self.read_at(0, 1))
        except CorruptGzipError:
            return False

    def promises(self, size: int) -> bool:
        """Say whether it seems to have *size* bytes: its trailer is no proof."""
        return self._trailer() == size & 0xFFFFFFFF

    def _trailer(self) -> int:
        """Return the length modulo 4 GiB, of the last member if there are several."""
        return int.from_bytes(self.raw(max(0, self.stat().st_size - 4), 4), "little")

    def promised_size(self) -> int:
        """Return an estimate of its length."""
        packed, size = self.stat().st_size, self._trailer()
        while size < packed:
            size += 1 << 32
        return packed if size > _MOST_PACKED * packed else size

    def _stream_for(self, offset: int) -> InflateStream:
        usable = (s for s in self._streams if s.start <= offset)
        stream = max(usable, key=lambda s: s.start, default=None) or InflateStream(self._fd)
        others = [s for s in self._streams if s is not stream]
        self._streams = [stream, *others[: _MAX_STREAMS - 1]]
        return stream

    def close(self) -> None:
        super().close()
        self._streams.clear()


def descriptor_limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft != resource.RLIM_INFINITY else 1 << 20


def descriptors_for(limit: int) -> int:
    """Return how many files a log may keep open and leave enough for sockets and state."""
    return max(_LEAST_OPEN, min(_MOST_OPEN, (limit - _OTHERS) // 4))


def open_log_file(path: Path, *, compressed: bool) -> LogFile:
    """Open a file of the log. Raise OSError where it is gone or cannot be read.

    Its first bytes say whether it is packed: who renames, copies or unpacks a backup may leave it
    the wrong name. *compressed*, what its name says, counts where they are neither gzip nor text.
    """
    fd = os.open(path, OPEN_FLAGS)
    head = b""
    with suppress(OSError):  # whoever reads it is told why it cannot be
        head = os.pread(fd, _HEAD, 0)
    form = form_of(head)
    if form not in ("", "text", "gzip"):
        os.close(fd)
        raise OSError(errno.EMEDIUMTYPE, f"is packed with {form}, which is not read", str(path))
    return GzipLogFile(fd) if form == "gzip" or (compressed and not form) else LogFile(fd)
