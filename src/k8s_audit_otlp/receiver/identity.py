"""The first bytes of a segment in, its identity out. Pure.

A segment is known by what it begins with, not by its name or inode: both change or are used again.
"""

import re
from dataclasses import dataclass, replace
from hashlib import blake2b

import msgspec

HEAD_BYTES = 1024  # the fingerprint: enough to cover the first event's audit id

# What may stand before the first line: a byte order mark, the hole that a truncating tool leaves,
# empty lines.
_LEADING = re.compile(rb"(?:\xef\xbb\xbf|[\x00\n])+")


class _First(msgspec.Struct):
    auditID: str | None = None  # noqa: N815 - the event's own names
    stage: str | None = None
    requestReceivedTimestamp: str | None = None  # noqa: N815
    stageTimestamp: str | None = None  # noqa: N815


_decode_first = msgspec.json.Decoder(_First).decode


@dataclass(frozen=True, slots=True)
class Identity:
    """`name` is 16 hex digits; `head` is a fingerprint of `head_length` bytes at `head_start`.

    What stands before the first line is left out: all holes look alike.
    """

    name: str
    head: str
    head_length: int
    head_start: int

    def after(self, offset: int) -> "Identity":
        """Return the same for data that stands *offset* bytes later in its file."""
        return replace(self, head_start=self.head_start + offset)


def fingerprint(data: bytes) -> str:
    return blake2b(data, digest_size=8).hexdigest()


def identify(data: bytes, *, finished: bool) -> Identity | None:
    """Return the identity of the segment that begins with *data*.

    None while its first line is not complete. *finished* says that nothing will be added, so an
    unterminated line counts.
    """
    leading = _LEADING.match(data)
    start = leading.end() if leading else 0
    end = data.find(b"\n", start)
    if end < 0:
        if not finished or start >= len(data):
            return None
        end = len(data)
    line = data[start:end]
    head = line[:HEAD_BYTES]
    return Identity(_name(line), fingerprint(head), len(head), start)


def _name(line: bytes) -> str:
    try:
        first = _decode_first(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return fingerprint(line)
    parts = (
        first.auditID,
        first.stage,
        first.requestReceivedTimestamp,
        first.stageTimestamp,
    )
    if not first.auditID or not any(parts[2:]):
        return fingerprint(line)
    return fingerprint("\0".join(p or "" for p in parts).encode("utf-8", "surrogatepass"))
