"""One audit log: its live file and backups on disk in, an ordered list of segments out.

`scan` looks at the directory, `poll` only at the live file. Consumers ask for the next segment
that has something for them. Segments are opened when they are discovered, not when they are
reached, so rotation, compression and deletion in between lose nothing.
"""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Lock
from typing import Protocol

from k8s_audit_otlp.model import LogKey
from k8s_audit_otlp.receiver.deleted import DeletedSegments, HoldLimits
from k8s_audit_otlp.receiver.discovery import Discovery
from k8s_audit_otlp.receiver.listing import Entry, list_log, without_packed_twins
from k8s_audit_otlp.receiver.segment import Segment, open_source
from k8s_audit_otlp.receiver.segments import KnownSegments, LogLimits
from k8s_audit_otlp.state.ledger import Ledger
from k8s_audit_otlp.state.manifest import ManifestState, SegmentState

__all__ = ["AuditLog", "LogEvents", "LogLimits"]


class LogEvents(Protocol):
    """What the log tells whoever listens; the core only says what happened."""

    def discovered(self, log: LogKey, segment: SegmentState) -> None: ...
    def trouble(self, log: LogKey, message: str) -> None:
        """Something that may pass stands in the way; '' when it has passed."""


class AuditLog:
    """The segments of one log. One watcher thread scans; any number of consumers read.

    Guarded by `_lock`: the manifest, the segments and their names. `version` rises when segments
    come, go, end or are renamed; listeners are also called when the live file grows.
    """

    def __init__(  # noqa: PLR0913 - the edges of one log, each named
        self,
        receiver: str,
        path: Path,
        events: LogEvents,
        state: ManifestState | None = None,
        *,
        limits: LogLimits | None = None,
        holding: DeletedSegments | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.key = LogKey(receiver, str(path))
        self.path = path
        self.limits = limits or LogLimits()
        self.clock_ns = clock_ns
        self._deleted = holding or DeletedSegments(HoldLimits())
        self.version = 0
        self._events = events
        self._lock = Lock()
        self._listeners: list[Callable[[], None]] = []
        self._known = KnownSegments(state, self.limits, clock_ns)
        self._discovery = Discovery(
            path,
            self._known,
            on_new=lambda segment: events.discovered(self.key, segment.state),
            on_trouble=self._say,
        )
        self._trouble = ""
        self._taken_up = False  # what was rescued before the last stop is open again

    # -- consumers ---------------------------------------------------------------------------

    def register(self, ledger: Ledger) -> None:
        """Keep files for *ledger* until it has settled them."""
        with self._lock:
            self._known.ledgers.append(ledger)

    def listen(self, wake: Callable[[], None]) -> None:
        """Call *wake* whenever there may be something to read."""
        with self._lock:
            self._listeners.append(wake)

    def next_segment(self, ledger: Ledger) -> Segment | None:
        """Return the first segment in order that may have something for *ledger*."""
        with self._lock:
            idle: Segment | None = None
            for segment in self._known:
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
            return list(self._known)

    def state(self) -> ManifestState:
        """Return the manifest as it is to be stored."""
        with self._lock:
            return self._known.manifest.state()

    @property
    def live_size(self) -> int:
        """Bytes of the live file at the last look, 0 while there is none."""
        with self._lock:
            live = self._known.live()
            return live.state.size if live else 0

    @property
    def discovered(self) -> bool:
        """The directory has been listed at least once."""
        return self._known.manifest.started

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
            newest = self._known.last()
            closed = segment.source is None and not segment.state.gone
            if closed or (segment.live and newest is not segment):
                self.version += 1

    def finished(self) -> list[SegmentState]:
        """Return the segments that are gone from disk and settled by everyone."""
        with self._lock:
            return self._known.finished()

    def forget(self, seqs: Iterable[int]) -> None:
        """Drop segments from the manifest; whoever stores it has kept what it needs of them."""
        with self._lock:
            self._known.forget(seqs)

    # -- the watcher -------------------------------------------------------------------------

    def poll(self) -> bool:
        """Look at the live file only: cheap enough for many times a second.

        Returns True when the directory should be scanned: the live name leads elsewhere, or a
        segment that has no identity yet has grown.
        """
        try:
            info = self.path.stat()
        except OSError:
            return bool(self._discovery.anonymous) or self._known.live() is not None
        key = (info.st_dev, info.st_ino)
        with self._lock:
            if key in self._discovery.anonymous:
                return info.st_size != self._discovery.anonymous_size
            live = self._known.live()
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
                self._deleted.take_up(self._known, self.clock_ns())
                self._taken_up = True
            self._known.unbind(bound, nothing_listed=not entries)
            self._known.release_done()
            for segment in self._deleted.review(self._known, self.path.parent, self.clock_ns()):
                segment.state.gone = segment.state.complete = True
            for segment in self._known.settled():
                self._deleted.forget(segment)
            self._known.release_surplus()
            self._known.manifest.started = True
            if self._fingerprint() != before:
                self._bump()
        if not entries:
            self._say(f"{self.path}: is not there yet; waiting for it")
        elif self._trouble and bound:
            self._say("")

    def close(self) -> None:
        """Close every file; what would vanish with its descriptor is rescued, where that is set."""
        with self._lock:
            unsettled = [s for s in self._known if self._known.needed(s)]
            self._deleted.rescue_all(unsettled, self.clock_ns())
            for segment in self._known:
                segment.release()
            self._discovery.close()

    # -- under the lock ----------------------------------------------------------------------

    def _bump(self) -> None:
        self.version += 1
        self._wake()

    def _wake(self) -> None:
        for listener in self._listeners:
            listener()

    def _fingerprint(self) -> list[object]:
        return [
            (s.seq, s.name, s.state.size, s.state.complete, s.state.gone, s.disk_size, s.key)
            for s in self._known
        ]

    def _say(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self._events.trouble(self.key, trouble)

    def _forget_rewritten(self) -> None:
        self._known.forget_rewritten()

    def _bind(self, entries: list[Entry]) -> set[int]:
        return self._discovery.bind(entries)

    def _reopen(self, segment: Segment) -> None:
        """Open a segment that was let go while more urgent ones were held."""
        for name in self._candidate_names(segment):
            try:
                source = open_source(self.path.with_name(name), compressed=name.endswith(".gz"))
            except OSError:
                continue
            identity = self._discovery.identity_of(source, finished=True)
            if identity is not None and identity.head == segment.state.head:
                segment.hold(source, self.clock_ns())
                self._known.close_if_rotated(segment)
                self._known.release_surplus(reading=segment)
                return
            source.close()

    @staticmethod
    def _candidate_names(segment: Segment) -> Iterable[str]:
        if segment.name is not None:
            yield segment.name.name
            if not segment.name.compressed:
                yield segment.name.name + ".gz"
