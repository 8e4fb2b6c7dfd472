"""The segments of one log that are known, in order: which files hold them, which may be closed.

Manifest entries and file events in, decisions about descriptors out. Whoever uses it holds the lock
of the AuditLog.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from k8s_audit_otlp.receiver.identity import Identity
from k8s_audit_otlp.receiver.segment import Segment
from k8s_audit_otlp.receiver.source import GzipSource, PlainSource
from k8s_audit_otlp.state.ledger import Ledger
from k8s_audit_otlp.state.manifest import Manifest, ManifestState, SegmentState

MAX_LINE_BYTES = 64 * 1024 * 1024  # unless configured; a longer line is one record without bodies
_GONE_S = 30.0  # compressing a segment takes less, and so do a few listings


@dataclass(frozen=True, slots=True)
class LogLimits:
    """Bounds of one log, each with its unit."""

    max_line_bytes: int = MAX_LINE_BYTES
    max_open: int = 256  # descriptors kept for segments that somebody still needs
    settle_s: float = 5.0  # an unterminated last line of a closed file is a line after so long
    torn_s: float = 60.0  # a .gz without an end that does not change any more is torn


class KnownSegments:
    """Segments by sequence number, with the ledgers that may still need them."""

    def __init__(
        self, state: ManifestState | None, limits: LogLimits, clock_ns: Callable[[], int]
    ) -> None:
        self.manifest = Manifest(state)
        self.limits = limits
        self.clock_ns = clock_ns
        self.ledgers: list[Ledger] = []
        self._segments = {s.seq: Segment(s) for s in self.manifest}
        self._gone_since: dict[int, int] = {}

    def __iter__(self) -> Iterator[Segment]:
        return iter(self._segments.values())

    def __getitem__(self, seq: int) -> Segment:
        return self._segments[seq]

    def last(self) -> Segment | None:
        return next(reversed(self._segments.values()), None)

    def live(self) -> Segment | None:
        return next((s for s in reversed(self._segments.values()) if s.live), None)

    def add(self, identity: Identity) -> Segment:
        """Give a new segment its place at the end."""
        state = self.manifest.add(
            identity.name,
            identity.head,
            identity.head_length,
            head_start=identity.head_start,
            now_ns=self.clock_ns(),
        )
        segment = self._segments[state.seq] = Segment(state)
        return segment

    def finished(self) -> list[SegmentState]:
        """Return the segments that are settled by everyone and gone from disk for good.

        A listing is no snapshot: what one does not show the next may, as a `.gz` under another
        name, and a segment that was forgotten would be a new one then.
        """
        now = self.clock_ns()
        gone = [s for s in self if s.state.gone and s.state.complete and not self.needed(s)]
        self._gone_since = {s.seq: self._gone_since.get(s.seq, now) for s in gone}
        return [s.state for s in gone if now - self._gone_since[s.seq] >= _GONE_S * 1e9]

    def settled(self) -> list[Segment]:
        """Return the segments without a name that nobody needs any more."""
        return [s for s in self if s.name is None and s.state.complete and not self.needed(s)]

    def forget(self, seqs: Iterable[int]) -> list[Segment]:
        self.manifest.forget(seqs)
        return [s for seq in seqs if (s := self._segments.pop(seq, None)) is not None]

    # -- files ---------------------------------------------------------------------------------

    def hold(self, segment: Segment, source: PlainSource | GzipSource, *, live: bool) -> None:
        known_end = segment.state.complete and segment.source is None
        segment.hold(source, self.clock_ns())
        if live:
            segment.state.complete, segment.state.closed_ns = False, 0
            return
        if segment.compressed and not known_end:
            segment.state.complete = False
        if not self.needed(segment) or self.open_count() > self.limits.max_open:
            segment.release()

    def close_if_rotated(self, segment: Segment) -> None:
        """Mark where a plain file ends that has any other name than the live one."""
        if segment.live or segment.compressed:
            return
        if not segment.state.closed_ns:
            segment.state.closed_ns = self.clock_ns()
        if segment.source is not None:
            segment.state.complete = True

    def forget_rewritten(self) -> None:
        """Let go of files that no longer begin as they did: truncated or written anew in place."""
        for segment in self:
            source = segment.source
            if not isinstance(source, PlainSource):
                continue
            shrunk = source.stat().st_size < segment.disk_size
            if shrunk or (segment.live and not segment.head_matches()):
                segment.release()
                segment.state.device = segment.state.inode = 0
                segment.state.truncated = True
                segment.name = segment.stamp = None

    def unbind(self, bound: set[int], *, nothing_listed: bool) -> None:
        """Note which known segments the directory does not show."""
        for segment in self:
            if segment.seq in bound:
                continue
            if segment.name is not None and segment.live and nothing_listed:
                continue  # the directory may be moved or unmounted; it can come back
            segment.name = None
            if segment.source is not None:
                segment.look(self.clock_ns())
                self.close_if_rotated(segment)
            elif not nothing_listed:
                segment.state.gone = True
                segment.state.complete |= segment.state.truncated

    def release_done(self) -> None:
        """Close what everyone has settled."""
        for segment in self:
            if segment.live or not segment.state.complete or self.needed(segment):
                continue
            segment.release()
            if segment.name is None:
                segment.state.gone = True

    def release_surplus(self, reading: Segment | None = None) -> None:
        """Keep to the bound: close what can be opened again, what is needed last first.

        What is unlinked cannot: only when there is nothing else, the oldest of it is let go.
        """
        surplus = self.open_count() - self.limits.max_open
        if surplus <= 0:
            return
        held = [s for s in self if s.source is not None and not s.live]
        named = [s for s in reversed(held) if s.name is not None and not s.unlinked]
        nameless = [s for s in held if s.name is None or s.unlinked]
        for segment in [s for s in (*named, *nameless) if s is not reading][:surplus]:
            segment.release()
            if segment.name is None:
                segment.state.gone = segment.state.let_go = True

    def needed(self, segment: Segment) -> bool:
        if not segment.state.complete:
            return True
        return any(
            ledger.settled_offset(segment.seq) < segment.state.size for ledger in self.ledgers
        )

    def open_count(self) -> int:
        return sum(1 for s in self if s.source is not None)
