"""Names an event's place in its log in attributes, with the observed time.

Offsets grow by a line at a time, so all but their last digits is built once for many lines.
"""

from collections.abc import Callable, Mapping

from k8s_audit_otlp.model import Block
from k8s_audit_otlp.otlp import wire

_CONTINUED = tuple(bytes([group | 128]) for group in range(128))  # a varint's group, not its last
_LOW_BITS = 14  # two groups


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
        self._high = 0  # what the next three hold for; below 1 nothing is kept
        self._before = self._between = self._after = b""
        self._lengths = (0, 0)  # of the offset as hex and as varint in the first two

    def at(self, offset: int) -> bytes:
        """Give the bytes for the event at `offset`."""
        high = offset >> _LOW_BITS
        if high != self._high:
            self._turn(offset, high)
        if not high:
            return self.item(offset)
        low, middle = _CONTINUED[offset & 127], _CONTINUED[offset >> 7 & 127]
        return b"".join((self._before, b"%x" % offset, self._between, low, middle, self._after))

    def item(self, offset: int, item: int = -1) -> bytes:
        """Give the bytes for one item of the list at `offset`."""
        uid = record_uid(self._identity, offset, item)
        return self._uid(uid) + self._offset(offset) + self._constant

    def _turn(self, offset: int, high: int) -> None:
        """Build what stays the same until the low groups of the offset overflow."""
        upper = wire.varint(high)
        lengths = len(f"{offset:x}"), 2 + len(upper)
        if lengths != self._lengths:
            self._before = self._uid(record_uid(self._identity, offset))[: -lengths[0]]
            self._between = self._offset(offset)[: -lengths[1]]
            self._lengths = lengths
        self._after = upper + self._constant
        self._high = high
