"""Writes the checkpoint, and handles a disk that refuses it."""

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import datetime

from k8s_audit_otlp.exporter.subscription import collect, forget_finished
from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.state.checkpoint import Checkpoint, CheckpointFile, StateError
from k8s_audit_otlp.state.lock import StateLock, StateLockedError
from k8s_audit_otlp.state.positions import PositionFile
from k8s_audit_otlp.telemetry.logs import logger
from k8s_audit_otlp.telemetry.running_agent import ExporterRuntime


@dataclass(eq=False, repr=False)
class Committer:
    """Writes checkpoints for the agent's main thread, and for it alone.

    *before* is called first: it writes what must be in the same checkpoint.
    """

    file: CheckpointFile
    lock: StateLock
    base: Checkpoint
    logs: Sequence[AuditLog]
    exporters: Sequence[ExporterRuntime]
    _: KW_ONLY
    positions: PositionFile
    max_uncommitted_bytes: int
    before: Callable[[], None]
    now: Callable[[], datetime]

    def __post_init__(self) -> None:
        self._versions: list[int] = []  # of the logs, that the newest checkpoint holds
        self._woken_for: list[int] = []
        self._delivered = self._delivered_bytes()  # when the positions were last on disk
        self._fresh = True  # the positions file is of another process, or of another directory
        self.error = ""

    def call_when_due(self, wake: Callable[[], None]) -> None:
        """Call *wake* once segments have come or gone: a killed process cannot tell of them."""

        def look() -> None:
            versions = [log.version for log in self.logs]
            if versions != self._woken_for:
                self._woken_for = versions
                wake()

        for log in self.logs:
            log.listen(look)

    def commit(self, *, durable: bool = True) -> None:
        """Write the checkpoint; a disk that refuses is reported and tried again.

        Positions need no checkpoint, they are written when they move: one that need not be
        *durable* is only written when segments have come, gone or changed their names.
        """
        subscriptions = [s for runtime in self.exporters for s in runtime.subscriptions]
        self.before()
        versions = [log.version for log in self.logs]
        if versions == self._versions and not durable:
            return
        forget_finished(self.logs, subscriptions)
        stamp = self.now().isoformat(timespec="milliseconds")
        try:
            state = collect(self.base, self.logs, subscriptions, stamp)
            self.file.save(state, durable=durable)
            if durable and self._fresh:
                self.positions.begin()
                self._fresh = False
                for subscription in subscriptions:
                    subscription.write_moved()
        except OSError as error:
            self._refused(error)
            return
        self._versions = versions
        if durable:
            for subscription in subscriptions:
                subscription.stored()
        if self.error:
            logger.info("state_written", f"{self.file.path}: written again")
            self._stall("")
        self.error, self._delivered = "", self._delivered_bytes()

    def _delivered_bytes(self) -> int:
        return sum(r.journal.counts.delivered_bytes for r in self.exporters)

    def _refused(self, error: OSError) -> None:
        """Go on delivering; without positions only up to a bound, as all of it is sent again."""
        if not self.error:
            why = f"the state cannot be written ({error.strerror}); delivery goes on, notices wait"
            logger.error("state_unwritable", f"{self.file.path}: {why}", reason=error.strerror)
        self.error = str(error.strerror)
        if isinstance(error, FileNotFoundError):
            self._make_directory_again()
        try:
            self.positions.resume()  # a process that starts on a full disk is killed like any other
            self.positions.sync()
            self._delivered = self._delivered_bytes()
        except OSError:
            if self._delivered_bytes() - self._delivered >= self.max_uncommitted_bytes:
                self._stall("too much is delivered that the state directory cannot record")

    def _stall(self, why: str) -> None:
        for runtime in self.exporters:
            runtime.gate.stall("state", why)

    def _make_directory_again(self) -> None:
        """Make a deleted state directory again: positions are still in memory."""
        try:
            self._fresh = True
            self.file.prepare()
            self.lock.release()
            self.lock.acquire()
        except (StateError, StateLockedError) as error:
            # tried again at the next commit
            logger.error("state_unwritable", str(error))
