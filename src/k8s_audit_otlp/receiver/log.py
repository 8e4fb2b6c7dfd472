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
from typing import Protocol

from k8s_audit_otlp.receiver.identity import Identity, fingerprint, identify
from k8s_audit_otlp.receiver.listing import Entry, list_log, without_packed_twins
from k8s_audit_otlp.receiver.segment import Segment, open_source
from k8s_audit_otlp.receiver.source import GzipSource, PlainSource
from k8s_audit_otlp.state.ledger import Ledger
from k8s_audit_otlp.state.manifest import Manifest, ManifestState, SegmentState

logger = logging.getLogger(__name__)

_COMPARED = 1024 * 1024  # bytes that must agree before two files count as one segment


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

    def __init__(
        self,
        key: str,
        path: Path,
        events: LogEvents,
        state: ManifestState | None = None,
        *,
        limits: LogLimits = LogLimits(),
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.key = key
        self.path = path
        self.limits = limits
        self.clock_ns = clock_ns
        self.version = 0
        self._events = events
        self._lock = Lock()
        self._listeners: list[Callable[[], None]] = []
        self._manifest = Manifest(state)
        self._segments = {s.seq: Segment(s) for s in self._manifest}
        self._anonymous: dict[tuple[int, int], PlainSource | GzipSource] = {}
        self._anonymous_size = -1  # of the live file while it has no identity
        self._ledgers: list[Ledger] = []
        self._trouble = ""

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
            for segment in self._segments.values():
                offset = ledger.next_offset(segment.seq)
                if not (segment.state.complete and offset >= segment.state.size):
                    if segment.source is None and not segment.state.gone:
                        self._reopen(segment)
                    return segment
            return None

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
                self._segments.pop(seq, None)

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
            if info.st_size < live.state.size:
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
            self._unbind(bound, nothing_listed=not entries)
            self._release_done()
            self._manifest.started = True
            if self._fingerprint() != before:
                self._bump()
        if not entries:
            self._say(f"{self.path}: is not there yet; waiting for it")
        elif self._trouble and bound:
            self._say("")

    def close(self) -> None:
        """Close every file."""
        with self._lock:
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
            shrunk = source.stat().st_size < segment.state.size
            if shrunk or (segment.live and not segment.head_matches()):
                segment.release()
                segment.state.device = segment.state.inode = 0
                segment.name = None

    def _bind(self, entries: list[Entry]) -> set[int]:
        """Find the segment of every entry, oldest first; return the sequence numbers found."""
        by_key = {
            (s.state.device, s.state.inode): s for s in self._segments.values() if s.state.inode
        }
        anonymous, self._anonymous = self._anonymous, {}
        bound = set()
        for entry in entries:
            segment = by_key.get(entry.key)
            if segment is None or not self._still(segment, entry):
                segment = self._identify(entry, anonymous.pop(entry.key, None))
            if segment is not None:
                segment.name = entry.name
                segment.state.seen_as(entry.name.name)
                self._close_if_rotated(segment)
                bound.add(segment.seq)
        for source in anonymous.values():
            source.close()
        return bound

    def _still(self, segment: Segment, entry: Entry) -> bool:
        """Say whether the known inode still holds the segment."""
        if segment.source is not None:
            if (segment.source.device, segment.source.inode) != entry.key:
                return False
            segment.look(self.clock_ns())
            return True
        done = segment.state.complete and not self._needed(segment)
        if done and (entry.name.compressed or entry.size == segment.state.size):
            segment.state.gone = False
            return True
        return False

    def _identify(self, entry: Entry, source: PlainSource | GzipSource | None) -> Segment | None:
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
        return self._adopt(entry, source, identity)

    def _identity_of(self, source: PlainSource | GzipSource, *, finished: bool) -> Identity | None:
        length = 64 * 1024
        while True:
            try:
                data = source.read_at(0, length)
            except OSError:
                return None
            identity = identify(data, finished=False)
            if identity is None and len(data) < length:
                return identify(data, finished=finished)
            if identity is not None or length > self.limits.max_line_bytes:
                return identity or identify(data[: 64 * 1024], finished=True)
            length *= 4

    def _adopt(
        self, entry: Entry, source: PlainSource | GzipSource, identity: Identity
    ) -> Segment | None:
        """Give an identified file to its segment, or make it a new one."""
        for state in self._manifest.with_identity(identity.name):
            segment = self._segments[state.seq]
            if state.head != identity.head:
                continue
            if segment.source is None:
                self._hold(segment, source)
                return segment
            if not self._same_segment(segment, entry, source):
                continue
            # The same bytes twice: a compressed twin, or the copy that copytruncate makes.
            source.close()
            return segment if segment.name is None or segment.unlinked else None
        state = self._manifest.add(
            identity.name, identity.head, identity.head_length, now_ns=self.clock_ns()
        )
        segment = self._segments[state.seq] = Segment(state)
        segment.name = entry.name
        state.seen_as(entry.name.name)
        segment.hold(source, self.clock_ns())
        self._events.discovered(self.key, state)
        if self._open_count() > self.limits.max_open and not segment.live:
            segment.release()
        return segment

    def _same_segment(
        self, segment: Segment, entry: Entry, source: PlainSource | GzipSource
    ) -> bool:
        if any(n.removesuffix(".gz") == entry.name.base for n in segment.state.names[:1]):
            return True
        mine = segment.source
        if mine is None:
            return False
        with segment.lock:
            ours = mine.read_at(0, _COMPARED)
        theirs = source.read_at(0, _COMPARED)
        shared = min(len(ours), len(theirs))
        return fingerprint(ours[:shared]) == fingerprint(theirs[:shared])

    def _hold(self, segment: Segment, source: PlainSource | GzipSource) -> None:
        segment.hold(source, self.clock_ns())
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

    def _release_done(self) -> None:
        """Close what everyone has settled."""
        for segment in self._segments.values():
            if segment.live or not segment.state.complete or self._needed(segment):
                continue
            segment.release()
            if segment.name is None:
                segment.state.gone = True

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
                return
            source.close()

    @staticmethod
    def _candidate_names(segment: Segment) -> Iterable[str]:
        if segment.name is not None:
            yield segment.name.name
            if not segment.name.compressed:
                yield segment.name.name + ".gz"
