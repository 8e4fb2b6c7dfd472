"""Compresses request bodies, and names their Content-Encoding. Pure."""

from collections.abc import Callable
from typing import Literal

from isal import igzip

Compression = Literal["gzip", "zstd", "none"]

# Level 1 of isal is a little over half the time of level 2, and 15 % larger.
_GZIP_LEVEL = 2
_ZSTD_LEVEL = 3


def compressor(name: Compression, level: int | None = None) -> Callable[[bytes], bytes]:
    """Return the function for a compression; *level* is gzip's -2 to 9 or zstd's 1 to 22."""
    match name:
        case "none":
            return lambda data: data
        case "gzip":
            return _gzip(_GZIP_LEVEL if level is None else level)
        case "zstd":
            import zstandard  # noqa: PLC0415 - only who asks for zstd pays for it

            chosen = _ZSTD_LEVEL if level is None else level

            def compress(data: bytes) -> bytes:
                # A compressor is not safe to share between threads, and cheap to make.
                return zstandard.ZstdCompressor(level=chosen).compress(data)

            return compress


def _gzip(level: int) -> Callable[[bytes], bytes]:
    if level == -1:  # compress/gzip of Go: its default
        level = _GZIP_LEVEL
    if level <= 3:  # isal's own levels
        fast = max(0, level)
        return lambda data: igzip.compress(data, fast, mtime=0)
    import gzip  # noqa: PLC0415 - only for the levels that isal does not have

    return lambda data: gzip.compress(data, level, mtime=0)
