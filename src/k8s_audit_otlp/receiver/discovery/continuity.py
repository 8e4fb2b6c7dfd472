"""Decides whether new files follow the known segments directly, or files may be missing between.

Retention deletes the oldest first. So the last file that was known, still there when its successor
is first seen, proves that nothing between them is gone. So does a live file that was seen while it
was empty, and a position that a killed process wrote in a segment that no checkpoint names. Where
there is no proof, a gap takes the place of what may be missing.
"""

import os
from contextlib import suppress
from dataclasses import replace

from k8s_audit_otlp.receiver.discovery.kinds_of_names import KindsOfNames
from k8s_audit_otlp.receiver.discovery.succession import Missing, Succession, missing_proof
from k8s_audit_otlp.receiver.discovery.unnamed_files import Key, UnnamedFiles
from k8s_audit_otlp.receiver.discovery.unreadable_files import ScanResult, is_of
from k8s_audit_otlp.receiver.identity import Identity
from k8s_audit_otlp.receiver.lines import first_line_since, first_time_after
from k8s_audit_otlp.receiver.listing import MOST_DOUBT_NS, Entry, open_entry
from k8s_audit_otlp.receiver.log_file import LogFile
from k8s_audit_otlp.receiver.marks import begins_with
from k8s_audit_otlp.receiver.names import DATED, GZIP, is_lumberjacks
from k8s_audit_otlp.receiver.segment import Segment
from k8s_audit_otlp.receiver.segments import KnownSegments


class Continuity:
    """Judges one listing of a log at a time. Used by the thread that scans."""

    def __init__(self, known: KnownSegments) -> None:
        self._known = known
        self.succession = Succession()
        self.kinds = KindsOfNames(known)
        self.unnamed = UnnamedFiles(known.manifest)
        self._cut: set[Key] = set()  # files that held another segment: they may be cut again

    def begin(self, entries: list[Entry], found: ScanResult) -> Segment | None:
        """Say in *found* whether what is new in *entries* follows; return what it has to follow."""
        before = self._known.predecessor()
        self._cut = {s.key for s in self._known if s is before or s.state.truncated}
        if before is not None:
            self.kinds.begin(entries, before, found.bound)
        self.succession = Succession(
            entries,
            before,
            before.name if before else None,
            mixed=self.kinds.mixed,
        )
        if before is None:
            found.follows = self._nothing_before(entries)
        else:
            behind = [f for f in self._known.manifest.unread if f.after == before.seq]
            found.follows = (
                before.seq in found.bound
                or _still_there(before)
                or any(entry.is_dated_as(file.name) for file in behind for entry in entries)
            )
        return before

    def _nothing_before(self, entries: list[Entry]) -> bool:
        """Say whether the first segment of all is the first file that there was.

        What the very first listing shows is where the log begins for us, and one that is not
        there yet has no past. Later the oldest must be the live file: a backup may have had others
        before it. A live file that was empty when it was last seen must still be there, and where
        it is not open be the oldest. Its generation is asked for later then, if the file system has
        such numbers: a free inode is soon used again.
        """
        empty = {(f.device, f.inode): f.generation for f in self._known.manifest.unnamed}
        if not entries or not self._known.manifest.started:
            return not empty
        for entry in entries:
            if entry.key in self.unnamed.open:  # as it was judged when it was first seen
                return self.unnamed.open[entry.key].follows
            with suppress(OSError):
                if entry.key in empty and self.unnamed.is_remembered(open_entry(entry)):
                    return True
        oldest = entries[0]
        return oldest.name.live and (not empty or empty.get(oldest.key) == 0)

    def not_found(self, found: ScanResult) -> None:
        """Note that a file is not what the listing shows: it was renamed, deleted or cut since."""
        found.outdated, found.follows, found.calm = True, False, False
        self.kinds.not_found()

    # -- live files without a whole line -------------------------------------------------------

    def follows(self, entry: Entry, source: LogFile, identity: Identity, found: ScanResult) -> bool:
        """Say whether *source* follows what was known, now that its first line can be read."""
        self.succession.seen_empty = False
        if self._unread_before(entry, identity):
            return False
        unnamed, seen = self.unnamed.open.pop(entry.key, None), self.unnamed.is_remembered(source)
        if unnamed is not None:
            same = source.read_at(0, len(unnamed.begin)) == unnamed.begin
            found.follows &= same or self._is_listed(unnamed.begin, found)
            seen = unnamed.follows and same
        seen = seen and self._is_first_behind(entry, found)
        self.succession.seen_empty = seen
        listed = unnamed is None and self._was_listed_unread(entry, identity)
        return found.follows or seen or listed

    def _is_listed(self, begin: bytes, found: ScanResult) -> bool:
        """Say whether a file is listed that begins so: what was cut was copied to it."""
        listed = (s.file() for s in reversed(self._known) if s.seq in found.bound)
        return any(source is not None and begins_with(source, begin) for source in listed)

    def _is_first_behind(self, entry: Entry, found: ScanResult) -> bool:
        """Say whether a file that was empty holds what comes right behind what was known.

        The live one does not where a backup is new: that may be a copy of what was cut in it. And
        whoever wrote to the file before may have gone on for a while, unless that is seen or it is
        lumberjack, which closes it first.
        """
        known = {s.name for s in self._known if s.seq in found.bound}
        if entry.name.live and any(e.name not in known for e in self.succession.entries[:-1]):
            return False
        before = self._known.predecessor()
        return before is None or before.source is not None or is_lumberjacks(before.state.name)

    def _was_listed_unread(self, entry: Entry, identity: Identity) -> bool:
        """Say whether this very file was listed behind what it follows, and could not be read.

        Its first event is older than that listing: it is no later file with its inode number.
        """
        before = self._known.predecessor()
        return before is not None and any(
            file.after == before.seq
            and is_of(file, entry)
            and 0 < identity.when_ns <= file.written_ns
            for file in self._known.manifest.unread
        )

    def _unread_before(self, entry: Entry, identity: Identity) -> str:
        """Name the file that could not be read and whose place or inode number this one has.

        It is no such file where it was written to before the first event of this one.
        """
        unread = self._known.manifest.unread
        of = (f for f in unread if is_of(f, entry) and 0 < f.written_ns < identity.when_ns)
        return next((file.name for file in of), "")

    def note_unnamed(self, entry: Entry, source: LogFile, found: ScanResult) -> None:
        """Keep a live file open until it has a whole line."""
        follows = found.follows or self.unnamed.is_remembered(source)
        self.unnamed.keep(entry, source, follows=follows and entry.key not in self._cut)

    def note_rotated_empty(self, entry: Entry, source: LogFile, found: ScanResult) -> None:
        """Note that a file got a backup's name before it had a line: what comes next follows it."""
        manifest, unnamed = self._known.manifest, self.unnamed.open.pop(entry.key, None)
        found.follows |= unnamed.follows if unnamed else self.unnamed.is_remembered(source)
        if source.compressed and source.has_end and not manifest.segments:
            # Nobody wrote to it since the log was empty at the last look: it is that file.
            found.follows |= bool(manifest.unnamed) and entry.mtime_ns <= manifest.empty_ns

    # -- a machine that came up again ----------------------------------------------------------

    def hold(
        self, segment: Segment, source: LogFile, entry: Entry | None, identity: Identity
    ) -> Segment:
        """Read *segment* from *source*; return it, or the one that it is followed by in there."""
        live = entry is not None and entry.name.live
        known, begin = segment.state.size, self._up_at(segment, source, live=live)
        self._known.hold(segment, source, live=live)
        if not begin:
            return segment
        segment.state.size = max(known, begin)
        name, when_ns = segment.state.name, first_time_after(source.read_at, begin, 0)
        again = "the machine came up again and nobody had stopped the agent before"
        why = f"{again}: the end of {name} that had not reached the disk may be gone"
        self._add_gap(name, segment, identity.name, when_ns, Missing(why))
        identity = replace(identity, when_ns=when_ns)
        later = self._known.add(identity, name, begin=begin, after=segment.seq)
        self._known.hold(later, source, live=live)
        return later

    def _up_at(self, segment: Segment, source: LogFile, *, live: bool) -> int:
        """Return where in a file begins what was written since the machine came up, 0 for nowhere.

        What was sent of the end that the log lost then has the uids of what stands there now, and
        this state need not know of it. Where nothing was written yet, it begins at the end.
        """
        state, since_ns = segment.state, self._known.manifest.up_since_ns
        grown = live or source.stat().st_mtime_ns >= since_ns
        if not since_ns or state.complete or not grown:
            return 0
        first_ns = state.first_ns or first_time_after(source.read_at, state.begin, 0)
        if not 0 < first_ns < since_ns:
            return 0
        read = max((at for at, _ in self._known.marks_of(segment)), default=0)
        begin, found = first_line_since(source, max(read, state.begin), since_ns)
        return begin if found or live else 0

    # -- gaps ----------------------------------------------------------------------------------

    def add_gap_before(
        self, name: str, identity: Identity, found: ScanResult, *, entry: Entry | None, cut: bool
    ) -> None:
        """Add a gap before a new segment where nothing proves that it follows.

        *entry*: of its file, if that has a name. *cut*: it begins in the midst of a file that held
        another one.
        """
        missing = None
        if entry is not None and not self._known.limits.collected:
            missing = self.kinds.missing_before(entry, identity)
        if self._known.manifest.in_positions(identity.name) or self._is_older(identity):
            return
        if missing is None and entry is not None and not cut:
            missing = self._missing_before(entry, identity)
        before = self._known.predecessor() if missing is None else self.succession.newest
        if missing is None and not found.follows:
            unread = self._unread_before(entry, identity) if entry else ""
            why = f"{unread} was replaced or cut before it could be read" if unread else ""
            was_empty = bool(self._known.manifest.unnamed)
            why = why or missing_proof(name, before, was_empty=was_empty, cut=cut)
            missing = Missing(why, passing=True)
        if before is not None and missing and missing.passing and _may_be_there(before, found):
            self._known.manifest.leave_place(before.seq)
        elif missing is not None:
            self._add_gap(name, before, identity.name, identity.when_ns, missing)

    def _missing_before(self, entry: Entry, identity: Identity) -> Missing | None:
        """Return what is missing before a new file by the names, unless that is told already."""
        newest = self.succession.newest
        told = newest and any(s.seq > newest.seq and s.is_gap_behind(newest) for s in self._known)
        skip = told or self._known.limits.collected
        return None if skip else self.succession.missing_before(entry, identity)

    def _is_older(self, identity: Identity) -> bool:
        """Say whether the log was there before our first look at it, which showed another place.

        As where its file system was not mounted yet: what lies before it was never ours.
        """
        manifest = self._known.manifest
        return (
            not manifest.segments
            and not manifest.unnamed
            and (0 < identity.when_ns < manifest.empty_ns)
        )

    def decide_doubts(self, found: ScanResult) -> None:
        """Add the gaps that were left undecided, once nothing can fill them any more."""
        manifest = self._known.manifest
        doubts, manifest.doubts = manifest.doubts, []
        for pair in doubts:
            before, after = map(self._known.get, pair)
            if before is None or after is None:
                continue
            state, missing = after.state, self.succession.missing_number(before.name, after.name)
            if before.seq not in found.bound:
                missing = Missing(missing_proof(state.name, before))
            late = self._known.clock_ns() - state.seen_ns >= MOST_DOUBT_NS
            # Of a listing that is not true any more what was not opened may be it.
            if found.outdated if missing is None else _may_be_there(before, found, late=late):
                manifest.doubts.append(pair)
            elif missing is not None:
                self._add_gap(state.name, before, state.identity, state.first_ns, missing)

    def _add_gap(
        self, name: str, before: Segment | None, after: str, until_ns: int, missing: Missing
    ) -> None:
        key = f"{before.state.identity if before else ''} {after}".encode()
        since_ns = missing.since_ns
        if since_ns is None:
            since_ns = before.state.since_ns if before else self._known.manifest.empty_ns
        if until_ns <= since_ns:  # a log that was cut begins with what was read of it
            until_ns = 0
        between_ns = since_ns, until_ns
        self._known.add_lost("unseen", name, key, between_ns, detail=missing.why)


def _still_there(segment: Segment) -> bool:
    """Say whether a segment that no listing shows is on disk all the same.

    Then nothing after it is gone: the oldest goes first. A name with a date is nobody else's.
    """
    if segment.source is not None and not segment.source.unlinked:
        return True
    if segment.path is None or segment.name is None or segment.name.age[0] != DATED:
        return False
    packed = segment.path.with_name(segment.name.base + GZIP)
    return os.access(segment.path, os.F_OK) or os.access(packed, os.F_OK)


def _may_be_there(segment: Segment, found: ScanResult, *, late: bool = False) -> bool:
    """Say whether what no listing shows behind *segment* may be there all the same.

    A file that cannot be read may be it, or one that is renamed just now.
    """
    return segment.seq in found.candidates or not (found.calm or late)
