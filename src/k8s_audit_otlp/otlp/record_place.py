"""Names an event's place in its log in attributes, with the observed time.

Offsets grow by a line at a time, so all but their digits is built once for many lines.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from k8s_audit_otlp.model import Block
from k8s_audit_otlp.otlp import wire


class PlaceFrame(NamedTuple):
    """What is around an offset: before its digits in hex, between them and its varint, after it."""

    before: bytes
    between: bytes
    after: bytes
    until: int  # the first offset that needs another frame

    def at(self, offset: int) -> bytes:
        return b"".join((self[0], b"%x" % offset, self[1], wire.varint(offset), self[2]))


def record_uid(identity: str, offset: int, item: int = -1) -> str:
    """Name a record by its place on disk: the same for every exporter and every repeat."""
    return f"{identity}-{offset:x}" if item < 0 else f"{identity}-{offset:x}.{item}"


class RecordPlace:
    """The place attributes of one block's lines, with the time at which they were read.

    `encoders` are those of the parts uid, offset, file and file_path.
    """

    def __init__(self, block: Block, encoders: Mapping[str, Callable[[str | int], bytes]]) -> None:
        self._identity = block.identity
        self._uid, self._offset = encoders["uid"], encoders["offset"]
        self._constant = encoders["file"](block.file_name)
        if block.file_path:
            self._constant += encoders["file_path"](block.file_path)
        self._constant += wire.OBSERVED_TIME + wire.fixed64(block.observed_ns)
        self._frame = PlaceFrame(b"", b"", b"", 0)

    def frame(self, offset: int) -> PlaceFrame:
        """Give what holds for an offset and those behind it, which grow."""
        if offset >= self._frame.until:
            digits, groups = f"{offset:x}", wire.varint(offset)
            self._frame = PlaceFrame(
                self._uid(record_uid(self._identity, offset))[: -len(digits)],
                self._offset(offset)[: -len(groups)],
                self._constant,
                min(16 ** len(digits), 128 ** len(groups)),
            )
        return self._frame

    def at(self, offset: int) -> bytes:
        """Give the bytes for the event at `offset`."""
        return self.frame(offset).at(offset)

    def item(self, offset: int, item: int = -1) -> bytes:
        """Give the bytes for one item of the list at `offset`."""
        uid = record_uid(self._identity, offset, item)
        return self._uid(uid) + self._offset(offset) + self._constant
