"""The agent: runs everything that a configuration describes.

Order of life: lock, load, list the logs, place every exporter, start; commit once a second; drain,
commit, release. Nothing is lost wherever this is cut off: what is not committed is sent again.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Event

from k8s_audit_otlp.agent.commit_loop import Act, CommitLoop, Wake
from k8s_audit_otlp.agent.committer import Committer
from k8s_audit_otlp.agent.pipeline import Pipeline
from k8s_audit_otlp.agent.replay import is_replay
from k8s_audit_otlp.agent.sealing import Sealing
from k8s_audit_otlp.agent.shutdown import DrainTarget, Shutdown
from k8s_audit_otlp.agent.sources import Sources
from k8s_audit_otlp.agent.start import (
    AgentOptions,
    Resumed,
    announce,
    config_digest,
    marker_for,
    resume,
)
from k8s_audit_otlp.agent.startup_messages import startup_messages
from k8s_audit_otlp.agent.watched_logs import WatchedLogs
from k8s_audit_otlp.config.config import Config
from k8s_audit_otlp.evidence.evidence import Evidence, Silence
from k8s_audit_otlp.exporter.subscription import Subscription
from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.state.checkpoint import Checkpoint, CheckpointFile
from k8s_audit_otlp.state.lock import StateLock
from k8s_audit_otlp.state.marker import Marker
from k8s_audit_otlp.state.positions import PositionFile
from k8s_audit_otlp.telemetry.journal import Failures
from k8s_audit_otlp.telemetry.logs import logger
from k8s_audit_otlp.telemetry.running_agent import ExporterRuntime
from k8s_audit_otlp.telemetry.source_views import source_views
from k8s_audit_otlp.telemetry.tap import Tap
from k8s_audit_otlp.transport.sender import close_all

_SOURCES_S = 2.0  # to end what they are taking, however long the requests in flight took


class Agent:
    """One process's work.

    `start` may raise StateError, StateLockedError, ConfigError or OSError; after it, trouble
    is waited for and reported, never raised.
    """

    def __init__(
        self,
        config: Config,
        env: Mapping[str, str],
        options: AgentOptions | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.config = config
        self.digest = config_digest(config)
        self._env = env
        self._options = options or AgentOptions()
        self._monotonic = monotonic
        self._now = now
        self._file = CheckpointFile(Path(config.service.state_dir))
        self._positions = PositionFile(self._file.directory)
        self.lock = self._options.lock or StateLock(self._file.directory)
        self._base = Checkpoint()
        self._committer: Committer | None = None
        self._evidence = Evidence(self._now_ns, replayed=is_replay(config))
        self._sealing = Sealing(self._evidence, config.service.evidence, monotonic=monotonic)
        self._failures = Failures(self._evidence, monotonic=monotonic)
        self._tap = Tap(self._file.directory)
        self._stop, self._wake = Event(), Wake()
        self.shutdown = Shutdown(
            self._new_drain_target,
            write_receipts=self._evidence.write_receipts,
            catch_up_first=config.service.until == "caught_up",
        )
        self.watched = WatchedLogs(config, once=self._options.once, on_failure=self._failures.say)
        self.started = False  # the state is ours
        self.works = False  # its threads should run
        self.sources = Sources(
            config, monotonic, on=not self._options.once, earlier=self._options.sources
        )
        self.logs: list[AuditLog] = []
        self.exporters: list[ExporterRuntime] = []
        self._listeners: list[Callable[[], None]] = []

    def listen(self, tick: Callable[[], None]) -> None:
        """Call *tick* whenever the commit loop comes round."""
        self._listeners.append(tick)

    def _now_ns(self) -> int:
        return round(self._now().timestamp() * 1e9)

    def start(self, before: Callable[[list[Resumed]], object] = lambda _: None) -> list[Resumed]:
        """Return where every exporter goes on; *before* is told that before anything is sent."""
        self._sealing.begin()
        self._load_state()
        marker = marker_for(self._base, self._file.directory)
        pipeline = self._build(marker)
        for log in self.logs:
            log.scan()
        for subscription in self.subscriptions():
            subscription.resume_new_segments()
        new = self._options.appeared
        resumed = [
            resume(s, self.config, pipeline.readers[s.log.key], self._evidence, self._now_ns(), new)
            for s in self.subscriptions()
        ]
        if once := self._options.once:
            self.shutdown.set_target()
        announce(
            self._evidence,
            self._base,
            self.digest,
            resumed,
            safe_mode=marker is not None,
            changes=self._options.changes,
        )
        self.commit()
        messages = startup_messages(self.logs, list(self.subscriptions()), once=once)
        self._listeners += [*messages, self._open_tap]
        self.watched.start()
        self.sources.start()
        before(resumed)
        for runtime in self.exporters:
            runtime.consumer.start()
        self.works = True
        return resumed

    def _open_tap(self) -> None:
        if not self.commit_error:  # else no socket can be made there either
            self._failures.guard("tap", self._tap.start)

    def _load_state(self) -> None:
        """Lock the state directory, and load the checkpoint."""
        self._file.prepare()
        self.lock.acquire(self._options.lock_timeout_s, self._await_predecessor)
        self.started = True
        restored = self._file.load()
        if restored.warning:
            logger.warning("state_damaged", restored.warning)
        self._base = (restored.checkpoint or self._base).note_boot(self._options.boot())

    def _build(self, marker: Marker | None) -> Pipeline:
        """Open the logs, and build what reads and delivers them."""
        self.sources.open()
        self.sources.warn_of_abandoned_spools(self._base)
        manifests, handed = self._base.manifests, self._options.handed
        by_receiver = {
            name: self.watched.open(name, manifests, handed) for name in self.config.receivers
        }
        self.logs = [log for logs in by_receiver.values() for log in logs]
        pipeline = Pipeline(
            self.config,
            self._env,
            by_receiver,
            self._base,
            self._options,
            positions=self._positions,
            stop=self._stop,
            evidence=self._evidence,
            on_failure=self._failures.say,
            tap=self._tap,
            marker=marker,
        )
        self.exporters += pipeline.build()  # the list itself is known to whoever listens
        self._committer = Committer(
            self._file,
            self.lock,
            self._base,
            self.logs,
            self.exporters,
            positions=self._positions,
            max_uncommitted_bytes=self.config.service.max_uncommitted_bytes,
            before=self._evidence.write_receipts,
            now=self._now,
        )
        self._committer.call_when_due(self._wake.set)
        return pipeline

    def _await_predecessor(self, holder: str) -> None:
        text = f"waiting for process {holder} to let go of {self._file.directory}"
        logger.info("waiting", text, process=holder)

    def subscriptions(self) -> Iterator[Subscription]:
        for runtime in self.exporters:
            yield from runtime.subscriptions

    def run(self) -> bool:
        """Work until `stop`, or with `once` until all is delivered; say whether all was."""
        delivered = self._until_done()
        if not self.shutdown.handed_over:  # else the next one seals as it begins
            last = partial(self._sealing.last, self.commit, list(self.subscriptions()))
            self._failures.guard("seal", last)
        self._drain()
        return delivered

    def stop(self) -> None:
        """Begin to stop; safe to call from a signal handler.

        With `until: caught_up` the first call only asks for what is there now to be delivered.
        """
        self.shutdown.request(can_catch_up=self.started)
        self._wake.set()

    def hand_over(self) -> None:
        """Begin to end for another agent of this process: at once, whatever `until` says."""
        self.shutdown.at_once = self.shutdown.handed_over = True
        self._wake.set()

    def _new_drain_target(self) -> DrainTarget:
        deadline_s, stop_s = self._options.deadline_s, self.config.service.shutdown_timeout_s
        timeout_s = deadline_s if self._options.once else min(deadline_s, stop_s)
        return DrainTarget(self.logs, list(self.subscriptions()), timeout_s)

    def _until_done(self) -> bool:
        if self._committer is not None:  # else the start has failed
            self._loop(self._committer)
        self.works = False
        self.shutdown.note_left_behind()
        return not self.shutdown.undelivered()

    def _loop(self, committer: Committer) -> None:
        receivers = self.config.receivers
        after_s = {log.key: receivers[log.key.receiver].silence_after_s for log in self.logs}
        silence = Silence(self._evidence, after_s, now_ns=self._now_ns)
        loop = CommitLoop(
            committer,
            self.sources,
            self.shutdown,
            self._wake,
            self._failures.guard,
            self._monotonic,
        )
        each_second: list[tuple[str, Act]] = [
            ("silence", partial(silence.look, self.logs)),
            ("watch", self.watched.look),
            ("sources", self.sources.look),
            ("sources", partial(self.sources.report_losses, self._evidence, self.exporters)),
            ("seal", self._sealing.look),
        ]
        loop.run(self._listeners, each_second)

    @property
    def commit_error(self) -> str:
        """Why positions cannot be written, '' where they can."""
        return self._committer.error if self._committer else ""

    def commit(self, *, durable: bool = True) -> None:
        if self._committer is not None:
            self._committer.commit(durable=durable)

    def _drain(self) -> None:
        """Let requests in flight finish up to the timeout, then give up those in back-off."""
        requests = sum(r.consumer.in_flight for r in self.exporters)
        timeout_s = self.config.service.shutdown_timeout_s
        self.shutdown.log_begin(requests, timeout_s)
        end = self._monotonic() + (0.0 if self.shutdown.stalled else timeout_s)
        for runtime in self.exporters:
            runtime.consumer.drain()
        while self._monotonic() < end and any(
            r.consumer.sending > r.gate.waiting for r in self.exporters
        ):
            time.sleep(0.01)
        # Until here they have taken events: an apiserver keeps only some while nobody does.
        left_s = max(_SOURCES_S, end - self._monotonic())
        self._failures.guard("sources", partial(self.sources.stop, left_s))
        self._options.sources.update({view.source: view for view in source_views(self)})
        self._stop.set()
        self.watched.stop()
        for runtime in self.exporters:
            runtime.consumer.close()
        for log in self.logs:  # what has settled since the last look can be forgotten
            self._failures.guard("scan", log.scan)
        self._base.starts = []  # a clean end: the next start needs no safe mode
        self._evidence.agent("stopped", "stopped", {"process.pid": os.getpid()})
        self._failures.guard("commit", self.commit)
        self._positions.close()
        close_all(runtime.sender for runtime in self.exporters)
        self._tap.close()
        for log in self.logs:
            log.close()
        if not self.shutdown.handed_over:  # else no other process comes in between
            self.lock.release()
