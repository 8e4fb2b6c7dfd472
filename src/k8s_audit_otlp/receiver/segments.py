"""The segments of one log that are known, in order: which files hold them, which may be closed.

`lock` guards the segments, their manifest and the list of ledgers. It is taken for moments: to
change fields that belong together or to look at them. Files are opened, read, compared and copied
without it, by whoever scans; nobody else adds segments or changes their files.
"""

import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from threading import RLock

from k8s_audit_otlp.receiver.identity import Identity, fingerprint
from k8s_audit_otlp.receiver.listing import MOST_DOUBT_NS
from k8s_audit_otlp.receiver.log_file import LogFile
from k8s_audit_otlp.receiver.marks import Marks, merged
from k8s_audit_otlp.receiver.segment import Segment
from k8s_audit_otlp.state.ledger import Ledger
from k8s_audit_otlp.state.manifest import Manifest, SegmentState

MAX_LINE_BYTES = 64 * 1024 * 1024  # unless configured; a longer line is one record without bodies
_MARKS = 4  # kept of what all have settled: a restored copy that was written on may end before one
_MARKED = 4  # segments that keep all marks when they are settled: what is cut is a new one
_GONE_S = 30.0  # compressing a segment takes less, and so do a few listings


@dataclass(frozen=True, slots=True)
class LogLimits:
    """Bounds of one log, each with its unit."""

    max_line_bytes: int = MAX_LINE_BYTES
    useful_line_bytes: int = sys.maxsize  # no exporter can send a longer event with its bodies
    max_open: int = 256  # descriptors kept for segments that somebody still needs
    settle_s: float = 5.0  # an unterminated last line of a closed file is a line after so long
    torn_s: float = 60.0  # a .gz without an end that does not change any more is torn
    collected: bool = False  # its events come from elsewhere, some time after they happened


class KnownSegments:
    """Segments by sequence number, with the ledgers that may still need them."""

    def __init__(
        self, manifest: Manifest | None, limits: LogLimits, clock_ns: Callable[[], int]
    ) -> None:
        self.lock = RLock()
        self.manifest = manifest.copy() if manifest else Manifest()
        self.limits = limits
        self.clock_ns = clock_ns
        self.ledgers: list[Ledger] = []
        self.scan_ns = 0  # when the last look at the directory began
        self._segments = {s.seq: Segment(s) for s in self.manifest.segments}
        self._gone_since: dict[int, int] = {}
        self._absent_since: dict[int, int] = {}  # when a listing did not show them any more

    def __iter__(self) -> Iterator[Segment]:  # while another thread forgets some
        return iter(list(self._segments.values()))

    def __getitem__(self, seq: int) -> Segment:
        return self._segments[seq]

    def get(self, seq: int) -> Segment | None:
        return self._segments.get(seq)

    def __reversed__(self) -> Iterator[Segment]:
        return reversed(list(self))

    def live(self) -> Segment | None:
        return next((s for s in reversed(self) if s.live), None)

    def predecessor(self) -> Segment | None:
        """Return what the next new segment must follow, if nothing lies between them."""
        newest = (s for s in reversed(self) if not s.state.lost)
        return self._segments.get(self.manifest.newest) or next(newest, None)

    def note_newest(self, first_new: int, bound: set[int], *, empty: bool) -> None:
        """Remember what the next new one has to follow: the live one, else the newest.

        Only one that a listing has shown, as *bound* says: what was live may be gone meanwhile.
        Where there is none, and was none since the last look, remember when that was so.
        """
        if empty and not self.manifest.segments:
            self.manifest.empty_ns = self.scan_ns or self.clock_ns()
        live = (s for s in reversed(self) if s.live and s.seq in bound)
        new = (s for s in reversed(self) if s.seq >= first_new and not s.state.lost)
        if newest := next(chain(live, new), None):
            self.manifest.newest = newest.seq

    def register(self, ledger: Ledger) -> None:
        with self.lock:
            self.ledgers.append(ledger)
            for segment in self:
                if segment.state.begin:
                    ledger.begin(segment.seq, segment.state.begin)

    # -- what is known -------------------------------------------------------------------------

    def add(self, identity: Identity, name: str, *, begin: int = 0, after: int = 0) -> Segment:
        """Give a new segment, whose file is called *name*, its place at the end.

        With *begin* it is the part of a file that was written behind the segment *after*.
        """
        with self.lock:
            head = identity.head, identity.head_length, identity.head_start
            state = SegmentState(0, identity.name, *head, [name], begin=begin, after=after)
            state.first_ns, state.seen_ns = identity.when_ns, self.clock_ns()
            self.manifest.add(state)
            for ledger in self.ledgers if begin else ():
                ledger.begin(state.seq, begin)
            segment = self._segments[state.seq] = Segment(state)
            if after:
                before = self._segments[after].state
                before.complete, before.cut, before.open_end = True, begin, True
            return segment

    def add_lost(
        self,
        reason: str,
        name: str,
        key: bytes,
        between_ns: tuple[int, int] = (0, 0),
        *,
        detail: str = "",
    ) -> Segment:
        """Give a stretch of the log that nobody can read its place, so that everyone is told.

        Nobody knows how long it is: one byte stands for it. *key* makes its identity, the same
        where a process that was killed finds it again. It lies between events of these times; 0 is
        for one that is not known. *detail*: what is known of it, a clause.
        """
        with self.lock:
            segment = self.add(Identity(fingerprint(key), "", 0, 0), name)
            state = segment.state
            state.lost, state.size, state.complete, state.gone = reason, 1, True, True
            state.first_ns, state.last_ns = between_ns
            state.detail = detail
            return segment

    def marks_of(self, segment: Segment) -> Marks:
        """Return all places of a segment that are known by their bytes."""
        settled = [ledger.place(segment.seq) for ledger in self.ledgers]
        return merged(segment.state.marks, [(place.offset, place.mark) for place in settled])

    def finished(self) -> list[SegmentState]:
        """Return the segments that are settled by everyone and gone from disk for good.

        A listing is no snapshot: what one does not show the next may, as a `.gz` under another
        name, and a segment that was forgotten would be a new one then. Kept is what the next new
        one has to follow, and what a gap that is not decided yet lies beside.
        """
        now, last = self.clock_ns(), self.predecessor()
        beside = set(chain.from_iterable(self.manifest.doubts))
        gone = [s for s in self.settled() if s.state.gone and s is not last and s.seq not in beside]
        self._gone_since = {s.seq: self._gone_since.get(s.seq, now) for s in gone}
        return [s.state for s in gone if now - self._gone_since[s.seq] >= _GONE_S * 1e9]

    def settled(self) -> list[Segment]:
        """Return the segments without a name that nobody needs any more."""
        return [s for s in self if s.name is None and s.state.complete and not self.needed(s)]

    def forget(self, seqs: Collection[int]) -> None:
        with self.lock:
            self.manifest.forget(seqs)
            for seq in seqs:
                self._segments.pop(seq, None)

    def needed(self, segment: Segment) -> bool:
        if not segment.state.complete:
            return True
        return any(
            ledger.settled_offset(segment.seq) < segment.state.size for ledger in self.ledgers
        )

    # -- files ---------------------------------------------------------------------------------

    def may_grow(self, segment: Segment) -> bool:
        """Say whether the writer may have it open: nobody has written to the next file yet."""
        return not segment.compressed and segment is self.predecessor()

    def hold(self, segment: Segment, source: LogFile, *, live: bool) -> None:
        """Read *segment* from *source* from now on, and the one before it in the same file."""
        with self.lock:
            known_end = segment.state.complete and segment.source is None
            segment.hold(source, self.clock_ns())
            before = self.get(segment.state.after)
            if before is not None and before.state.cut and self.needed(before):
                before.source, before.state.gone = source, False
            if live:
                segment.state.complete, segment.state.closed_ns = False, 0
                return
            if segment.compressed and not known_end:
                segment.state.complete = False
            kept = self.needed(segment) or self.may_grow(segment)
            if not kept or self.open_count() > self.limits.max_open:
                segment.release()

    def close_if_rotated(self, segment: Segment) -> None:
        """Mark where a plain file ends that has any other name than the live one."""
        if segment.live or segment.compressed:
            return
        with self.lock:
            if not segment.state.closed_ns:
                segment.state.closed_ns = self.clock_ns()
            if segment.source is not None:
                segment.state.complete = True

    def unbind(
        self, bound: set[int], candidates: set[int], *, nothing_listed: bool, calm: bool = True
    ) -> None:
        """Note which known segments the directory does not show.

        *candidates*: a file is there that cannot be read and may be any of these. Unless it is
        *calm* there, one that is not shown may be being renamed.
        """
        now, absent = self.clock_ns(), [s.seq for s in self if s.seq not in bound and not s.source]
        self._absent_since = {seq: self._absent_since.get(seq, now) for seq in absent}
        for segment in self:
            if segment.seq in bound:
                continue
            if segment.name is not None and segment.live and nothing_listed:
                continue  # the directory may be moved or unmounted; it can come back
            with self.lock:
                segment.name = None
                if segment.source is not None:
                    segment.look(self.clock_ns())
                    self.close_if_rotated(segment)
                elif segment.seq in candidates and not segment.state.gone:
                    segment.trouble = "its file may be the one that cannot be read"
                elif not nothing_listed and (
                    calm or now - self._absent_since[segment.seq] >= MOST_DOUBT_NS
                ):
                    segment.trouble = ""
                    segment.gone()

    def release_done(self) -> None:
        """Close what everyone has settled, and nobody can still be writing to out of sight.

        By all its marks only the newest is known for long.
        """
        newest = list(self)[-_MARKED:]
        for segment in self:
            if segment.live or self.needed(segment) or self.may_grow(segment):
                continue
            with self.lock:
                segment.release()
                if segment not in newest:
                    segment.state.marks, segment.state.lines = segment.state.marks[:_MARKS], b""
                if segment.name is None:
                    segment.state.gone = True

    def release_surplus(self, reading: Segment | None = None) -> None:
        """Keep to the bound: close what can be opened again, what is needed last first.

        What is unlinked cannot: only when there is nothing else, the oldest of it is let go.
        """
        with self.lock:
            surplus = self.open_count() - self.limits.max_open
            if surplus <= 0:
                return
            held = [s for s in self if s.source and not s.live and s is not reading]
            named = (s for s in reversed(held) if s.name is not None and not s.unlinked)
            nameless = (s for s in held if s.name is None or s.unlinked)
            for segment in islice(chain(named, nameless), surplus):
                segment.release()
                if segment.name is None:
                    segment.let_go()

    def open_count(self) -> int:
        return sum(1 for s in self if s.source is not None)

    def next_for(self, ledger: Ledger) -> Segment | None:
        """Return the first segment that may have something for *ledger*; called with the lock."""
        idle: Segment | None = None
        offsets = ledger.next_offsets()
        for segment in self:
            state = segment.state
            if offsets.get(segment.seq, 0) >= state.size and (state.complete or segment.live):
                # An older log may be put beside the live one: it must not wait for rotation.
                idle = idle or (None if state.complete else segment)
            elif not segment.trouble:
                return segment
        return idle if idle is None or not idle.trouble else None

    def appearance(self) -> list[object]:
        """Return what listeners are told of when it changes."""
        return [segment.appearance for segment in self]

    def forget_rewritten(self, unchanged: Callable[[Segment], bool]) -> None:
        """Let go of files that are not what they were: truncated or written anew in place."""
        for segment in self:
            if segment.source is None:
                continue
            segment.trouble = ""
            if not segment.state.cut and not unchanged(segment):
                with self.lock:
                    segment.release()
                    segment.state.truncated = True
                    segment.name = segment.stamp = None
