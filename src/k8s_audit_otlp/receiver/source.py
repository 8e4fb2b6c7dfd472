"""A file of the log in, decompressed bytes at an offset out.

`PlainSource` and `GzipSource` both give bytes at an offset, and say how the file is on disk. A
source keeps its descriptor, so it outlives renames and deletion.
"""

import os

from k8s_audit_otlp.receiver.inflate import CorruptGzipError, InflateStream

_MAX_STREAMS = 3  # decompressors kept for consumers at different places of one file


class _Source:
    """An open file; `stat` says how it is on disk, whatever it is called by now."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        info = os.fstat(fd)
        self.device, self.inode = info.st_dev, info.st_ino

    def stat(self) -> os.stat_result:
        return os.fstat(self._fd)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __del__(self) -> None:
        self.close()


class PlainSource(_Source):
    """A file as it is."""

    def read_at(self, offset: int, length: int) -> bytes:
        data = os.pread(self._fd, length, offset)
        if len(data) == length or not data:
            return data
        # A short read that is not the end happens on some file systems; ask once more.
        return data + os.pread(self._fd, length - len(data), offset + len(data))

    def next_data(self, offset: int) -> int:
        """Return the offset of the next byte that is not in a hole (SEEK_DATA)."""
        try:
            return os.lseek(self._fd, offset, os.SEEK_DATA)
        except OSError:
            return offset


class GzipSource(_Source):
    """A compressed file, read from its beginning as often as it must be."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self._streams: list[InflateStream] = []
        self.end: int | None = None  # known once a stream has passed the trailer

    def read_at(self, offset: int, length: int) -> bytes:
        """Return up to *length* bytes at *offset*.

        Raises:
            CorruptGzipError: nothing can be read at *offset* because the data before is damaged.

        """
        stream = self._stream_for(offset)
        data = stream.take(offset, length)
        if len(data) < length:
            if stream.damage and not data:
                raise CorruptGzipError(stream.end, stream.damage)
            if stream.complete and not stream.damage:
                self.end = stream.end
        return data

    def _stream_for(self, offset: int) -> InflateStream:
        usable = [s for s in self._streams if s.start <= offset]
        if usable:
            stream = max(usable, key=lambda s: s.start)
            self._streams.remove(stream)
        else:
            stream = InflateStream(self._fd)
        self._streams.insert(0, stream)
        del self._streams[_MAX_STREAMS:]
        return stream

    def close(self) -> None:
        super().close()
        self._streams.clear()
