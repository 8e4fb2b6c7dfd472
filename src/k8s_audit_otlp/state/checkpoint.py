"""The checkpoint: one JSON file, written whole and read back at the start.

    state_dir/checkpoint.json        the newest complete state
    state_dir/checkpoint.prev.json   the newest that is known to have reached the disk

Positions, manifests, tallies and pending notices go out in one write, so that none of them can be
ahead of another. A process may be killed at any moment: a rename is enough against that, and cheap
enough for many times a second. A machine may lose its power: against that every second's state is
synced, which is costly, and disturbs an etcd on the same disk when it is done too often.
"""

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec

from k8s_audit_otlp.state.content_hash import Content
from k8s_audit_otlp.state.files import Fsync, make_private_directory, read_file, replace_file
from k8s_audit_otlp.state.ledger import Place, Tally
from k8s_audit_otlp.state.manifest import Manifest, SegmentState
from k8s_audit_otlp.state.outbox import Chain, Notice
from k8s_audit_otlp.state.positions import PositionRecord, key_of, read_positions

VERSION = 1


class Position(msgspec.Struct, omit_defaults=True):
    """How far one exporter is in one log."""

    settled: dict[int, int] = {}  # segment sequence number -> safe offset
    tallies: dict[int, Tally] = {}  # of the segments above, exactly up to those offsets
    total: Tally = msgspec.field(default_factory=Tally)  # of segments that are forgotten
    notices: list[Notice] = []  # not acknowledged yet
    receipts: int = 0  # number of the last receipt
    receipted: dict[int, int] = {}  # segment -> the size that its receipt speaks of
    marks: dict[int, str] = {}  # of the bytes before the offsets above, where they are known
    chain: Chain = msgspec.field(default_factory=Chain)  # of the receipts and gaps told so far
    contents: dict[int, Content] = {}  # hashes of what was delivered, up to those offsets
    unplaced: dict[str, Place] = {}  # by identity: of segments that no checkpoint names yet

    def places(self) -> dict[int, Place]:
        return {
            seq: Place(
                offset,
                self.marks.get(seq, ""),
                self.tallies.get(seq, Tally()),
                content=self.contents.get(seq, Content()),
            )
            for seq, offset in self.settled.items()
        }

    def tally(self) -> Tally:
        """Return the counts of everything that is settled."""
        tally = self.total.copy()
        for part in self.tallies.values():
            tally.add(part)
        return tally


class Checkpoint(msgspec.Struct, omit_defaults=True):
    """Everything, as of one moment. Keys: a log is a LogKey as text, an exporter its id."""

    version: int = 0  # VERSION once it is written; other defaults are left out of the file
    written: str = ""
    manifests: dict[str, Manifest] = {}
    positions: dict[str, dict[str, Position]] = {}
    config: str = ""  # digest of the configuration that the last agent ran with
    starts: list[str] = []  # digests of the positions at recent starts that did not end cleanly
    boot: str = ""  # the kernel's name for the time since the machine came up

    def note_boot(self, boot: "Boot") -> "Checkpoint":
        """Note which boot this is, and where one ended under an agent that nobody had stopped.

        Then the machine may have lost its power: the last second of this state and the unsynced end
        of the log are gone, and nobody knows what was sent of it.
        """
        if self.boot and boot.name and boot.name != self.boot and self.starts:
            for manifest in self.manifests.values():
                manifest.up_since_ns = boot.began_ns
        self.boot = boot.name or self.boot
        return self


class Boot(NamedTuple):
    """The time since the machine came up. `name` is '' where the kernel does not tell."""

    name: str = ""
    began_ns: int = 0


def this_boot() -> Boot:
    try:
        name = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return Boot()
    return Boot(name, time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME))


class StateError(Exception):
    """The state on disk cannot be used; the message says why and the hint."""


@dataclass(frozen=True, slots=True)
class Restored:
    """`checkpoint` is None on a first start; `warning` says when an older generation was taken."""

    checkpoint: Checkpoint | None
    warning: str = ""


class CheckpointFile:
    """Reads and writes the checkpoint of one state directory."""

    def __init__(self, state_dir: Path, *, fsync: Fsync = os.fsync) -> None:
        self.directory = state_dir
        self._fsync = fsync
        self.path = state_dir / "checkpoint.json"
        self._previous = state_dir / "checkpoint.prev.json"
        self._written = self._synced = b""  # without its time: equal states are not written again

    def prepare(self) -> None:
        """Make the directory. Raise StateError where it cannot be made or is not a directory."""
        try:
            make_private_directory(self.directory)
        except OSError as error:
            raise StateError(
                f"{self.directory}: cannot be used as the state directory: {error.strerror}; "
                "give another with --state-dir or service::state_dir"
            ) from None

    def load(self) -> Restored:
        """Return the newest usable generation.

        Raise StateError where there are generations, but none can be used. Starting over would send
        everything again or skip it, so that is for a person to decide.
        """
        problems = []
        for path in (self.path, self._previous):
            try:
                data = read_file(path)
            except FileNotFoundError:
                continue
            except OSError as error:
                denied = isinstance(error, PermissionError)
                hint = "run as the agent's user" if denied else "move it away"
                why = f"{error.strerror}".removesuffix("; move it away")
                raise StateError(f"{path}: cannot be read: {why}; {hint}") from None
            try:
                checkpoint = self._parse(path, data)
            except msgspec.MsgspecError as error:
                problems.append(f"{path}: damaged ({error})")
                continue
            _apply(checkpoint, read_positions(self.directory))
            if path != self.path:
                problems.append(f"{path.name} is older: an agent sends some records again")
            return Restored(checkpoint, "; ".join(problems))
        if problems:
            raise StateError(
                "; ".join(problems) + f"; no usable state is left: move {self.directory} away to "
                "start from start_at, or restore a copy of checkpoint.json"
            )
        return Restored(None)

    @staticmethod
    def _parse(path: Path, data: bytes) -> Checkpoint:
        version = msgspec.json.decode(data, type=_Versioned).version
        if version > VERSION:
            raise StateError(
                f"{path}: written by a newer version of this program (format {version}, this one "
                f"reads {VERSION}); run that version, or move the state directory away"
            )
        return msgspec.json.decode(data, type=Checkpoint)

    def save(self, checkpoint: Checkpoint, *, durable: bool = True) -> bool:
        """Write *checkpoint* unless it equals what was written last; say whether it was.

        *durable*: sync it to the disk, and keep it as the generation to fall back to.

        Raise OSError where the disk is full, read-only or gone; the old generation is untouched.
        """
        checkpoint.version = VERSION
        bare = msgspec.json.encode(msgspec.structs.replace(checkpoint, written=""))
        known = self._synced if durable else self._written
        if bare == known and self.path.exists():
            return False
        data = msgspec.json.format(msgspec.json.encode(checkpoint), indent=1)
        if durable:
            # A file of its own: damage to one generation must not reach the other.
            replace_file(self._previous, lambda file: file.write(data), fsync=self._fsync)
            self._synced = bare
        replace_file(self.path, lambda file: file.write(data), durable=False)
        self._written = bare
        return True


def _apply(checkpoint: Checkpoint, records: Iterable[PositionRecord]) -> None:
    """Move the positions to where the records say that they were when the process ended."""
    by_key: dict[bytes, list[PositionRecord]] = {}
    for record in records:
        by_key.setdefault(record.subscription, []).append(record)
    for log, exporters in checkpoint.positions.items():
        manifest = checkpoint.manifests.get(log, Manifest())
        known = {segment.seq: segment for segment in manifest.segments}
        new: list[dict[int, PositionRecord]] = []  # of each exporter, by segment
        for exporter, position in exporters.items():
            new.append({})
            for record in by_key.get(key_of(log, exporter), ()):
                segment = known.get(record.segment)
                if segment is not None and segment.identity == record.identity:
                    _move(position, segment, record.place)
                    segment.complete |= record.ended and record.place.offset >= segment.size
                elif record.segment >= manifest.next_seq:
                    position.unplaced[record.identity] = record.place
                    new[-1][record.segment] = record
        last = known.get(manifest.newest, manifest.segments[-1] if manifest.segments else None)
        if last is None or last.complete:
            # What an earlier start found counts on as long as no segment took one of the numbers.
            manifest.following = _following(manifest.next_seq, new) or manifest.following


def _following(seq: int, new: list[dict[int, PositionRecord]]) -> dict[int, str]:
    """Return which segments may be found next with nothing missing in front of them, by number.

    That is the one with the next number, and the one after it where everyone had come to its end.
    """
    following = {}
    while names := [records[seq] for records in new if seq in records]:
        following[seq] = max(names, key=lambda record: record.turn).identity
        if not all(seq in records and records[seq].ended for records in new):
            break
        seq += 1
    return following


def _move(position: Position, segment: SegmentState, place: Place) -> None:
    settled = position.settled.get(segment.seq, -1)
    if place.offset >= settled:
        segment.read(place)
    if place.offset <= settled:
        return
    position.settled[segment.seq] = place.offset
    position.tallies[segment.seq] = place.tally
    position.marks[segment.seq] = place.mark
    position.contents[segment.seq] = place.content


class _Versioned(msgspec.Struct):
    version: int
