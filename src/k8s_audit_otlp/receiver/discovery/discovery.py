"""Finds the segment of every file in a listing: an old one, a copy of one, or a new one.

Names order only what is new in the same listing. A file that is open is known by its inode, any
other by what it begins with; what it is to the segment that begins alike is a question of match.
Only one thread scans: files are read without the lock of the log, which guards fields alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from k8s_audit_otlp.receiver.discovery.continuity import Continuity
from k8s_audit_otlp.receiver.discovery.same_segment import SegmentMatch, match, shared_place
from k8s_audit_otlp.receiver.discovery.unnamed_files import Key
from k8s_audit_otlp.receiver.discovery.unreadable_files import ScanResult, UnreadableFiles
from k8s_audit_otlp.receiver.identity import Identity, read_identity
from k8s_audit_otlp.receiver.inflate import CorruptGzipError
from k8s_audit_otlp.receiver.lines import HOLE, first_time_after
from k8s_audit_otlp.receiver.listing import Entry, open_entry
from k8s_audit_otlp.receiver.log_file import GzipLogFile, LogFile
from k8s_audit_otlp.receiver.marks import Marks, begins
from k8s_audit_otlp.receiver.segment import Segment
from k8s_audit_otlp.receiver.segments import KnownSegments
from k8s_audit_otlp.receiver.troubles import UNPACKED, explain

_OPENED_AHEAD = 32  # descriptors: more new files than that are no race, but a first look


class Discovery:
    """Finds or makes the segments of the files of one log."""

    def __init__(self, known: KnownSegments, is_outdated: Callable[[], bool]) -> None:
        """*is_outdated*: the directory is not as the listing shows it any more."""
        self._known = known
        self._is_outdated = is_outdated
        self._unread = UnreadableFiles(known)
        self.continuity = Continuity(known)  # with the live files without a whole line
        self._copies: dict[tuple[int, int, int, int], int] = {}  # stamps of copies, whose they are
        self._opened: dict[Path, LogFile] = {}  # new files of this listing

    def bind(self, entries: list[Entry], *, final: bool = True, calm: bool = True) -> ScanResult:
        """Find the segment of every entry, oldest first.

        Unless this listing is *final*, nothing is placed behind a file that is not where it says,
        and no gap is told because of what it does not show: another one may be better. Unless the
        directory is *calm*, what may be missing is decided later.
        """
        if not self.open_new(entries) and not final:
            return ScanResult(set(), final=False, outdated=True)
        first_new = self._known.manifest.next_seq
        placed = self._placed(entries)
        bound = {segment.seq for segment in placed.values()}
        found = ScanResult(bound, final=final, calm=calm)
        before = self.continuity.begin(entries, found)
        new = [e for e in entries if e.name.name not in placed and e.stamp not in self._copies]
        if new and not self._any_follows(new, before, found) and not final:
            found.outdated = True
            return found
        if entries:
            self._assign_unlisted({e.key for e in entries}, found)
        self._place_all(entries, placed, first_new, found)
        self.continuity.kinds.end(entries, found)
        self._known.note_newest(first_new, found.bound, empty=found.follows)
        if found.outdated and not final:
            return found
        self._unread.review(entries, found)
        if entries:
            self.continuity.decide_doubts(found)
            self.continuity.unnamed.remember(found.unread)
        self._opened.clear()
        return found

    def _place_all(
        self, entries: list[Entry], placed: Mapping[str, Segment], first_new: int, found: ScanResult
    ) -> None:
        before = self._known.predecessor()
        copies, self._copies = self._copies, {}
        for entry in entries:
            if copies.get(entry.stamp) in found.bound:
                self._copies[entry.stamp] = copies[entry.stamp]
            elif entry.name.name not in placed:
                segment = self._identify(entry, found)
                if segment is not None:
                    self.continuity.kinds.listed(segment, entry.name)
                    found.bound.add(segment.seq)
                    found.follows |= segment is before or segment.seq >= first_new
                if found.outdated and not found.final:
                    self._copies.update(copies)
                    return

    def open_new(self, entries: list[Entry]) -> bool:
        """Open what is not known yet; say whether all of it was still there.

        Where it was not, something was renamed since the listing, and another one is better. The
        newest are opened: those are packed, and so renamed, while this one is read.
        """
        known = {s.key for s in self._known if s.source is not None}
        known |= set(self.continuity.unnamed.open)
        stamps = {s.stamp for s in self._known}
        new = [e for e in entries if e.key not in known and e.stamp not in stamps]
        self._opened = {}
        for entry in new[-min(_OPENED_AHEAD, self._known.limits.max_open) :]:
            try:
                self._opened[entry.path] = open_entry(entry)
            except FileNotFoundError:
                return False
            except OSError:
                continue  # said when it is identified
        return True

    def _placed(self, entries: list[Entry]) -> dict[str, Segment]:
        """Return the segments of the files that are known already, by name.

        An open file is known by its inode, which nobody else can have meanwhile. One that was
        closed is known only as long as nothing about its directory entry has changed.
        """
        by_key = {s.key: s for s in self._known if s.source is not None and not s.state.cut}
        by_stamp = {s.stamp: s for s in self._known if s.stamp}
        placed = {}
        for entry in entries:
            segment = by_key.get(entry.key) or by_stamp.get(entry.stamp)
            if segment is not None:
                placed[entry.name.name] = segment
                self._name(segment, entry)
        return placed

    def _name(self, segment: Segment, entry: Entry) -> None:
        with self._known.lock:
            segment.name, segment.path = entry.name, entry.path
            segment.stamp = None if segment.trouble else entry.stamp
            segment.state.seen_as(entry.name.name)
            segment.look(self._known.clock_ns())  # it may have grown until it was renamed
            self._known.close_if_rotated(segment)

    def _assign_unlisted(self, listed: set[Key], found: ScanResult) -> None:
        """Assign files that had no line when they were last seen, and have no name by now.

        Whoever has one open may write to it yet, and its file system may be away.
        """
        unnamed = self.continuity.unnamed.open
        longest = self._known.limits.max_line_bytes
        for key in [k for k in unnamed if k not in listed]:
            file = unnamed[key]
            try:
                alone = self._is_left_alone(file.source)
                identity = read_identity(file.source, finished=alone, max_line_bytes=longest)
            except OSError:
                continue
            if identity is not None:
                self._assign(None, file.source, identity, replace(found, follows=file.follows))
                found.follows &= not file.source.unlinked
                del unnamed[key]

    def _identify(self, entry: Entry, found: ScanResult) -> Segment | None:
        try:
            segment = self._find(entry, found)
        except FileNotFoundError:
            self.continuity.not_found(found)
            return None
        except OSError as error:
            segment = self._unread.wait_for(entry, explain(error), found)
        if segment is not None:
            self._name(segment, entry)
        return segment

    def _find(self, entry: Entry, found: ScanResult) -> Segment | None:
        unnamed = self.continuity.unnamed.open.get(entry.key)
        source = unnamed.source if unnamed else self._opened.pop(entry.path, None)
        source = source or open_entry(entry)
        longest = self._known.limits.max_line_bytes
        try:
            identity = read_identity(source, finished=not entry.name.live, max_line_bytes=longest)
        except CorruptGzipError:
            return self._not_unpacked(entry, source, found)
        outdated = entry.name.live and self._is_outdated()
        if outdated:  # it may have been cut, and what it held may be in a copy
            if not found.final:
                raise FileNotFoundError(entry.path)
            self.continuity.not_found(found)
        if identity is not None:
            follows = self.continuity.follows(entry, source, identity, found)
            found.follows = follows and not outdated
            return self._assign(entry, source, identity, found)
        if entry.name.live:
            self.continuity.note_unnamed(entry, source, found)
            return None
        self.continuity.note_rotated_empty(entry, source, found)
        if not source.has_end:
            return self._not_unpacked(entry, source, found)
        zeroed = source.read_at(0, len(HOLE)) == HOLE and self._is_left_alone(source)
        return self._unread.give_up(entry, source, "zeroed") if zeroed else None

    def _any_follows(self, new: list[Entry], before: Segment | None, found: ScanResult) -> bool:
        """Say whether *new* files follow what was known: one of them may be what is *before*."""
        if before is not None and not found.follows:
            own = next((entry for entry in new if self._is_file_of(entry, before, found)), None)
            found.follows = own is not None
            self.continuity.succession.newest_name = own.name if own else None
        return found.follows

    def _is_file_of(self, entry: Entry, segment: Segment, found: ScanResult) -> bool:
        try:
            source = self._opened.get(entry.path) or open_entry(entry)
            if not begins(source, segment.state):
                return False
            marks = self._known.marks_of(segment)
            fit = self._compare(segment, source, marks, found, live=entry.name.live)
        except (OSError, CorruptGzipError):
            return False
        return fit in (SegmentMatch.SAME, SegmentMatch.COMPRESSED)

    def _not_unpacked(self, entry: Entry, source: LogFile, found: ScanResult) -> Segment | None:
        """Wait for a compressed file while it may still be written, then give it up."""
        if self._is_left_alone(source):
            return self._unread.give_up(entry, source, "corrupt_gzip")
        return self._unread.wait_for(entry, UNPACKED, found)

    def _is_left_alone(self, source: LogFile) -> bool:
        """Say whether nobody has written to a file for a while: it is no copy under way."""
        age_ns = abs(self._known.clock_ns() - source.stat().st_mtime_ns)  # a clock may be set back
        return age_ns >= self._known.limits.torn_s * 1e9

    def _assign(
        self, entry: Entry | None, source: LogFile, identity: Identity, found: ScanResult
    ) -> Segment | None:
        """Give an identified file to its segment, or make it a new one.

        Without an entry the file has no name any more.
        """
        live = entry is not None and entry.name.live
        begin, after = 0, 0
        for segment in self._with_same_beginning(identity, entry, source):
            marks = self._known.marks_of(segment)
            match self._compare(segment, source, marks, found, live=live):
                case SegmentMatch.SAME:
                    self._take(segment, source)
                    return self.continuity.hold(segment, source, entry, identity)
                case SegmentMatch.COMPRESSED:
                    return segment
                case SegmentMatch.DUPLICATE:
                    if entry is not None:
                        self._copies[entry.stamp] = segment.seq
                    return None
                case SegmentMatch.DIFFERENT:
                    farthest = shared_place(segment, source, marks)
                    if farthest > max(begin, segment.state.begin):
                        begin, after = farthest, segment.seq
        if begin:  # what was not known begins with the first event that is newer
            before = self._known[after]
            when_ns = first_time_after(source.read_at, begin, before.state.last_ns)
            identity = replace(identity, when_ns=when_ns)
            after = 0 if before.source else after  # what is open has the rest of it
        if entry is not None and not identity.is_in(source):
            raise FileNotFoundError(entry.path)  # cut since, and so it seemed to be another one
        segment = self._new(entry, identity, found, begin=begin, after=after)
        return self.continuity.hold(segment, source, entry, identity)

    def _with_same_beginning(
        self, identity: Identity, entry: Entry | None, source: LogFile
    ) -> list[Segment]:
        alike = self._known.manifest.with_identity(identity.name)
        head = identity.head, identity.head_start
        found = [self._known[s.seq] for s in alike if (s.head, s.head_start) == head]
        if entry is not None and identity.head_start and not found:  # behind a hole
            own = (s for s in self._known if s.key == entry.key or s.is_listed_as(entry))
            found = [s for s in own if begins(source, s.state)]
        # its own first: a younger one may be read only behind its end
        return sorted(found, key=lambda segment: entry is None or not segment.is_listed_as(entry))

    def _new(
        self, entry: Entry | None, identity: Identity, found: ScanResult, *, begin: int, after: int
    ) -> Segment:
        """Make a new segment, and tell of what may lie between it and what was known."""
        before = self._known.predecessor()
        name = entry.name.name if entry else before.state.name if before else "?"
        self.continuity.add_gap_before(name, identity, found, entry=entry, cut=begin > 0)
        segment = self._known.add(identity, name, begin=begin, after=after)
        self.continuity.succession.note(segment, entry.name if entry else None)
        return segment

    @staticmethod
    def _take(segment: Segment, source: LogFile) -> None:
        """Note that a packed file may hold what was written after the end of *segment*."""
        state = segment.state
        if isinstance(source, GzipLogFile) and state.complete and not source.promises(state.size):
            length = source.length() or 0
            if length > state.size and not state.cut:
                state.size = length

    def _compare(
        self, segment: Segment, source: LogFile, marks: Marks, found: ScanResult, *, live: bool
    ) -> SegmentMatch:
        own, elsewhere = segment.source, segment.seq in found.bound
        if own is None and elsewhere and (own := segment.file()) is None:
            return SegmentMatch.DIFFERENT
        fit = match(segment, own, source, marks, elsewhere=elsewhere, live=live)
        if own is None or (own.readable and segment.is_still_in(own)):
            return fit
        # Damaged, or cut beside this scan: the other file may be what it was before.
        return match(segment, None, source, marks, elsewhere=False, live=live)
