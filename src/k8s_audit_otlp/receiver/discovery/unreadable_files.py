"""Files of a log that cannot be read: each is remembered until it can be, or is gone.

A file that may not be opened or whose disk gives errors is not gone. It keeps its segment, if that
is certain from its date, or from its inode and last change; what was written after it is not held
up. A compressed file without one readable line, or a file of NULs alone, whose data a power cut
took, is given up when it does not change any more.
"""

from dataclasses import dataclass, field

from k8s_audit_otlp.receiver.identity import fingerprint
from k8s_audit_otlp.receiver.listing import Entry
from k8s_audit_otlp.receiver.log_file import LogFile
from k8s_audit_otlp.receiver.names import DATED, may_become
from k8s_audit_otlp.receiver.segment import Segment
from k8s_audit_otlp.receiver.segments import KnownSegments
from k8s_audit_otlp.state.manifest import UnreadableFile


@dataclass(slots=True)
class ScanResult:
    """What one listing showed: the segments with a file in it, and what could not be read."""

    bound: set[int]
    follows: bool = True  # nothing that is gone lies between what was known and what comes next
    final: bool = True  # there will be no other listing
    calm: bool = True  # nobody renames files just now: what a listing does not show is not there
    outdated: bool = False  # another listing is better: a file was gone from where this one says
    troubles: dict[str, str] = field(default_factory=dict)  # by file name
    unread: set[tuple[int, int]] = field(default_factory=set)  # device and inode
    candidates: set[int] = field(default_factory=set)  # segments that an unread file may hold


class UnreadableFiles:
    """Remembers, in the manifest, which files could not be read yet."""

    def __init__(self, known: KnownSegments) -> None:
        self._known = known

    def wait_for(self, entry: Entry, why: str, found: ScanResult) -> Segment | None:
        """Keep the segment of a file that cannot be read; return it where it is known.

        Where it is not, the file may be of any segment that had no other when it was first seen.
        """
        why = f"{entry.path}: {why}"
        found.troubles[entry.name.name] = why
        found.unread.add(entry.key)
        unread = self._known.manifest.unread
        file = next((f for f in unread if is_of(f, entry)), None)
        if file is None and (segment := self._of(entry)) is not None:
            with self._known.lock:
                segment.trouble, segment.state.gone = why, False
            return segment
        if file is None:
            without = [s for s in self._known if s.source is None and not s.state.gone]
            candidates = [s.seq for s in without if s.seq not in found.bound]
            after = self._listed_before(entry, found)
            file = UnreadableFile(entry.name.name, *entry.key, candidates, after)
            unread.append(file)
        if entry.size < file.size:
            self._tell_lost(file, "replaced or cut")
            file.written_ns = 0
        file.name, file.device, file.inode = entry.name.name, *entry.key
        file.size = entry.size
        file.written_ns = file.written_ns or (self._known.clock_ns() if entry.size else 0)
        found.candidates.update(file.candidates)
        return None

    def _of(self, entry: Entry) -> Segment | None:
        """Return the segment of a file that cannot be looked into, where that is certain."""
        without = [s for s in self._known if s.source is None and not s.state.lost]
        return next((s for s in without if s.is_listed_as(entry)), None)

    def _listed_before(self, entry: Entry, found: ScanResult) -> int:
        """Return what the next new segment has to follow, if the same listing shows it before."""
        last = self._known.predecessor()
        if last is None or last.seq not in found.bound or last.name is None:
            return 0
        return last.seq if last.name.age < entry.name.age else 0

    def review(self, entries: list[Entry], found: ScanResult) -> None:
        """Tell of files that are gone and never could be read."""
        if not entries:
            return
        unread = [entry for entry in entries if entry.name.name in found.troubles]
        waiting = []
        for file in self._known.manifest.unread:
            if any(is_of(file, entry) for entry in unread):
                # What has a file of its own is in no other.
                file.candidates = [seq for seq in file.candidates if seq not in found.bound]
                waiting.append(file)
                continue
            here = [entry for entry in entries if is_of(file, entry)]
            if not here:
                self._tell_lost(file, "deleted")
            elif file.written_ns and not any(entry.size for entry in here):
                self._tell_lost(file, "replaced or cut")
            # Else it could be read by now: a first event newer than it shows another one.
        self._known.manifest.unread = waiting
        found.candidates = {seq for file in waiting for seq in file.candidates}

    def _tell_lost(self, file: UnreadableFile, what: str) -> None:
        key = f"{file.name} {file.device} {file.inode}".encode()
        why = f"{file.name} was {what} before it could be read"
        self._known.add_lost("unseen", file.name, key, detail=why)

    def give_up(self, entry: Entry, source: LogFile, reason: str) -> Segment:
        """Give up a file of which not one line can be read, for the *reason* that a gap has.

        Where its name says which segment it held, the rest of that one is lost, if there is any.
        """
        unread = self._known.manifest.unread
        self._known.manifest.unread = [f for f in unread if not is_of(f, entry)]
        if (segment := self._of(entry)) is not None:
            self._known.hold(segment, source, live=False)
            return segment
        # Known again by what a rotation leaves as it is.
        dated = entry.name.age[0] == DATED
        what = f"{entry.name.base if dated else entry.mtime_ns} {reason}".encode()
        known = self._known.manifest.with_identity(fingerprint(what))
        if known:
            return self._known[known[0].seq]
        return self._known.add_lost(reason, entry.name.name, what)


def is_of(file: UnreadableFile, entry: Entry) -> bool:
    """Say whether a file that could not be read is the listed one, or one with its inode number."""
    same_inode = (file.device, file.inode) == entry.key
    return entry.is_dated_as(file.name) or (same_inode and may_become(file.name, entry.name))
