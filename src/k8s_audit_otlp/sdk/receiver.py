"""Hands the records of an audit log to a LoggerProvider of the program's own.

    with AuditLogReceiver("/var/log/audit.log", logger_provider=provider, state_dir="/var/lib/x"):
        ...

Records are emitted a burst at a time, at most what the processor's queue holds; then the provider
is flushed, and only where that returns True does the position move.

This is weaker than the agent. A BatchLogRecordProcessor says True when it has *tried*: what its
exporter fails to deliver is gone, and nobody here hears of it. There is no dead letter, no
splitting and no receipt. A failed flush repeats up to one block of the log (256 KiB).
"""

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any, Final, Self

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from k8s_audit_otlp import __version__
from k8s_audit_otlp.agent.mapping import ExporterMapping
from k8s_audit_otlp.config.exporters import Sdk
from k8s_audit_otlp.config.types import StartAt
from k8s_audit_otlp.exporter.subscription import Subscription, collect, forget_finished
from k8s_audit_otlp.model import Block, EncodedBlock, LogKey
from k8s_audit_otlp.otlp.sdk import sdk_records
from k8s_audit_otlp.receiver.blocks import BlockReader, Gap
from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.receiver.segment import Segment
from k8s_audit_otlp.receiver.start_at import start_at_end, start_since
from k8s_audit_otlp.receiver.watch import Watcher
from k8s_audit_otlp.state.checkpoint import Checkpoint, CheckpointFile
from k8s_audit_otlp.state.ledger import Tally
from k8s_audit_otlp.state.lock import StateLock
from k8s_audit_otlp.telemetry.journal import LogJournal

logger = logging.getLogger("k8s_audit_otlp")

NAME: Final = "logger_provider"  # of this consumer, in the checkpoint
SCOPE: Final = "k8s-audit-otlp"
BURST: Final = 512  # records; the program's own share the queue, which holds 2048 by default
FLUSH_S: Final = 30.0
IDLE_S: Final = 1.0
COMMIT_S: Final = 1.0
QUEUE_VARIABLE: Final = "OTEL_BLRP_MAX_QUEUE_SIZE"


class AuditLogReceiver:
    """Follows one log. `start` and `close`, or `poll` from a loop of one's own.

    *audit* holds the keys of an exporter's `audit` block: profile, policy, redaction, bodies,
    start_at, max_record_bytes. Secrets are redacted unless it says otherwise.

    Raises:
        ValueError: *audit* has mistakes (pydantic's ValidationError).
        ConfigurationError: a file that *audit* names cannot be used.

    """

    def __init__(
        self,
        path: str | Path,
        *,
        logger_provider: LoggerProvider,
        state_dir: str | Path,
        audit: Mapping[str, Any] | None = None,
        burst: int = BURST,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        block = Sdk.model_validate({"exporter": NAME, "audit": dict(audit or {})})
        self._start_at = block.audit.start_at or StartAt("beginning")
        self._encoder = ExporterMapping.of(NAME, block).encoder()
        self._provider = logger_provider
        self._emitter = logger_provider.get_logger(SCOPE, __version__)
        self._burst = max(1, min(burst, int(os.environ.get(QUEUE_VARIABLE) or burst)))
        self._now = now
        self._path = Path(path)
        self._file = CheckpointFile(Path(state_dir))
        self._lock_file = StateLock(self._file.directory)
        self._polling = Lock()  # one poll at a time: it reads, emits and moves the position
        self._wake, self._stop = Event(), Event()
        self._threads: list[Thread] = []
        self._watcher: Watcher | None = None
        self._committed_at = 0.0
        self._opened = False

    # -- life ------------------------------------------------------------------------------------

    def open(self) -> None:
        """Take up the position. Raise StateError or StateLockedError where that cannot be."""
        self._file.prepare()
        self._lock_file.acquire(0.0)
        try:
            restored = self._file.load()
        except BaseException:
            self._lock_file.release()
            raise
        if restored.warning:
            logger.warning("%s", restored.warning)
        self._base = restored.checkpoint or Checkpoint()
        key = str(LogKey(SCOPE, str(self._path)))
        self._log = AuditLog(SCOPE, self._path, LogJournal(logger), self._base.manifests.get(key))
        self._reader = BlockReader(self._log)
        position = self._base.positions.get(key, {}).get(NAME)
        self._consumption = Subscription.resume(self._log, NAME, position)
        self._log.register(self._consumption.ledger)
        self._log.scan()
        if self._consumption.first_start:
            self._begin()
        self._opened = True

    def start(self) -> Self:
        """Open, and follow the log in a thread until `close`."""
        self.open()
        self._log.listen(self._wake.set)
        self._watcher = Watcher(self._log)
        self._watcher.start()
        follower = Thread(target=self._follow, name="audit log receiver", daemon=True)
        self._threads.append(follower)
        follower.start()
        return self

    def close(self) -> None:
        """Stop, store the position and let go of the state directory."""
        self._stop.set()
        self._wake.set()
        if self._watcher is not None:
            self._watcher.stop()
        for thread in self._threads:
            thread.join()
        if self._opened:
            self._opened = False
            self._commit()
            self._log.close()
            self._lock_file.release()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def settled(self) -> int:
        """Return the number of records that the provider has taken, over all runs."""
        total = self._consumption.total.copy()
        for tally in self._consumption.ledger.snapshot()[1].values():
            total.add(tally)
        return total.delivered

    # -- work ------------------------------------------------------------------------------------

    def poll(self) -> bool:
        """Emit what is there now; say whether the provider took all of it."""
        with self._polling:
            self._log.scan()
            done = all(self._take(segment, found) for segment, found in self._unread())
            self._commit()
            return done

    def _follow(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            self.poll()
            self._wake.wait(IDLE_S)

    def _unread(self) -> Iterator[tuple[Segment, Block | Gap]]:
        ledger = self._consumption.ledger
        while not self._stop.is_set():
            segment = self._log.next_segment(ledger)
            if segment is None:
                return
            found = self._reader.read(segment, ledger.next_offset(segment.seq))
            if found is None:
                return
            yield segment, found

    def _take(self, segment: Segment, found: Block | Gap) -> bool:
        """Emit what was read; the position moves when the provider has taken it."""
        if isinstance(found, Gap):
            records: Iterator[LogRecord] = iter([_gap_record(segment, found, self._now())])
            tally = Tally(gaps=1)
        else:
            encoded = self._encoder.encode_block(found)
            records, tally = _sdk_form(encoded.records), _tally(encoded)
        if not self._emit(records):
            return False
        ledger = self._consumption.ledger
        ledger.settle(ledger.open(found.span), tally)
        if time.monotonic() - self._committed_at >= COMMIT_S:
            self._commit()
        return True

    def _emit(self, records: Iterator[LogRecord]) -> bool:
        """Emit a burst at a time, and wait for each to leave the queue."""
        while burst := list(islice(records, self._burst)):
            for record in burst:
                self._emitter.emit(record)
            if not self._provider.force_flush(round(FLUSH_S * 1000)):
                logger.warning("%s: the logger provider took nothing; trying again", self._path)
                return False
        return True

    def _begin(self) -> None:
        """Begin where `start_at` says."""
        since_ns = self._start_at.since_ns(round(self._now().timestamp() * 1e9))
        offsets: Mapping[int, int] = {}
        if self._start_at.kind == "end":
            offsets = start_at_end(self._log).offsets
        elif since_ns is not None:
            offsets = start_since(self._log, self._reader, since_ns).offsets
        for segment, offset in offsets.items():
            self._consumption.ledger.begin(segment, offset)

    def _commit(self) -> None:
        logs, subscriptions = [self._log], [self._consumption]
        forget_finished(logs, subscriptions)
        stamp = self._now().isoformat(timespec="milliseconds")
        self._committed_at = time.monotonic()
        try:
            self._file.save(collect(self._base, logs, subscriptions, stamp))
        except OSError as error:
            logger.error("%s: the position cannot be written (%s)", self._file.path, error.strerror)


def _sdk_form(records: Sequence[bytes]) -> Iterator[LogRecord]:
    """Yield the SDK's records; resource and scope are those of the provider."""
    nowhere = sdk_records(records, Resource({}), InstrumentationScope(SCOPE))
    return (readable.log_record for readable in nowhere)


def _tally(encoded: EncodedBlock) -> Tally:
    dropped: dict[str, int] = {}
    for _, rule in encoded.dropped:
        dropped[rule] = dropped.get(rule, 0) + 1
    delivered = len(encoded.records)
    return Tally(
        read=delivered + len(encoded.dropped),
        delivered=delivered,
        dropped=dropped,
        lines=encoded.lines,
        first_ns=encoded.first_ns,
        last_ns=encoded.last_ns,
    )


def _gap_record(segment: Segment, gap: Gap, now: datetime) -> LogRecord:
    """Say in the stream what nobody can read any more."""
    size = gap.span.end - gap.span.start
    now_ns = round(now.timestamp() * 1e9)
    return LogRecord(
        timestamp=now_ns,
        observed_timestamp=now_ns,
        severity_number=SeverityNumber.ERROR,
        severity_text="ERROR",
        event_name="k8s.audit.gap",
        body=f"{size} bytes of {segment.state.name} are lost: {gap.reason}",
        attributes={
            "k8s.audit.gap.reason": gap.reason,
            "k8s.audit.gap.bytes": size,
            "log.file.name": segment.state.name,
        },
    )
