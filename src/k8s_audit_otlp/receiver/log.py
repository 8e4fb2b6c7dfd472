"""One audit log: its live file and its backups on disk, as an ordered list of segments.

`scan` looks at the directory, `poll` only at the live file. Consumers ask for the next segment
that has something for them. Segments are opened when they are discovered, not when they are
reached, so rotation, compression and deletion in between lose nothing.
"""

import time
from collections.abc import Callable, Collection
from pathlib import Path
from threading import Lock

from k8s_audit_otlp.model import LogKey
from k8s_audit_otlp.receiver.deleted import DeletedSegments, HoldLimits
from k8s_audit_otlp.receiver.discovery.discovery import Discovery
from k8s_audit_otlp.receiver.discovery.links import linked_before
from k8s_audit_otlp.receiver.discovery.renames import Renames
from k8s_audit_otlp.receiver.discovery.unreadable_files import ScanResult
from k8s_audit_otlp.receiver.inotify import Change
from k8s_audit_otlp.receiver.listing import (
    Entry,
    is_calm,
    list_log,
    live_path,
    passed_over,
    unknown_backups,
    without_packed_twins,
)
from k8s_audit_otlp.receiver.log_file import LogFile
from k8s_audit_otlp.receiver.marks import Farthest
from k8s_audit_otlp.receiver.segment import Segment, reopened
from k8s_audit_otlp.receiver.segments import KnownSegments, LogLimits
from k8s_audit_otlp.receiver.troubles import UNVERIFIED, WAITING, LogEvents, Troubles, explain
from k8s_audit_otlp.state.ledger import Ledger
from k8s_audit_otlp.state.manifest import Manifest, SegmentState

_ATTEMPTS = 5  # to find each file where a listing says


class AuditLog:
    """The segments of one log. One watcher thread scans; any number of consumers read.

    `_scanning` lets one scan run at a time; the lock of the known segments is held for moments, so
    neither readers nor commits wait for it. `version` rises when segments come, go, end or are
    renamed; listeners are also called when the live file grows.
    """

    def __init__(  # noqa: PLR0913 - the edges of one log, each named
        self,
        receiver: str,
        path: Path,
        events: LogEvents,
        state: Manifest | None = None,
        *,
        limits: LogLimits | None = None,
        deleted: DeletedSegments | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
        listing: Callable[[Path], list[Entry]] = list_log,
    ) -> None:
        self.key = LogKey(receiver, str(path))
        self.path = path
        self.limits = limits or LogLimits()
        self.clock_ns = clock_ns
        self.version = 0
        self.watched = "with inotify"  # how: the watcher says where that is not so
        self._events = events
        self._scanning = Lock()
        self._deleted = deleted or DeletedSegments(HoldLimits())
        self._known = KnownSegments(state, self.limits, clock_ns)
        self._renames = Renames(self._known, listing)
        self._discovery = Discovery(self._known, self._renames.is_outdated)
        self._told = self._known.manifest.next_seq  # who listens knows of the segments before
        self.troubles = Troubles(lambda message: events.trouble(self.key, message))
        self._listeners: list[Callable[[], None]] = []
        self._passed_over: set[str] = set()  # files that look like backups, and were told
        self._live = live_path(path)  # as of the last scan: a link may lead elsewhere later

    def __repr__(self) -> str:
        return f"<AuditLog {self.key} {len(self.segments())} segments, live {self.live_size} B>"

    # -- consumers ---------------------------------------------------------------------------

    def register(self, ledger: Ledger) -> None:
        """Keep files until *ledger* has settled them."""
        self._known.register(ledger)

    def listen(self, wake: Callable[[], None]) -> None:
        """Call *wake* whenever there may be something to read."""
        self._listeners.append(wake)

    def next_segment(self, ledger: Ledger) -> Segment | None:
        """Return the first one that may have something for *ledger*, and can be read now."""
        while True:
            with self._known.lock:
                segment = self._known.next_for(ledger)
                if segment is None or segment.source is not None or segment.state.gone:
                    return segment
            try:  # it was let go while more urgent ones were held
                source = reopened(segment)
            except OSError as error:
                self.failed(segment, error)
                continue
            if source is not None:
                with self._known.lock:
                    segment.hold(source, self.clock_ns())
                    self._known.close_if_rotated(segment)
                    self._known.release_surplus(reading=segment)
            return segment

    def segments(self) -> list[Segment]:
        with self._known.lock:
            return list(self._known)

    def states(self) -> list[SegmentState]:
        return [segment.state for segment in self.segments()]

    def state(self) -> Manifest:
        """Return the manifest as it is to be stored."""
        with self._known.lock:
            return self._known.manifest.copy()

    @property
    def live_size(self) -> int:
        """Bytes of the live file at the last look, 0 while there is none."""
        return live.state.size if (live := self._known.live()) else 0

    def torn(self, segment: Segment, end: int) -> None:
        """Note that a compressed file breaks off at *end*; more may have been written."""
        with self._known.lock:
            state = segment.state
            state.open_end |= not state.complete
            state.torn = end if end >= state.size else 0
        self._ended(segment, end)

    def unchanged_for(self, segment: Segment, seconds: float) -> bool:
        """Look at the file; say whether it has not changed for so long."""
        with self._known.lock:
            return segment.unchanged_for(seconds, self.clock_ns())

    def was_read(self, segment: Segment, source: LogFile, farthest: Farthest | None) -> None:
        """Note up to where a segment was read, past the last look too, and where its file ends."""
        with self._known.lock:
            state = segment.state
            if farthest is not None:
                state.marks, state.lines = farthest.marks, farthest.lines
                state.size = max(state.size, state.farthest)
                state.last_ns = farthest.last_ns or state.last_ns
        if not source.verified:
            self.troubles.once(f"{segment.path or segment.state.name}: {UNVERIFIED}")
        if source.end and not state.complete:  # a compressed one, read so far now
            self._ended(segment, source.end)

    def failed(self, segment: Segment, error: OSError) -> None:
        """Note that a file that is open cannot be read: it is tried again after the next scan."""
        with self._known.lock:
            segment.failed(error)
            self.version += 1
        self.troubles.add(segment.state.name, segment.trouble)

    def scan_failed(self, error: Exception) -> None:
        """Note that a scan ended with an unexpected error."""
        self.troubles.replace({"": f"{self.path.parent}: cannot be looked at: {error!r}"})

    def away(self, seconds: float) -> None:
        """Note for how long the live file has been away, 0 while it is there."""
        self.troubles.away(f"{self.path}: is not there, so nothing new is read" if seconds else "")

    def ask_again_later(self, segment: Segment) -> None:
        """Make consumers ask again later for *segment*, which has nothing to read now.

        It was closed to make room for others; or an older log is now in the place of the live one.
        """
        with self._known.lock:
            closed = segment.source is None and not segment.state.gone
            if closed or (segment.live and next(reversed(self._known), None) is not segment):
                self.version += 1

    def finished(self) -> list[SegmentState]:
        """Return the segments that are gone from disk and settled by everyone."""
        with self._known.lock:
            return self._known.finished()

    def forget(self, seqs: Collection[int]) -> None:
        """Drop segments from the manifest; whoever stores it has kept what it needs of them."""
        self._known.forget(seqs)

    # -- the watcher -------------------------------------------------------------------------

    def poll(self) -> bool:
        """Look at the live file only, many times a second; say whether to scan the directory.

        That is so when the live name leads elsewhere, or a segment without identity has grown.
        """
        unnamed, live = self._discovery.continuity.unnamed, self._known.live()
        least = live.least_size if live is not None else 0  # first: it may be read on meanwhile
        try:
            info = live_path(self.path).stat()
        except OSError:
            return bool(unnamed.open) or live is not None
        key = (info.st_dev, info.st_ino)
        if key in unnamed.open:
            return info.st_size != unnamed.live_size
        if live is None or live.source is None or live.key != key or info.st_size < least:
            return True
        if info.st_size != live.disk_size and not self._unchanged(live):
            return True
        with self._known.lock:
            grown = live.look(self.clock_ns())
        if grown:
            self._wake()
        return False

    def follow(self, changes: Callable[[], list[Change] | None]) -> None:
        """Let *changes* tell which names in the directory have changed since it was called last."""
        self._renames.changes = changes

    def scan(self) -> None:
        """List the directory: place new segments, follow renames, let go what is done."""
        with self._scanning:
            try:
                old, self._live = self._live, live_path(self.path)
                unknown = sorted(unknown_backups(self.path))
                before = self._known.appearance()
                self._renames.begin()
                entries, found = self._bound(linked_before(self.path, old, self._live, self._known))
            except OSError as error:
                self.troubles.replace({"": f"{self.path.parent}: {explain(error)}"})
                return
            self._renames.tell_missing(entries, self._live.name)
            for segment in self._known:
                if segment.seq >= self._told:
                    self._events.discovered(self.key, segment.state)
            self._told = self._known.manifest.next_seq
            self._deleted.take_up(self._known)
            shown = found.bound, found.candidates
            self._known.unbind(*shown, nothing_listed=not entries, calm=found.calm)
            self._known.release_done()
            self._deleted.review(self._known, self._live.parent)
            for segment in self._known.settled():
                self._deleted.forget(segment)
            self._known.release_surplus()
            self._known.manifest.started = True
            if self._known.appearance() != before:
                self._bump()
        if not entries:
            what = "is no regular file" if self.path.exists() else "is not there yet"
            found.troubles[""] = f"{self.path}: {what}{WAITING}"
        self.troubles.replace(found.troubles)
        if new := [name for name in unknown if name not in self._passed_over]:
            self._passed_over.update(new)
            self.troubles.once(passed_over(self._live, new))

    def _bound(self, linked: list[Entry]) -> tuple[list[Entry], ScanResult]:
        """Find the segment of every file, of those of the directory after the *linked* ones.

        A listing is no snapshot: it is made anew until each new file is where it says, and what is
        missing is missing once a second one does not show it either. At a first look nothing is.
        """
        doubted = False
        for left in reversed(range(_ATTEMPTS)):
            entries = [*linked, *self._renames.listed(self.path, self._live.name)]
            self._known.forget_rewritten(self._unchanged)
            found = self._bind(without_packed_twins(entries), final=doubted or not left)
            if found.final or not found.outdated:
                break
            doubted = self._known.manifest.started and not found.follows
        return entries, found

    def _bind(self, entries: list[Entry], *, final: bool) -> ScanResult:
        return self._discovery.bind(entries, final=final, calm=is_calm(self._live, self.clock_ns))

    def close(self) -> None:
        """Close every file, but for what is handed over or rescued, where that is set."""
        with self._scanning:
            self._deleted.hand_over(self._known)
            for segment in self._known:
                segment.release()
            self._discovery.continuity.unnamed.open.clear()

    def _ended(self, segment: Segment, size: int) -> None:
        """Note that the segment ends at *size* at least and does not go on."""
        with self._known.lock:
            segment.state.size, segment.state.complete = max(size, segment.state.size), True
        self._bump()

    def _bump(self) -> None:
        self.version += 1
        self._wake()

    def _wake(self) -> None:
        for listener in self._listeners:
            listener()

    def _unchanged(self, segment: Segment) -> bool:
        """Say whether a file still is what it was, as far as it can be read."""
        try:
            return segment.source is not None and segment.is_still_in(segment.source)
        except OSError as error:
            self.failed(segment, error)
            return True
