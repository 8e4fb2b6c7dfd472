"""Finds the segment of every file in a listing: an old one, a copy of one, or a new one.

Names order only what is new in the same listing. A file that is open is known by its inode, any
other by what it begins with; what it is to the segment that begins alike is a question of match.
Only one thread scans: files are read without the lock of the log, which guards fields alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import assert_never

from k8s_audit_otlp.receiver.identity import Identity, identify, read_identity
from k8s_audit_otlp.receiver.inflate import CorruptGzipError
from k8s_audit_otlp.receiver.listing import Entry
from k8s_audit_otlp.receiver.marks import Marks, verified
from k8s_audit_otlp.receiver.names import GZIP
from k8s_audit_otlp.receiver.same_segment import SegmentMatch, match
from k8s_audit_otlp.receiver.segment import Segment
from k8s_audit_otlp.receiver.segments import KnownSegments
from k8s_audit_otlp.receiver.source import GzipSource, Source, open_source
from k8s_audit_otlp.receiver.unread import Found, UnreadFiles

_FIRST_READ = 64 * 1024
_BEGIN = 256  # bytes by which a file is known that has no whole line yet
_OPENED_AHEAD = 32  # descriptors: more new files than that are no race, but a first look


@dataclass(slots=True)
class _Unnamed:
    """The live file before its first line is whole: nobody can name it yet."""

    source: Source
    follows: bool  # what was known before it was still there when it was first seen
    begin: bytes = b""  # of its first line, as far as it was there then


class Discovery:
    """Finds or makes the segments of the files of one log."""

    def __init__(self, known: KnownSegments, on_new: Callable[[Segment], None]) -> None:
        self._known = known
        self._on_new = on_new
        self._unread = UnreadFiles(known, on_new)
        self._copies: dict[tuple[int, int, int, int], int] = {}  # stamps of copies, whose they are
        self._unnamed: dict[tuple[int, int], _Unnamed] = {}
        self._opened: dict[Path, Source] = {}  # new files of this listing
        self.unnamed_size = -1  # of the live one when it was looked at

    @property
    def unnamed(self) -> set[tuple[int, int]]:
        """Device and inode of live files without a whole line."""
        return set(self._unnamed)

    def open_new(self, entries: list[Entry]) -> bool:
        """Open what is not known yet; say whether all of it was still there.

        Where it was not, something was renamed since the listing, and another one is better.
        """
        known = {s.key for s in self._known if s.source is not None} | self.unnamed
        stamps = {s.stamp for s in self._known}
        new = [e for e in entries if e.key not in known and e.stamp not in stamps]
        self._opened = {}
        for entry in new[: min(_OPENED_AHEAD, self._known.limits.max_open)]:
            try:
                self._opened[entry.path] = open_source(entry.path, compressed=entry.name.compressed)
            except FileNotFoundError:
                return False
            except OSError:
                continue  # said when it is identified
        return True

    def bind(self, entries: list[Entry]) -> Found:
        """Find the segment of every entry, oldest first."""
        before, first_new = self._known.predecessor(), self._known.manifest.next_seq
        placed = self._placed(entries)
        found = Found({segment.seq for segment in placed.values()})
        if before is None:
            found.follows = self._nothing_before(entries)
        else:
            found.follows = before.seq in found.bound or _still_there(before)
        unnamed, self._unnamed = self._unnamed, {}
        if entries:
            self._take_unlisted(unnamed, {e.key for e in entries}, found)
        copies, self._copies = self._copies, {}
        for entry in entries:
            if copies.get(entry.stamp) in found.bound:
                self._copies[entry.stamp] = copies[entry.stamp]
            elif entry.name.name not in placed:
                segment = self._identify(entry, unnamed.pop(entry.key, None), found)
                if segment is not None:
                    found.bound.add(segment.seq)
                    found.follows |= segment is before or segment.seq >= first_new
        self._unnamed.update(unnamed)
        self._known.manifest.unnamed = list(self._unnamed)
        self._known.note_newest(first_new)
        self._unread.tell_lost(entries)
        self._opened.clear()
        return found

    def _nothing_before(self, entries: list[Entry]) -> bool:
        """Say whether the first segment of all is the first file that there was.

        What the very first listing shows is where the log begins for us, and one that is not
        there yet has no past. Later the oldest must be the live file: a backup may have had others
        before it. A live file that was empty when it was last seen must still be the oldest, and
        live too unless it is open: a free inode is soon used again.
        """
        empty = self._known.manifest.unnamed
        if not entries or not self._known.manifest.started:
            return not empty
        oldest = entries[0]
        if empty:
            return oldest.key in self._unnamed or (oldest.name.live and oldest.key in empty)
        return oldest.name.live

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

    def _take_unlisted(
        self, unnamed: dict[tuple[int, int], _Unnamed], listed: set[tuple[int, int]], found: Found
    ) -> None:
        """Take up what was empty when it was last seen and is written and deleted by now."""
        for key in [k for k in unnamed if k not in listed]:
            file = unnamed.pop(key)
            try:
                identity = self._identity_of(file.source, finished=True)
            except OSError:
                identity = None
            if identity is not None:
                now, found.follows = found.follows, file.follows
                self._adopt(None, file.source, identity, found)
                found.follows = now and not file.source.unlinked

    def _identify(self, entry: Entry, unnamed: _Unnamed | None, found: Found) -> Segment | None:
        try:
            segment = self._find(entry, unnamed, found)
        except FileNotFoundError:
            return None  # renamed since the listing; the next one shows it
        except OSError as error:
            segment = self._unread.wait_for(entry, error, found)
        if segment is not None:
            self._name(segment, entry)
        return segment

    def _find(self, entry: Entry, unnamed: _Unnamed | None, found: Found) -> Segment | None:
        source = unnamed.source if unnamed else self._opened.pop(entry.path, None)
        source = source or open_source(entry.path, compressed=entry.name.compressed)
        try:
            identity = self._identity_of(source, finished=not entry.name.live)
        except CorruptGzipError:
            return self._unread.damaged(entry, source) if self._torn(source) else None
        if identity is not None:
            if unnamed is not None:
                same = source.read_at(0, len(unnamed.begin)) == unnamed.begin
                found.follows = same and (found.follows or unnamed.follows)
            return self._adopt(entry, source, identity, found)
        if entry.name.live:
            unnamed = unnamed or _Unnamed(source, found.follows)
            unnamed.begin = unnamed.begin or source.read_at(0, _BEGIN)
            self._unnamed[entry.key] = unnamed
            self.unnamed_size = source.stat().st_size
        elif isinstance(source, GzipSource) and source.end is None and self._torn(source):
            return self._unread.damaged(entry, source)
        return None

    def _identity_of(self, source: Source, *, finished: bool) -> Identity | None:
        longest = self._known.limits.max_line_bytes
        identity = read_identity(source, finished=False, max_line_bytes=longest)
        written_out = not isinstance(source, GzipSource) or source.end is not None
        if identity is None and finished and written_out:
            identity = read_identity(source, finished=True, max_line_bytes=longest)
        return identity

    def _torn(self, source: Source) -> bool:
        """Say whether a file without an end has not changed for long enough to be given up."""
        unchanged_ns = self._known.clock_ns() - source.stat().st_mtime_ns
        return unchanged_ns >= self._known.limits.torn_s * 1e9

    def _adopt(
        self, entry: Entry | None, source: Source, identity: Identity, found: Found
    ) -> Segment | None:
        """Give an identified file to its segment, or make it a new one.

        Without an entry the file has no name any more.
        """
        live = entry is not None and entry.name.live
        begin, after = 0, 0
        for state in self._known.manifest.with_identity(identity.name):
            segment = self._known[state.seq]
            if (state.head, state.head_start) != (identity.head, identity.head_start):
                continue
            marks = self._known.marks_of(segment)
            match self._compare(segment, source, marks, found, live=live):
                case SegmentMatch.SAME:
                    self._take(segment, source, live=live)
                    return segment
                case SegmentMatch.COMPRESSED:
                    return segment
                case SegmentMatch.DUPLICATE:
                    if entry is not None:
                        self._copies[entry.stamp] = state.seq
                    return None
                case SegmentMatch.DIFFERENT:
                    farthest, _ = verified(source, marks)
                    if farthest > max(begin, state.begin):
                        begin, after = farthest, state.seq
                case never:
                    assert_never(never)
        if begin:  # its first event is the one that was written there
            first = identify(source.read_at(begin, _FIRST_READ), finished=False)
            identity = replace(identity, when_ns=first.when_ns if first else 0)
        segment = self._new(entry, identity, found, begin=begin, after=after)
        self._known.hold(segment, source, live=live)
        self._on_new(segment)
        return segment

    def _new(
        self, entry: Entry | None, identity: Identity, found: Found, *, begin: int, after: int
    ) -> Segment:
        """Make a new segment, and tell of what may lie between it and what was known."""
        before = self._known.predecessor()
        name = entry.name.name if entry else before.state.name if before else "?"
        if not found.follows:
            key = f"{before.state.identity if before else ''} {identity.name}".encode()
            self._on_new(self._known.add_lost("unseen", name, key, until_ns=identity.when_ns))
        segment = self._known.add(identity, begin=begin, after=after)
        segment.name = entry.name if entry else None
        segment.state.seen_as(name)
        return segment

    def _take(self, segment: Segment, source: Source, *, live: bool) -> None:
        """Read *segment* from *source*; a packed file may hold what was written after its end."""
        state = segment.state
        if isinstance(source, GzipSource) and state.complete and not source.promises(state.size):
            length = source.length() or 0
            if length > state.size and not state.cut:
                state.size = length
        self._known.hold(segment, source, live=live)

    @staticmethod
    def _compare(
        segment: Segment, source: Source, marks: Marks, found: Found, *, live: bool
    ) -> SegmentMatch:
        own, elsewhere = segment.source, segment.seq in found.bound
        if own is None and elsewhere and segment.path is not None:
            try:
                own = open_source(segment.path, compressed=segment.path.suffix == GZIP)
            except OSError:
                return SegmentMatch.DIFFERENT
        return match(segment, own, source, marks, elsewhere=elsewhere, live=live)

    def close(self) -> None:
        self._unnamed.clear()


def _still_there(segment: Segment) -> bool:
    """Say whether a segment that no listing shows is on disk all the same.

    Then nothing after it is gone: the oldest goes first. A name with a date is nobody else's.
    """
    if segment.source is not None and not segment.source.unlinked:
        return True
    if segment.path is None or segment.name is None or segment.name.age[0] != 0:
        return False
    packed = segment.path.with_name(segment.name.base + GZIP)
    return segment.path.exists() or packed.exists()
