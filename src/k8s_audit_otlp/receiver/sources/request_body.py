"""The body of a request, read with bounds: in size, in time, and for all requests together."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress

from starlette.requests import ClientDisconnect

_PIECE = 1 << 20  # what is decompressed at once
_MOST_MEMBERS = 1_000  # of a gzip body: empty ones cost time and fill nothing


class BodyError(Exception):
    """The request is not taken: the status to answer with, and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class BodyBudget:
    """Bytes of bodies that may be in memory, of all requests together; for one event loop."""

    def __init__(self, max_bytes: int) -> None:
        self._left = max_bytes

    def take(self, size: int) -> None:
        if size > self._left:
            raise BodyError(429, "other requests fill the memory for them; try again")
        self._left -= size

    def give(self, size: int) -> None:
        self._left += size


class BodyReader:
    """Collects one body, which has its part of the budget until `release`."""

    def __init__(self, budget: BodyBudget, max_bytes: int, headers: Mapping[str, str]) -> None:
        encoding = headers.get("content-encoding", "").strip().lower()
        length = headers.get("content-length", "")
        if encoding not in ("", "identity", "gzip"):
            raise BodyError(415, "content-encoding: gzip or none is taken")
        if length.isdecimal() and int(length[:20]) > max_bytes:  # packed or not, it is too long
            raise BodyError(413, f"the body is over {max_bytes} bytes")
        self._inflate = zlib.decompressobj(wbits=31) if encoding == "gzip" else None
        self._budget = budget
        self._max = max_bytes
        self._body = bytearray()  # grows in place: the body is never there twice
        self._packed = 0  # bytes that came packed
        self._members = 1

    async def read(self, chunks: AsyncIterator[bytes]) -> bytearray:
        """Return the body, decompressed.

        Raise BodyError where it is too long, no gzip, cut short, or no memory is there for it now.
        """
        async for chunk in chunks:
            if self._inflate is None:
                self._add(chunk)
            else:
                self._decompress(chunk)
        if self._inflate is not None and not self._inflate.eof:
            raise BodyError(400, "the gzip body is cut short")
        return self._body

    def release(self) -> None:
        """Give back what the body took of the budget."""
        self._budget.give(len(self._body))
        self._body = bytearray()

    def _add(self, piece: bytes) -> None:
        if len(self._body) + len(piece) > self._max:
            raise BodyError(413, f"the body is over {self._max} bytes")
        self._budget.take(len(piece))
        self._body += piece

    def _decompress(self, chunk: bytes) -> None:
        assert self._inflate is not None  # noqa: S101 - seen by the caller
        self._packed += len(chunk)
        if self._packed > self._max:
            raise BodyError(413, f"the body is over {self._max} bytes")
        try:
            while chunk:
                if self._inflate.eof:  # a gzip body may be several, one behind the other
                    self._inflate = zlib.decompressobj(wbits=31)
                    self._members += 1
                    if self._members > _MOST_MEMBERS:
                        raise BodyError(400, f"the gzip body has over {_MOST_MEMBERS} members")
                self._add(self._inflate.decompress(chunk, _PIECE))
                chunk = self._inflate.unconsumed_tail or self._inflate.unused_data
        except zlib.error:
            raise BodyError(400, "the body is no gzip") from None


def check_length(headers: Mapping[str, str]) -> None:
    """Refuse a body whose end is said in two ways: a proxy may take the other one (RFC 9112, 6.1).

    Raise BodyError: nothing behind it on its connection may be read.
    """
    if "content-length" in headers and "transfer-encoding" in headers:
        raise BodyError(400, "content-length and transfer-encoding: one of them is taken")


async def pass_over(chunks: AsyncIterator[bytes], most: int, seconds: float) -> None:
    """Read on without keeping it: who still sends would see a reset, and not the answer."""
    with suppress(TimeoutError, ClientDisconnect):
        async with asyncio.timeout(seconds):
            async for chunk in chunks:
                most -= len(chunk)
                if most < 0:
                    return
