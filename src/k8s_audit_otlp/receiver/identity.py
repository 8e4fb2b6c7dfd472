"""Identifies segments by their first line: names change, and inodes are used again."""

import re
from dataclasses import dataclass, replace
from hashlib import blake2b

import msgspec

from k8s_audit_otlp.event.lenient_json import REFUSED
from k8s_audit_otlp.event.times import unix_ns
from k8s_audit_otlp.receiver.lines import BLANKS, length_of_line
from k8s_audit_otlp.receiver.log_file import LogFile

HEAD_BYTES = 1024  # the fingerprint: enough to cover the first event's audit id
_FIRST_READ = 64 * 1024  # enough for most first lines

# What may stand before the first line: a byte order mark, the hole that a truncating tool leaves,
# empty lines. One repetition takes a whole run: an engine remembers each, and holes are large.
_LEADING = re.compile(rb"(?:\xef\xbb\xbf|[\x00\n]+)*")


class _First(msgspec.Struct):
    auditID: str | None = None  # noqa: N815 - the event's own names
    stage: str | None = None
    requestReceivedTimestamp: str | None = None  # noqa: N815
    stageTimestamp: str | None = None  # noqa: N815


_decode_first = msgspec.json.Decoder(_First).decode


@dataclass(frozen=True, slots=True)
class Identity:
    """`name` is 16 hex digits; `head` is a fingerprint of `head_length` bytes at `head_start`.

    What stands before the first line is left out: all holes look alike. `when_ns` is the time of
    the first event, 0 where it has none.
    """

    name: str
    head: str
    head_length: int
    head_start: int
    when_ns: int = 0

    def is_in(self, source: LogFile) -> bool:
        return fingerprint(source.read_at(self.head_start, self.head_length)) == self.head


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
    name, when_ns = _name(line)
    return Identity(name, fingerprint(head), len(head), start, when_ns)


def read_identity(source: LogFile, *, finished: bool, max_line_bytes: int) -> Identity | None:
    """Identify an open file. Memory is bounded whatever stands before the first line.

    *finished*: nothing is added to it; that of a compressed one counts once its end is known.

    Raise OSError or CorruptGzipError where it cannot be read as far as that.
    """
    start, known = _first_byte(source), False
    read = source.read_at(start, _FIRST_READ)
    if len(read) == _FIRST_READ and b"\n" not in read:
        length, ended = length_of_line(source.read_at, start, len(read), most=max_line_bytes)
        known = ended or length > max_line_bytes  # nobody waits for the end of that
        if length <= max_line_bytes and (ended or finished):
            read = source.read_at(start, length)
    identity = identify(read, finished=known or (finished and source.has_end))
    return replace(identity, head_start=identity.head_start + start) if identity else None


def _first_byte(source: LogFile) -> int:
    """Return where something stands that is no blank line, hole or byte order mark."""
    offset = 0
    while True:
        offset = source.next_data(offset)
        read = source.read_at(offset, _FIRST_READ)
        if len(read) == _FIRST_READ and not read.strip(BLANKS):
            offset += len(read)
            continue
        leading = _LEADING.match(read)
        skipped = leading.end() if leading else 0
        if skipped < len(read) or len(read) < _FIRST_READ:
            return offset + skipped
        offset += skipped


def _name(line: bytes) -> tuple[str, int]:
    """Return the name of a segment with this first line, and when that event happened."""
    try:
        first = _decode_first(line)
    except REFUSED:
        return fingerprint(line), 0
    when_ns = unix_ns(first.stageTimestamp) or unix_ns(first.requestReceivedTimestamp) or 0
    parts = (first.auditID, first.stage, first.requestReceivedTimestamp, first.stageTimestamp)
    if not first.auditID or not any(parts[2:]):
        return fingerprint(line), when_ns
    whole = "\0".join(p or "" for p in parts)
    return fingerprint(whole.encode("utf-8", "surrogatepass")), when_ns
