"""A listing of the directory in, the segment of every file out: an old one, a copy, or a new one.

Names order only what is new in the same listing. A file that is open is known by its inode, any
other by what it begins with; what it is to the segment that begins alike is a question of match.
Whoever uses it holds the lock of the AuditLog.
"""

from collections.abc import Callable
from pathlib import Path
from typing import assert_never

from k8s_audit_otlp.receiver.identity import Identity, identify
from k8s_audit_otlp.receiver.inflate import CorruptGzipError
from k8s_audit_otlp.receiver.listing import Entry
from k8s_audit_otlp.receiver.same_segment import SegmentMatch, match
from k8s_audit_otlp.receiver.segment import Segment, open_source
from k8s_audit_otlp.receiver.segments import KnownSegments
from k8s_audit_otlp.receiver.source import GzipSource, PlainSource

_FIRST_READ = 64 * 1024  # enough for most first lines


class Discovery:
    """Finds or makes the segments of the files of one log."""

    def __init__(
        self,
        path: Path,
        known: KnownSegments,
        *,
        on_new: Callable[[Segment], None],
        on_trouble: Callable[[str], None],
    ) -> None:
        self._path = path
        self._known = known
        self._on_new = on_new
        self._on_trouble = on_trouble
        self._copies: dict[tuple[int, int, int, int], int] = {}  # stamps of copies, whose they are
        # Files without a complete first line: the live one, and its size when it was looked at.
        self.anonymous: dict[tuple[int, int], PlainSource | GzipSource] = {}
        self.anonymous_size = -1

    def bind(self, entries: list[Entry]) -> set[int]:
        """Find the segment of every entry, oldest first; return the sequence numbers found."""
        placed = self._placed(entries)
        bound = {segment.seq for segment in placed.values()}
        anonymous, self.anonymous = self.anonymous, {}
        if entries:
            self._keep_unlisted(anonymous, {entry.key for entry in entries}, bound)
        copies, self._copies = self._copies, {}
        for entry in entries:
            if copies.get(entry.stamp) in bound:
                self._copies[entry.stamp] = copies[entry.stamp]
                continue
            if entry.name.name in placed:
                continue
            segment = self._identify(entry, anonymous.pop(entry.key, None), bound)
            if segment is not None:
                self._name(segment, entry)
                bound.add(segment.seq)
        self.anonymous.update(anonymous)
        return bound

    def _placed(self, entries: list[Entry]) -> dict[str, Segment]:
        """Return the segments of the files that are known already, by name.

        An open file is known by its inode, which nobody else can have meanwhile. One that was
        closed is known only as long as nothing about its directory entry has changed.
        """
        by_key = {s.key: s for s in self._known if s.source is not None}
        by_stamp = {s.stamp: s for s in self._known if s.stamp}
        placed = {}
        for entry in entries:
            segment = by_key.get(entry.key) or by_stamp.get(entry.stamp)
            if segment is not None:
                placed[entry.name.name] = segment
                self._name(segment, entry)
        return placed

    def _name(self, segment: Segment, entry: Entry) -> None:
        segment.name, segment.stamp = entry.name, entry.stamp
        segment.state.seen_as(entry.name.name)
        segment.look(self._known.clock_ns())  # what is open may have grown until it was renamed
        self._known.close_if_rotated(segment)

    def _keep_unlisted(
        self,
        anonymous: dict[tuple[int, int], PlainSource | GzipSource],
        listed: set[tuple[int, int]],
        bound: set[int],
    ) -> None:
        """Take up what was empty when it was last seen and is written and deleted by now."""
        for key in [k for k in anonymous if k not in listed]:
            source = anonymous.pop(key)
            identity = self.identity_of(source, finished=True)
            if identity is None:
                source.close()
            else:
                self._adopt(None, source, identity, bound)

    def _identify(
        self, entry: Entry, source: PlainSource | GzipSource | None, bound: set[int]
    ) -> Segment | None:
        try:
            source = source or open_source(
                self._path.with_name(entry.name.name), compressed=entry.name.compressed
            )
        except FileNotFoundError:
            return None  # renamed since the listing; the next one shows it
        except OSError as error:
            path = self._path.with_name(entry.name.name)
            hint = "run as the log's owner or let the agent's user read it"
            self._on_trouble(f"{path}: {error.strerror}; {hint}")
            return None
        identity = self.identity_of(source, finished=not entry.name.live)
        if identity is None:
            if entry.name.live:
                self.anonymous[source.device, source.inode] = source
                self.anonymous_size = source.stat().st_size
            else:
                source.close()
            return None
        return self._adopt(entry, source, identity, bound)

    def identity_of(self, source: PlainSource | GzipSource, *, finished: bool) -> Identity | None:
        hole = source.next_data(0) if isinstance(source, PlainSource) else 0
        identity, length = None, _FIRST_READ
        while identity is None:
            try:
                read = source.read_at(hole, length)
            except (OSError, CorruptGzipError):
                return None
            identity = identify(read, finished=False)
            if identity is None and len(read) < length:
                identity = identify(read, finished=finished and self._written_out(source))
                break
            if identity is None and length > self._known.limits.max_line_bytes:
                identity = identify(read[:_FIRST_READ], finished=True)
                break
            length *= 4
        return identity and identity.after(hole)

    def _written_out(self, source: PlainSource | GzipSource) -> bool:
        """Say whether what is there of a backup's first line is all that there will be."""
        if isinstance(source, PlainSource) or source.end is not None:
            return True
        return self._known.clock_ns() - source.stat().st_mtime_ns >= self._known.limits.torn_s * 1e9

    def _adopt(
        self,
        entry: Entry | None,
        source: PlainSource | GzipSource,
        identity: Identity,
        bound: set[int],
    ) -> Segment | None:
        """Give an identified file to its segment, or make it a new one.

        Without an entry the file has no name any more. *bound* are the segments that have a file
        in this listing.
        """
        live = entry is not None and entry.name.live
        for state in self._known.manifest.with_identity(identity.name):
            segment = self._known[state.seq]
            if (state.head, state.head_start) != (identity.head, identity.head_start):
                continue
            match self._kinship(segment, source, elsewhere=state.seq in bound, live=live):
                case SegmentMatch.SAME:
                    self._known.hold(segment, source, live=live)
                    return segment
                case SegmentMatch.COMPRESSED:
                    source.close()
                    return segment
                case SegmentMatch.COPY:
                    source.close()
                    if entry is not None:
                        self._copies[entry.stamp] = state.seq
                    return None
                case SegmentMatch.DIFFERENT:
                    continue
                case never:
                    assert_never(never)
        segment = self._known.add(identity)
        if entry is not None:
            segment.name = entry.name
        segment.state.seen_as(entry.name.name if entry is not None else self._path.name)
        self._known.hold(segment, source, live=live)
        self._on_new(segment)
        return segment

    def _kinship(
        self, segment: Segment, source: PlainSource | GzipSource, *, elsewhere: bool, live: bool
    ) -> SegmentMatch:
        own = segment.source
        if own is not None or not elsewhere or segment.name is None:
            with segment.lock:
                return match(segment, own, source, elsewhere=elsewhere, live=live)
        try:
            own = open_source(
                self._path.with_name(segment.name.name), compressed=segment.name.compressed
            )
        except OSError:
            return SegmentMatch.DIFFERENT
        try:
            return match(segment, own, source, elsewhere=elsewhere, live=live)
        finally:
            own.close()

    def close(self) -> None:
        for source in self.anonymous.values():
            source.close()
        self.anonymous.clear()
