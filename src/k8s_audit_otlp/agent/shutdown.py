"""Decides when the agent ends, and what must be delivered before: bytes that are on disk now.

`--once` asks for what is there at the start, `until: caught_up` for what is there at the signal.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from k8s_audit_otlp.exporter.subscription import Subscription
from k8s_audit_otlp.exporter.wrapped_lines import UnwrappingEncoder
from k8s_audit_otlp.model import Block, EncodedBlock
from k8s_audit_otlp.receiver.blocks import BlockReader
from k8s_audit_otlp.receiver.lines import last_line_end
from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.receiver.names import GZIP
from k8s_audit_otlp.receiver.segment import Segment
from k8s_audit_otlp.receiver.troubles import WAITING
from k8s_audit_otlp.state.ledger import Ledger
from k8s_audit_otlp.telemetry.logs import logger

_NOTICES_S = 10.0  # for notices without progress, once no event waits: they are kept for later


@dataclass(frozen=True, slots=True)
class SegmentTarget:
    """A segment must be settled up to `size`, or to its end where the size is not known yet."""

    log: AuditLog
    segment: Segment
    size: int | None

    def reached(self, ledger: Ledger) -> bool:
        state = self.segment.state
        if self.size is None:
            return state.complete and ledger.settled_offset(state.seq) >= state.size
        return ledger.settled_offset(state.seq) >= self.size

    def unfinished(self) -> str:
        """Say what stands after the last newline of a live file, if that is still without one."""
        source = self.segment.source
        if self.size is None or source is None or source.compressed or not self.segment.live:
            return ""
        end = source.stat().st_size
        if last_line_end(source, end) != self.size:
            return ""
        return _without_end(end - self.size, source.read_at(self.size, 1))

    def begun(self) -> str:
        """Say what is there of an event whose other pieces a container's log does not hold yet."""
        size = self.segment.state.size if self.size is None else self.size
        if not size or self.segment.source is None:
            return ""
        reading = UnwrappingEncoder(_nothing, "auto", BlockReader(self.log).before)
        begun = reading.begun_before(self.segment.seq, size)
        what = f"it ends within an event: {begun:,} bytes of it stay behind until the rest comes"
        return what if begun else ""

    def left(self, ledger: Ledger) -> int:
        """Bytes that are not settled, as far as the size is known."""
        size = self.segment.state.likely_size if self.size is None else self.size
        return max(0, size - ledger.settled_offset(self.segment.seq))


def targets(logs: Iterable[AuditLog]) -> list[SegmentTarget]:
    """Return the targets of what is on disk now, without an unterminated line of a live file."""
    return [
        SegmentTarget(log, segment, _size(segment))
        for log in logs
        for segment in log.segments()
        if not segment.state.gone
    ]


def _size(segment: Segment) -> int | None:
    source = segment.source
    if segment.live and source is not None and not source.compressed:
        return last_line_end(source, source.stat().st_size)
    return segment.state.size if segment.state.complete else None


def _nothing(block: Block) -> EncodedBlock:
    return EncodedBlock(block.span, (), ())


def _has_live(log: AuditLog) -> bool:
    return log.path.suffix == GZIP or any(segment.live for segment in log.segments())


def _unterminated(path: Path) -> str:
    """Say what a file holds that is no segment, as it has no whole line yet."""
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            first, size = file.read(1), file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 1))
            # a copy of a segment is none itself
            return "" if file.read(1) == b"\n" else _without_end(size, first)
    except OSError:
        return ""  # which is a trouble of the log


def _without_end(size: int, first: bytes) -> str:
    """Say that *size* bytes at the end of a log, which begin with *first*, are left."""
    if not size:
        return ""
    if first == b"\0":
        return f"it ends in {size:,} NUL bytes, which stay behind until something follows them"
    return (
        f"its last line has no end: {size:,} bytes stay behind until there is a newline after them"
    )


class DrainTarget:
    """Targets that every exporter must reach, with a deadline for one that gets nowhere."""

    def __init__(
        self, logs: Sequence[AuditLog], subscriptions: Sequence[Subscription], deadline_s: float
    ) -> None:
        """*deadline_s*: how long nothing may settle before it gives up."""
        self._logs = logs
        self._targets = targets(logs)
        self._troubles = [trouble for log in logs for trouble in log.troubles.now]
        self._subscriptions = list(subscriptions)
        self._deadline_s = deadline_s
        self._seen = (-1, -1)
        self._progress_at = 0.0

    def undelivered(self) -> list[tuple[str, str, int]]:
        """Return (exporter, segment, bytes) that are asked for and not settled."""
        return [
            (subscription.exporter, target.segment.state.name, target.left(subscription.ledger))
            for subscription in self._subscriptions
            for target in self._targets
            if target.log is subscription.log and not target.reached(subscription.ledger)
        ]

    def left_behind(self) -> list[str]:
        """Say what no exporter was asked for: logs that could not be read, what has no end.

        A line that has got its end since is a new one, which nobody asked for.
        """
        left = [(target.log.path, target.unfinished()) for target in self._targets]
        last = {target.log.key: target for target in self._targets if target.segment.state.size}
        left += [(target.log.path, target.begun()) for target in last.values()]
        left += [(log.path, _unterminated(log.path)) for log in self._logs if not _has_live(log)]
        unfinished = [f"{path}: {what}" for path, what in left if what]
        notices = [
            f"{subscription.exporter}: notices of the agent (its start, receipts, gaps) that have "
            f"not arrived: {count:,}; the next run sends them"
            for subscription in self._subscriptions
            if (count := len(subscription.outbox))
        ]
        return [trouble.removesuffix(WAITING) for trouble in self._troubles] + unfinished + notices

    def acknowledged(self) -> bool:
        """Say whether every receipt and notice has arrived as well, and no gap may be told yet."""
        doubt = any(log.state().doubts and not log.troubles.now for log in self._logs)
        return not doubt and not any(
            len(subscription.outbox) for subscription in self._subscriptions
        )

    def stalled(self, now_s: float) -> bool:
        """Say whether nothing has settled for too long."""
        settlements = sum(c.ledger.settlements for c in self._subscriptions)
        waiting = sum(len(c.outbox) for c in self._subscriptions)
        if (settlements, waiting) != self._seen:
            self._seen, self._progress_at = (settlements, waiting), now_s
        events_wait = bool(self.undelivered())
        timeout_s = self._deadline_s if events_wait else min(self._deadline_s, _NOTICES_S)
        return now_s - self._progress_at >= timeout_s


class Shutdown:
    """When the agent ends: at once, or when a target is reached or nothing moves any more.

    A signal handler may call `request`, and set `at_once`; all else belongs to the commit loop.
    """

    def __init__(
        self,
        new_target: Callable[[], DrainTarget],
        *,
        write_receipts: Callable[[], None],
        catch_up_first: bool,
    ) -> None:
        """*new_target* makes a target; *catch_up_first*: the first `request` waits for one."""
        self.at_once = False
        self.handed_over = False  # another agent of this process goes on
        self.stalled = False  # nothing has moved for long enough
        self.reached = False  # all is delivered and acknowledged, or will not be
        self.left_behind: list[str] = []  # what of the logs nobody could deliver
        self._new_target = new_target
        self._write_receipts = write_receipts
        self._catch_up_first = catch_up_first
        self._catch_up = False
        self._target: DrainTarget | None = None

    def request(self, *, can_catch_up: bool) -> None:
        if self._catch_up_first and can_catch_up:
            self._catch_up_first, self._catch_up = False, True
        else:
            self.at_once = True

    def log_begin(self, in_flight: int, timeout_s: float) -> None:
        """Log that the end has begun."""
        why = "giving way to the new configuration" if self.handed_over else "stopping"
        if self.stalled:
            why = "nothing was acknowledged until the deadline: stopping"
        requests = "1 request" if in_flight == 1 else f"{in_flight} requests"
        if in_flight:
            why += f": waiting up to {timeout_s:g} s for {requests} in flight; what is left is kept"
        logger.info("stopping", why, in_flight=in_flight, reload=self.handed_over)

    def set_target(self) -> None:
        """Make what is on disk now the target that is to be delivered before the end."""
        self._target = self._new_target()

    @property
    def has_target(self) -> bool:
        return self._target is not None

    def look(self, now_s: float) -> None:
        """See whether it is `reached`. A target that stalls is, whatever fails after that look."""
        if self._catch_up and self._target is None:
            self.set_target()
        if self._target is None:
            return
        self.reached = self.stalled = self._target.stalled(now_s)
        if not self._target.undelivered():
            self._write_receipts()  # of what has settled since the commit
            self.reached |= self._target.acknowledged()

    def note_left_behind(self) -> None:
        self.left_behind = self._target.left_behind() if self._target else []

    def undelivered(self) -> list[tuple[str, str, int]]:
        """Return (exporter, segment, bytes) that must be delivered before the end and is not."""
        return self._target.undelivered() if self._target else []
