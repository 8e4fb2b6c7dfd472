"""Where an event lies: offsets in, the attributes that name its place (and the observed time) out.

Offsets grow by a line at a time, so all but the last digits is built once for many lines.
"""

import struct

from k8s_audit_otlp.model import Block
from k8s_audit_otlp.otlp import wire
from k8s_audit_otlp.otlp.mapping import MappingOptions, attributes_of

LOW_BITS = 14  # two groups of a varint
_low_groups = struct.Struct("<H").pack


def record_uid(identity: str, offset: int, index: int = -1) -> str:
    """Name a record by its place on disk: the same for every exporter and every repeat."""
    return f"{identity}-{offset:x}" if index < 0 else f"{identity}-{offset:x}.{index}"


class Place:
    """The place attributes of one block's lines, with the time at which they were read."""

    def __init__(self, block: Block, options: MappingOptions) -> None:
        self._identity = block.identity
        self._options = options
        self._constant = wire.OBSERVED_TIME + wire.fixed64(block.observed_ns)
        self._constant += wire.attributes(attributes_of("file", block.file_name, options))
        self._high = 0  # what the three below hold for; below one, nothing is kept
        self._before_offset = self._between = self._after = b""

    def at(self, offset: int) -> bytes:
        """Give the bytes for the event at `offset`."""
        high = offset >> LOW_BITS
        if high != self._high:
            self._turn(offset, high)
        if not high:
            return self.item(offset)
        low = _low_groups(offset & 0x7F | offset << 1 & 0x7F00 | 0x8080)
        return b"%b%x%b%b%b" % (self._before_offset, offset, self._between, low, self._after)

    def item(self, offset: int, index: int = -1) -> bytes:
        """Give the bytes for one item of the list at `offset`."""
        uid = attributes_of("uid", record_uid(self._identity, offset, index), self._options)
        place = attributes_of("offset", offset, self._options)
        return wire.attributes(uid | place) + self._constant

    def _turn(self, offset: int, high: int) -> None:
        """Build what stays the same until the low groups of the offset overflow."""
        uid, digits = record_uid(self._identity, offset), len(f"{offset:x}")
        self._before_offset = self._attribute("uid", uid)[:-digits]
        self._between = self._attribute("offset", offset)[: -len(wire.varint(offset))]
        self._after = wire.varint(high) + self._constant
        self._high = high

    def _attribute(self, part: str, value: str | int) -> bytes:
        return wire.attributes(attributes_of(part, value, self._options))
