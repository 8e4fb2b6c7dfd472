"""One audit log: its live file and backups on disk in, an ordered list of segments out.

`scan` looks at the directory, `poll` only at the live file. Consumers ask for the next segment
that has something for them. Segments are opened when they are discovered, not when they are
reached, so rotation, compression and deletion in between lose nothing.
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Protocol, assert_never

from k8s_audit_otlp.receiver.holding import Holding, HoldLimits
from k8s_audit_otlp.receiver.identity import Identity, identify
from k8s_audit_otlp.receiver.inflate import CorruptGzipError
from k8s_audit_otlp.receiver.kinship import Kinship, kinship
from k8s_audit_otlp.receiver.listing import Entry, list_log, without_packed_twins
from k8s_audit_otlp.receiver.segment import Segment, open_source
from k8s_audit_otlp.receiver.source import GzipSource, PlainSource
from k8s_audit_otlp.state.ledger import Ledger
from k8s_audit_otlp.state.manifest import Manifest, ManifestState, SegmentState

logger = logging.getLogger(__name__)

_FIRST_READ = 64 * 1024  # enough for most first lines


class LogEvents(Protocol):
    """What the log tells whoever listens; the core only says what happened."""

    def discovered(self, log: str, segment: SegmentState) -> None: ...
    def trouble(self, log: str, message: str) -> None:
        """Something that may pass stands in the way; '' when it has passed."""


@dataclass(frozen=True, slots=True)
class LogLimits:
    """Bounds of one log, each with its unit."""

    max_line_bytes: int = 64 * 1024 * 1024
    max_open: int = 256  # descriptors kept for segments that somebody still needs
    settle_s: float = 5.0  # an unterminated last line of a closed file is a line after so long
    torn_s: float = 60.0  # a .gz without an end that does not change any more is torn


class AuditLog:
    """The segments of one log. One watcher thread scans; any number of consumers read.

    Guarded by `_lock`: the manifest, the segments and their names. `version` rises when segments
    come, go, end or are renamed; listeners are also called when the live file grows.
    """

    def __init__(  # noqa: PLR0913 - the edges of one log, each named
        self,
        key: str,
        path: Path,
        events: LogEvents,
        state: ManifestState | None = None,
        *,
        limits: LogLimits = LogLimits(),
        holding: Holding | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.key = key
        self.path = path
        self.limits = limits
        self.clock_ns = clock_ns
        self._holding = holding or Holding(HoldLimits())
        self.version = 0
        self._events = events
        self._lock = Lock()
        self._listeners: list[Callable[[], None]] = []
        self._manifest = Manifest(state)
        self._segments = {s.seq: Segment(s) for s in self._manifest}
        self._anonymous: dict[tuple[int, int], PlainSource | GzipSource] = {}
        self._anonymous_size = -1  # of the live file while it has no identity
        self._copies: dict[tuple[int, int, int, int], int] = {}  # stamps of copies, whose they are
        self._ledgers: list[Ledger] = []
        self._trouble = ""
        self._taken_up = False  # what was rescued before the last stop is open again

    # -- consumers ---------------------------------------------------------------------------

    def register(self, ledger: Ledger) -> None:
        """Keep files for *ledger* until it has settled them."""
        with self._lock:
            self._ledgers.append(ledger)

    def listen(self, wake: Callable[[], None]) -> None:
        """Call *wake* whenever there may be something to read."""
        with self._lock:
            self._listeners.append(wake)

    def next_segment(self, ledger: Ledger) -> Segment | None:
        """Return the first segment in order that may have something for *ledger*."""
        with self._lock:
            idle: Segment | None = None
            for segment in self._segments.values():
                offset = ledger.next_offset(segment.seq)
                if offset >= segment.state.size and (segment.state.complete or segment.live):
                    # An older log may be put beside the live one: it must not wait for rotation.
                    idle = idle or (None if segment.state.complete else segment)
                    continue
                if segment.source is None and not segment.state.gone:
                    self._reopen(segment)
                return segment
            return idle

    def segments(self) -> list[Segment]:
        """Return all known segments in order."""
        with self._lock:
            return list(self._segments.values())

    def state(self) -> ManifestState:
        """Return the manifest as it is to be stored."""
        with self._lock:
            return self._manifest.state()

    @property
    def live_size(self) -> int:
        """Bytes of the live file at the last look, 0 while there is none."""
        with self._lock:
            live = self._live()
            return live.state.size if live else 0

    @property
    def discovered(self) -> bool:
        """The directory has been listed at least once."""
        return self._manifest.started

    def ended(self, segment: Segment, size: int) -> None:
        """Note that the segment ends at *size*: nothing follows."""
        with self._lock:
            segment.state.size, segment.state.complete = size, True
            self._bump()

    def waited_for(self, segment: Segment) -> None:
        """Note that *segment* has nothing for a consumer now.

        It was closed to make room for others; or an older log was put in the place of the live
        one, and segments after it may have something. The consumer is made to ask again.
        """
        with self._lock:
            newest = next(reversed(self._segments), segment.seq)
            closed = segment.source is None and not segment.state.gone
            if closed or (segment.live and newest != segment.seq):
                self.version += 1

    def lost(self, segment: Segment) -> None:
        """Note that no file holds the segment any more."""
        with self._lock:
            segment.state.gone = True

    def finished(self) -> list[SegmentState]:
        """Return the segments that are gone from disk and settled by everyone."""
        with self._lock:
            return [
                s.state
                for s in self._segments.values()
                if s.state.gone and s.state.complete and not self._needed(s)
            ]

    def forget(self, seqs: Iterable[int]) -> None:
        """Drop segments from the manifest; whoever stores it has kept what it needs of them."""
        with self._lock:
            self._manifest.forget(seqs)
            for seq in seqs:
                if (segment := self._segments.pop(seq, None)) is not None:
                    self._holding.forget(segment)

    # -- the watcher -------------------------------------------------------------------------

    def poll(self) -> bool:
        """Look at the live file only: cheap enough for many times a second.

        Returns True when the directory should be scanned: the live name leads elsewhere, or a
        segment that has no identity yet has grown.
        """
        try:
            info = self.path.stat()
        except OSError:
            return bool(self._anonymous) or any(s.live for s in self._segments.values())
        key = (info.st_dev, info.st_ino)
        with self._lock:
            if key in self._anonymous:
                return info.st_size != self._anonymous_size
            live = self._live()
            if (
                live is None
                or live.source is None
                or (live.source.device, live.source.inode) != key
            ):
                return True
            if info.st_size < live.disk_size:
                return True
            if info.st_size > live.disk_size and not live.head_matches():
                return True
            if live.look(self.clock_ns()):
                self._wake()
            return False

    def scan(self) -> None:
        """List the directory: place new segments, follow renames, let go what is done."""
        try:
            entries = list_log(self.path)
        except OSError as error:
            self._say(f"{self.path.parent}: {error.strerror}; waiting for it")
            return
        with self._lock:
            before = self._fingerprint()
            self._forget_rewritten()
            bound = self._bind(without_packed_twins(entries))
            if not self._taken_up:
                self._holding.take_up(self._segments.values(), self.clock_ns())
                self._taken_up = True
            self._unbind(bound, nothing_listed=not entries)
            self._release_done()
            for segment in self._holding.review(
                self._segments.values(), self.path.parent, self.clock_ns()
            ):
                segment.state.gone = segment.state.complete = True
            self._release_surplus()
            self._manifest.started = True
            if self._fingerprint() != before:
                self._bump()
        if not entries:
            self._say(f"{self.path}: is not there yet; waiting for it")
        elif self._trouble and bound:
            self._say("")

    def close(self) -> None:
        """Close every file; what would vanish with its descriptor is rescued, where that is set."""
        with self._lock:
            unsettled = [s for s in self._segments.values() if self._needed(s)]
            self._holding.rescue_all(unsettled, self.clock_ns())
            for segment in self._segments.values():
                segment.release()
            for source in self._anonymous.values():
                source.close()
            self._anonymous.clear()

    # -- under the lock ----------------------------------------------------------------------

    def _live(self) -> Segment | None:
        return next((s for s in reversed(self._segments.values()) if s.live), None)

    def _bump(self) -> None:
        self.version += 1
        self._wake()

    def _wake(self) -> None:
        for listener in self._listeners:
            listener()

    def _fingerprint(self) -> list[object]:
        return [
            (s.seq, s.name, s.state.size, s.state.complete, s.state.gone, s.disk_size, s.key)
            for s in self._segments.values()
        ]

    def _say(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self._events.trouble(self.key, trouble)

    def _forget_rewritten(self) -> None:
        """Let go of files that no longer begin as they did: truncated or written anew in place."""
        for segment in self._segments.values():
            source = segment.source
            if not isinstance(source, PlainSource):
                continue
            shrunk = source.stat().st_size < segment.disk_size
            if shrunk or (segment.live and not segment.head_matches()):
                segment.release()
                segment.state.device = segment.state.inode = 0
                segment.state.truncated = True
                segment.name = segment.stamp = None

    def _bind(self, entries: list[Entry]) -> set[int]:
        """Find the segment of every entry, oldest first; return the sequence numbers found."""
        placed = self._placed(entries)
        bound = {segment.seq for segment in placed.values()}
        anonymous, self._anonymous = self._anonymous, {}
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
        self._anonymous.update(anonymous)
        return bound

    def _placed(self, entries: list[Entry]) -> dict[str, Segment]:
        """Return the segments of the files that are known already, by name.

        An open file is known by its inode, which nobody else can have meanwhile. One that was
        closed is known only as long as nothing about its directory entry has changed.
        """
        by_key = {s.key: s for s in self._segments.values() if s.source is not None}
        by_stamp = {s.stamp: s for s in self._segments.values() if s.stamp}
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
        segment.look(self.clock_ns())  # what is open may have grown until it was renamed
        self._close_if_rotated(segment)

    def _keep_unlisted(
        self,
        anonymous: dict[tuple[int, int], PlainSource | GzipSource],
        listed: set[tuple[int, int]],
        bound: set[int],
    ) -> None:
        """Take up what was empty when it was last seen and is written and deleted by now."""
        for key in [k for k in anonymous if k not in listed]:
            source = anonymous.pop(key)
            identity = self._identity_of(source, finished=True)
            if identity is None:
                source.close()
            else:
                self._adopt(None, source, identity, bound)

    def _identify(
        self, entry: Entry, source: PlainSource | GzipSource | None, bound: set[int]
    ) -> Segment | None:
        try:
            source = source or open_source(
                self.path.with_name(entry.name.name), compressed=entry.name.compressed
            )
        except FileNotFoundError:
            return None  # renamed since the listing; the next one shows it
        except OSError as error:
            self._say(
                f"{self.path.with_name(entry.name.name)}: {error.strerror}; run as the log's owner "
                "or let the agent's user read it"
            )
            return None
        identity = self._identity_of(source, finished=not entry.name.live)
        if identity is None:
            if entry.name.live:
                self._anonymous[source.device, source.inode] = source
                self._anonymous_size = source.stat().st_size
            else:
                source.close()
            return None
        return self._adopt(entry, source, identity, bound)

    def _identity_of(self, source: PlainSource | GzipSource, *, finished: bool) -> Identity | None:
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
            if identity is None and length > self.limits.max_line_bytes:
                identity = identify(read[:_FIRST_READ], finished=True)
                break
            length *= 4
        return identity and identity.after(hole)

    def _written_out(self, source: PlainSource | GzipSource) -> bool:
        """Say whether what is there of a backup's first line is all that there will be."""
        if isinstance(source, PlainSource) or source.end is not None:
            return True
        return self.clock_ns() - source.stat().st_mtime_ns >= self.limits.torn_s * 1e9

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
        for state in self._manifest.with_identity(identity.name):
            segment = self._segments[state.seq]
            if (state.head, state.head_start) != (identity.head, identity.head_start):
                continue
            match self._kinship(segment, source, elsewhere=state.seq in bound, live=live):
                case Kinship.HOLDER:
                    self._hold(segment, source, live=live)
                    return segment
                case Kinship.TWIN:
                    source.close()
                    return segment
                case Kinship.COPY:
                    source.close()
                    if entry is not None:
                        self._copies[entry.stamp] = state.seq
                    return None
                case Kinship.STRANGER:
                    continue
                case never:
                    assert_never(never)
        state = self._manifest.add(
            identity.name,
            identity.head,
            identity.head_length,
            head_start=identity.head_start,
            now_ns=self.clock_ns(),
        )
        segment = self._segments[state.seq] = Segment(state)
        if entry is not None:
            segment.name = entry.name
            state.seen_as(entry.name.name)
        else:
            state.seen_as(self.path.name)
        self._hold(segment, source, live=live)
        self._events.discovered(self.key, state)
        return segment

    def _kinship(
        self, segment: Segment, source: PlainSource | GzipSource, *, elsewhere: bool, live: bool
    ) -> Kinship:
        own = segment.source
        if own is not None or not elsewhere or segment.name is None:
            with segment.lock:
                return kinship(segment, own, source, elsewhere=elsewhere, live=live)
        try:
            own = open_source(
                self.path.with_name(segment.name.name), compressed=segment.name.compressed
            )
        except OSError:
            return Kinship.STRANGER
        try:
            return kinship(segment, own, source, elsewhere=elsewhere, live=live)
        finally:
            own.close()

    def _hold(self, segment: Segment, source: PlainSource | GzipSource, *, live: bool) -> None:
        known_end = segment.state.complete and segment.source is None
        segment.hold(source, self.clock_ns())
        if live:
            segment.state.complete, segment.state.closed_ns = False, 0
            return
        if segment.compressed and not known_end:
            segment.state.complete = False
        if not self._needed(segment) or self._open_count() > self.limits.max_open:
            segment.release()

    def _close_if_rotated(self, segment: Segment) -> None:
        """Mark where a plain file ends that has any other name than the live one."""
        if segment.live or segment.compressed:
            return
        if not segment.state.closed_ns:
            segment.state.closed_ns = self.clock_ns()
        if segment.source is not None:
            segment.state.complete = True

    def _unbind(self, bound: set[int], *, nothing_listed: bool) -> None:
        """Note which known segments the directory does not show."""
        for segment in self._segments.values():
            if segment.seq in bound:
                continue
            if segment.name is not None and segment.live and nothing_listed:
                continue  # the directory may be moved or unmounted; it can come back
            segment.name = None
            if segment.source is not None:
                segment.look(self.clock_ns())
                self._close_if_rotated(segment)
            elif not nothing_listed:
                segment.state.gone = True
                segment.state.complete |= segment.state.truncated

    def _release_done(self) -> None:
        """Close what everyone has settled."""
        for segment in self._segments.values():
            if segment.live or not segment.state.complete or self._needed(segment):
                continue
            segment.release()
            if segment.name is None:
                segment.state.gone = True

    def _release_surplus(self, reading: Segment | None = None) -> None:
        """Keep to the bound: close what can be opened again, what is needed last first.

        What is unlinked cannot: only when there is nothing else, the oldest of it is let go.
        """
        surplus = self._open_count() - self.limits.max_open
        if surplus <= 0:
            return
        held = [s for s in self._segments.values() if s.source is not None and not s.live]
        named = [s for s in reversed(held) if s.name is not None and not s.unlinked]
        nameless = [s for s in held if s.name is None or s.unlinked]
        for segment in [s for s in (*named, *nameless) if s is not reading][:surplus]:
            segment.release()
            if segment.name is None:
                segment.state.gone = segment.state.let_go = True

    def _needed(self, segment: Segment) -> bool:
        if not segment.state.complete:
            return True
        return any(
            ledger.settled_offset(segment.seq) < segment.state.size for ledger in self._ledgers
        )

    def _open_count(self) -> int:
        return sum(1 for s in self._segments.values() if s.source is not None)

    def _reopen(self, segment: Segment) -> None:
        """Open a segment that was let go while more urgent ones were held."""
        for name in self._candidate_names(segment):
            try:
                source = open_source(self.path.with_name(name), compressed=name.endswith(".gz"))
            except OSError:
                continue
            identity = self._identity_of(source, finished=True)
            if identity is not None and identity.head == segment.state.head:
                segment.hold(source, self.clock_ns())
                self._close_if_rotated(segment)
                self._release_surplus(reading=segment)
                return
            source.close()

    @staticmethod
    def _candidate_names(segment: Segment) -> Iterable[str]:
        if segment.name is not None:
            yield segment.name.name
            if not segment.name.compressed:
                yield segment.name.name + ".gz"
