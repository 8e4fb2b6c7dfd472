"""Sends the dead-letter file of an exporter once more; what is accepted is removed from the file.

Safe beside a running agent: the file changes under its lock, and what the agent appends meanwhile
stays. A crash in between leaves entries that were accepted: they arrive again with the same
log.record.uid.
"""

import contextlib
import fcntl
import os
import time
from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from pathlib import Path

from k8s_audit_otlp.exporter.backoff import Backoff, send_with_retries
from k8s_audit_otlp.exporter.batcher import BatchLimits
from k8s_audit_otlp.exporter.bisect import deliver_now
from k8s_audit_otlp.exporter.dead_letter import DeadLetterRecord, digest, read_lines, remove_lines
from k8s_audit_otlp.exporter.reasons import why_of
from k8s_audit_otlp.exporter.retry_decisions import SYSTEMIC
from k8s_audit_otlp.model import Delivered, Outcome, Rejected, TooLarge
from k8s_audit_otlp.state.files import open_private
from k8s_audit_otlp.transport.sender import Sender

_MAX_RECORDS = 500  # of a request, where the exporter has no bound
_REMOVE_EVERY_BYTES = 16 * 1024 * 1024  # rewriting the file for every request would be slow


class ReplayRunningError(Exception):
    """Another replay of the same file is under way."""


@dataclass(slots=True)
class Replayed:
    """What became of the entries: `stopped` says why it ended early."""

    accepted: int = 0
    refused: int = 0
    without_record: int = 0
    without_receiver: int = 0
    why: str = ""  # of the last refusal
    stopped: str = ""


@dataclass(eq=False, repr=False)
class Replay:
    """Replays the entries of one dead-letter file."""

    path: Path
    sender: Sender
    receivers: Container[str]
    limits: BatchLimits
    backoff: Backoff
    _: KW_ONLY
    wait: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        self._done: Counter[bytes] = Counter()
        self._done_bytes = 0
        self._refused_in_a_row = 0  # refused alone with nothing accepted since
        self.result = Replayed()

    def run(self, wanted: Callable[[DeadLetterRecord], bool] = lambda _: True) -> Replayed:
        """Send what is *wanted*. Raise ReplayRunningError where somebody else does already."""
        with self._exclusive():
            try:
                for receiver, lines, records in self._batches(wanted):
                    self._deliver(receiver, lines, records)
                    if self.result.stopped:
                        break
            finally:
                self._remove_accepted()
        return self.result

    @contextlib.contextmanager
    def _exclusive(self) -> Iterator[None]:
        name = self.path.with_suffix(".replay")
        fd = open_private(name, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise ReplayRunningError(f"{self.path}: another replay is under way") from None
        finally:
            os.close(fd)

    def _batches(
        self, wanted: Callable[[DeadLetterRecord], bool]
    ) -> Iterator[tuple[str, list[bytes], list[bytes]]]:
        """Yield receiver, lines and records of one request after the other."""
        lines: list[bytes] = []
        records: list[bytes] = []
        size, of = 0, ""
        for line, entry in read_lines(self.path):
            if entry is None or not wanted(entry) or not self._can_be_sent(entry):
                continue
            record = entry.record_bytes
            full = size + len(record) > self.limits.max_bytes
            full = full or len(records) >= (self.limits.max_records or _MAX_RECORDS)
            if records and (full or entry.receiver != of):
                yield of, lines, records
                lines, records, size = [], [], 0
            of = entry.receiver
            lines.append(line)
            records.append(record)
            size += len(record)
        if records:
            yield of, lines, records

    def _can_be_sent(self, entry: DeadLetterRecord) -> bool:
        if not entry.record:
            self.result.without_record += 1
        elif entry.receiver not in self.receivers:
            self.result.without_receiver += 1
        else:
            return True
        return False

    def _deliver(self, receiver: str, lines: Sequence[bytes], records: Sequence[bytes]) -> None:
        line_of = {id(record): line for record, line in zip(records, lines, strict=True)}
        for decided, outcome in deliver_now(records, partial(self._send, receiver)):
            if isinstance(outcome, Delivered):
                self._accepted([line_of[id(record)] for record in decided])
            elif isinstance(outcome, Rejected | TooLarge):
                self._refused(outcome)
            else:
                self.result.stopped = why_of(outcome)
            if self.result.stopped:
                return

    def _send(self, receiver: str, records: Sequence[bytes]) -> Outcome:
        request = self.sender.prepare(receiver, records)
        outcome = send_with_retries(partial(self.sender.send, request), self.backoff, self.wait)
        if isinstance(outcome, Delivered) and outcome.rejected:  # which ones, nobody says
            return Rejected(outcome.message or "partial success")
        return outcome

    def _accepted(self, lines: Sequence[bytes]) -> None:
        self._refused_in_a_row = 0
        self.result.accepted += len(lines)
        self._done.update(map(digest, lines))
        self._done_bytes += sum(map(len, lines))
        if self._done_bytes >= _REMOVE_EVERY_BYTES:
            self._remove_accepted()

    def _refused(self, outcome: Outcome) -> None:
        self.result.refused += 1
        self.result.why = why_of(outcome)
        self._refused_in_a_row += 1
        if self._refused_in_a_row >= SYSTEMIC:
            self.result.stopped = f"every record is refused: {self.result.why}"

    def _remove_accepted(self) -> None:
        if self._done:
            remove_lines(self.path, self._done)
        self._done, self._done_bytes = Counter(), 0
