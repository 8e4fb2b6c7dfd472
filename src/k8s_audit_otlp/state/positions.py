"""The positions file: how far every exporter is, written in place whenever a request settles.

    state_dir/positions     records of fixed size, two slots each

The checkpoint holds the same once a second; this file says how much further they are. A record is
one `pwrite`: what a killed process wrote is there, however slow the disk is and however often it is
killed. A write that a power cut tears is told by its checksum; the slot beside it holds the write
before that one.
"""

import os
import struct
import zlib
from collections import Counter
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from threading import Lock

import msgspec

from k8s_audit_otlp.state.files import Fsync, open_private, read_file
from k8s_audit_otlp.state.ledger import Ledger, Place
from k8s_audit_otlp.state.manifest import SegmentState

FILE_NAME = "positions"
SLOT_BYTES = 2048
_MARKS = 12  # beside that of the place: they reach some 64 KiB back
_RESERVED = 64 * 1024  # on the disk from the start: a full disk does not stop the first segments
_HEADER = struct.Struct("<IH")  # checksum and length of what follows
_OTHER_RULES = "other rules"


class PositionRecord(msgspec.Struct, array_like=True):
    """One exporter in one segment. `turn` rises with every write to the file.

    `ended`: the segment was closed when this was written, and the place is its end.
    """

    turn: int
    subscription: bytes
    segment: int
    identity: str
    place: Place
    ended: bool = False


def key_of(log: str, exporter: str) -> bytes:
    """Return what stands for a log and an exporter: their names may be long."""
    return blake2b(f"{log}\0{exporter}".encode(), digest_size=16).digest()


def read_positions(state_dir: Path) -> list[PositionRecord]:
    """Return the newest whole record of each exporter and segment, the last written last."""
    try:
        data = read_file(state_dir / FILE_NAME)
    except OSError:
        return []
    newest: dict[tuple[bytes, int], PositionRecord] = {}
    for start in range(0, len(data), SLOT_BYTES):
        record = _decoded(data[start : start + SLOT_BYTES])
        if record is not None:
            key = (record.subscription, record.segment)
            if key not in newest or newest[key].turn < record.turn:
                newest[key] = record
    return sorted(newest.values(), key=lambda record: record.turn)


@dataclass(slots=True)
class _SlotPair:
    """Two slots beside each other for one exporter in one segment."""

    slot: int  # that is written next
    turn: int = 0  # of the record in the other one
    written: tuple[int, bool, int] | None = None  # by that record


class PositionFile:
    """The file of one agent. Safe for threads: guarded by `_lock` is everything below."""

    def __init__(self, state_dir: Path, *, fsync: Fsync = os.fsync) -> None:
        self._path = state_dir / FILE_NAME
        self._fsync = fsync
        self._lock = Lock()
        self._fd = -1
        self._turn = 0
        self._slots = 0  # that the file has
        self._free: list[int] = []  # a slot of each pair
        self._pairs: dict[tuple[bytes, int], _SlotPair] = {}
        self.error = ""

    def begin(self) -> None:
        """Begin an empty file: all that it said is in the checkpoint.

        Raise OSError where the disk is full, read-only or gone.
        """
        with self._lock:
            self._close()
            self._fd = open_private(self._path, os.O_RDWR | os.O_CREAT)
            os.ftruncate(self._fd, 0)
            os.posix_fallocate(self._fd, 0, _RESERVED)
            self._slots, self._free, self._pairs = 0, [], {}
            self.error = ""

    def resume(self) -> None:
        """Go on in the file of the process before: no checkpoint holds what it says yet.

        Raise OSError where the disk has no room for a first file, is read-only or gone.
        """
        with self._lock:
            if self._fd >= 0:
                return
            self._fd = open_private(self._path, os.O_RDWR | os.O_CREAT)
            os.posix_fallocate(self._fd, 0, _RESERVED)
            self._slots = os.fstat(self._fd).st_size // (2 * SLOT_BYTES) * 2
            newest = []  # of each pair: what is older may be of what had it before
            for first in range(0, self._slots, 2):
                slots = os.pread(self._fd, 2 * SLOT_BYTES, first * SLOT_BYTES)
                found = enumerate((_decoded(slots[:SLOT_BYTES]), _decoded(slots[SLOT_BYTES:])))
                records = [(r.turn, first + n, (r.subscription, r.segment)) for n, r in found if r]
                newest += [max(records)] if records else []
            for turn, slot, key in sorted(newest):
                self._turn, self._pairs[key] = turn, _SlotPair(slot ^ 1, turn)
            used = {pair.slot // 2 for pair in self._pairs.values()}
            self._free = [slot for slot in range(0, self._slots, 2) if slot // 2 not in used]

    def write(
        self, subscription: bytes, segment: SegmentState, ledger: Ledger, *, end: int | None = None
    ) -> None:
        """Write where *ledger* is now, and what was read farther; a disk that refuses is noted.

        *end*: of the segment, where it is closed.
        """
        key = (subscription, segment.seq)
        with self._lock:
            if self._fd < 0:
                return
            # Under the lock: a later write is never of an older place.
            place = ledger.place(segment.seq)
            place.near, place.lines = segment.marks[:_MARKS], segment.lines
            ended = end is not None and place.offset >= end
            place_now = place.offset, ended, max((at for at, _ in place.near), default=0)
            pair = self._pair(key)
            if pair.written == place_now:
                return
            self._turn += 1
            record = PositionRecord(self._turn, *key, segment.identity, place, ended)
            try:
                os.pwrite(self._fd, _encoded(record), pair.slot * SLOT_BYTES)
            except OSError as error:
                self.error = str(error.strerror)
                return
            pair.slot, pair.turn, pair.written = pair.slot ^ 1, record.turn, place_now
            self.error = ""

    def _pair(self, key: tuple[bytes, int]) -> _SlotPair:
        if key not in self._pairs:
            if not self._free:
                self._free, self._slots = [self._slots], self._slots + 2
            self._pairs[key] = _SlotPair(self._free.pop())
        return self._pairs[key]

    @property
    def turn(self) -> int:
        """That of the newest record."""
        with self._lock:
            return self._turn

    def stored(self, subscription: bytes, turn: int) -> None:
        """Use slots again whose records are not newer than *turn*: the disk has a checkpoint of it.

        A newer one may say of the same place that more was read behind it, and is on its way.
        """
        with self._lock:
            for key in [k for k in self._pairs if k[0] == subscription]:
                if self._pairs[key].turn <= turn:
                    self._free.append(self._pairs.pop(key).slot)

    def sync(self) -> None:
        """Bring what was written to the disk: for when the checkpoint cannot be.

        Raise OSError where the disk refuses, or has refused a record.
        """
        with self._lock:
            if self._fd < 0 or self.error:
                raise OSError(0, self.error or "not open")
            self._fsync(self._fd)

    def close(self) -> None:
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _encoded(record: PositionRecord) -> bytes:
    data = msgspec.msgpack.encode(record)
    most, rules = SLOT_BYTES - _HEADER.size, Counter(record.place.tally.dropped)
    if len(data) > most:
        record.place.near, record.place.lines = [], b""
        data = msgspec.msgpack.encode(record)
    while len(data) > most and len(rules) > 1:
        # More rules than there is room for: the seldom ones become one.
        seldom = sorted(rules.items(), key=lambda rule: rule[1])[: max(2, len(rules) // 4)]
        for rule, _ in seldom:
            del rules[rule]
        rules[_OTHER_RULES] += sum(count for _, count in seldom)
        record.place.tally.dropped = dict(rules)
        data = msgspec.msgpack.encode(record)
    return _HEADER.pack(zlib.crc32(data), len(data)) + data


def _decoded(slot: bytes) -> PositionRecord | None:
    if len(slot) < _HEADER.size:
        return None
    checksum, length = _HEADER.unpack_from(slot)
    data = slot[_HEADER.size : _HEADER.size + length]
    if not length or len(data) < length or zlib.crc32(data) != checksum:
        return None
    try:
        return msgspec.msgpack.decode(data, type=PositionRecord)
    except msgspec.MsgspecError:
        return None
