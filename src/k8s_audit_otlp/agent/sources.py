"""The sources of an agent, and the spools that they write and that its logs are read from."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import assert_never

from k8s_audit_otlp.config.config import Config
from k8s_audit_otlp.config.extensions import BearerToken
from k8s_audit_otlp.config.mistakes import ConfigError
from k8s_audit_otlp.config.sources import (
    AuditWebhook,
    CloudWatch,
    Kafka,
    Source,
    spool_directory,
    spools_of,
)
from k8s_audit_otlp.evidence.evidence import Evidence
from k8s_audit_otlp.exporter.subscription import Subscription
from k8s_audit_otlp.model import LogKey
from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.receiver.segment import Segment
from k8s_audit_otlp.receiver.spool.segment_files import SpoolLimits
from k8s_audit_otlp.receiver.spool.spool import Spool
from k8s_audit_otlp.state.checkpoint import Checkpoint
from k8s_audit_otlp.telemetry.backlog import inspect
from k8s_audit_otlp.telemetry.logs import logger
from k8s_audit_otlp.telemetry.running_agent import ExporterRuntime, RunningSource
from k8s_audit_otlp.telemetry.views import SourceView
from k8s_audit_otlp.transport.tls import TlsError


class Sources:
    """The sources: opened before the logs, started after the exporters, stopped first."""

    def __init__(
        self,
        config: Config,
        monotonic: Callable[[], float],
        *,
        on: bool,
        earlier: Mapping[str, SourceView],
    ) -> None:
        """*on*: not where only what is there is delivered, so that the agent comes to an end.

        *earlier*: what each had counted before a reload.
        """
        self.earlier = dict(earlier)
        self._config = config
        self._on = on
        self._specs = list(config.spools()) if on else []
        self._monotonic = monotonic
        self._deletable: list[tuple[Spool, str]] = []  # segments that may be deleted
        self.is_short_of_room = False  # a spool needs the room of what is passed soon
        self.spools: dict[str, Spool] = {}  # by the id of the receiver that reads it
        self.addresses: dict[str, str] = {}  # where each source listens or reads
        self.running: dict[str, RunningSource] = {}
        self._reported: Counter[str] = Counter()  # losses that were, by source

    def open(self) -> None:
        """Take up the spools. Raise OSError where a directory cannot be written."""
        for source, cluster, log in self._specs:
            directory = spool_directory(self._config.service.state_dir, source, cluster)
            block = self._config.sources[source].spool
            limits = SpoolLimits(block.max_bytes, block.segment_bytes, block.min_free_disk_bytes)
            spool = Spool(directory, limits)
            spool.open()
            self.spools[log] = spool

    def warn_of_abandoned_spools(self, checkpoint: Checkpoint) -> None:
        """Warn of spools with undelivered events whose receiver is not configured any more."""
        read = {
            str(path) for receiver in self._config.receivers.values() for path in receiver.include
        }
        spools = spools_of(self._config.service.state_dir)
        left: dict[str, int] = {}
        for stored in inspect(checkpoint):
            path = LogKey.parse(stored.log).path
            if Path(path).is_relative_to(spools) and path not in read:
                left[path] = max(left.get(path, 0), stored.backlog_bytes)
        for path, waiting in left.items():
            if waiting:
                text = (
                    f"{path}: {waiting} bytes of it are not delivered, and no receiver reads it "
                    "any more: they are kept and not sent; put the receiver back, or remove the "
                    "directory to give them up"
                )
                logger.warning("abandoned_spool", text, log=path, bytes=waiting)

    def start(self) -> None:
        """Take what comes from now on.

        Raise ConfigError where an address or a certificate cannot be used.
        """
        for name, source in self._config.sources.items():
            if not self._on:
                text = "takes nothing new with --once; only what it has taken before is sent"
                logger.warning("source", f"{name}: {text}", receiver=name)
                continue
            spools = {
                cluster: self.spools[log]
                for source_id, cluster, log in self._specs
                if source_id == name
            }
            try:
                running = _running(name, source, spools, self._config)
                self.addresses[name] = running.start()
            except (OSError, TlsError) as error:
                why = getattr(error, "strerror", None) or str(error)
                hint = "correct its address, or its certificates"
                raise ConfigError.at(
                    f"receivers::{name}", f"it cannot be started: {why}", hint
                ) from None
            self.running[name] = running
            address = self.addresses[name]
            logger.info("source", f"{name}: listening at {address}", receiver=name, address=address)

    def look(self) -> None:
        """Load certificates that have changed."""
        for running in self.running.values():
            running.look()

    def report_losses(self, evidence: Evidence, runtimes: Sequence[ExporterRuntime]) -> None:
        """Tell every exporter what a service deleted before it was read."""
        for name, running in self.running.items():
            for lost in running.lost[self._reported[name] :]:
                self._reported[name] += 1
                logs = {log for source, _, log in self._specs if source == name}
                for runtime in runtimes:
                    for subscription in runtime.subscriptions:
                        if subscription.log.key.receiver in logs:
                            evidence.lost_at_source(subscription, self._reported[name], *lost)
                            runtime.journal.lost_at_source(name, *lost)

    def mark_passed(self, logs: Sequence[AuditLog], runtimes: Sequence[ExporterRuntime]) -> None:
        """Note what every exporter has, and whether a spool needs the room of it soon.

        It may be deleted once receipts and positions of now are on disk.
        """
        subscriptions = [one for runtime in runtimes for one in runtime.subscriptions]
        self._deletable = [
            (spool, segment.state.name)
            for log in logs
            if (spool := self.spools.get(log.key.receiver)) is not None
            for segment in _deletable(log.segments(), [s for s in subscriptions if s.log is log])
        ]
        self.is_short_of_room = any(spool.is_short_of_room for spool, _ in self._deletable)

    def free(self) -> None:
        """Delete the passed segments, now that the checkpoint about them is on disk."""
        for name, count in self._reported.items():
            self.running[name].on_record = count
        for spool, name in self._deletable:
            spool.delete(name)
        self._deletable = []

    def stop(self, within_s: float) -> None:
        """Take nothing more; what is being taken is still answered, as far as there is time."""
        end = self._monotonic() + within_s
        for running in self.running.values():
            running.stop(max(0.0, end - self._monotonic()))
        for spool in self.spools.values():
            spool.close()


def _deletable(segments: Sequence[Segment], readers: Sequence[Subscription]) -> list[Segment]:
    """Return the rotated segments that everyone has settled and written the receipt of.

    The newest of all stays: that it is there when its successor is seen proves that nothing
    between them is missing.
    """
    return [
        segment
        for segment in segments[:-1]
        if segment.name is not None
        and not segment.live
        and segment.state.complete
        and readers
        and all(
            reader.ledger.settled_offset(segment.seq) >= segment.state.size
            and not reader.needs_receipt(segment.state)
            for reader in readers
        )
    ]


def _running(name: str, source: Source, spools: dict[str, Spool], config: Config) -> RunningSource:
    match source:
        case AuditWebhook():
            return webhook_source(name, source, spools, config)
        case Kafka():
            from k8s_audit_otlp.receiver.sources.kafka import (  # noqa: PLC0415 - an extra
                KafkaSource,
            )

            return KafkaSource(name, source, spools[""])
        case CloudWatch():
            from k8s_audit_otlp.receiver.sources.cloudwatch import (  # noqa: PLC0415 - an extra
                CloudWatchSource,
            )

            return CloudWatchSource(name, source, spools[""])
        case _ as never:
            assert_never(never)


def webhook_source(
    name: str, source: AuditWebhook, spools: dict[str, Spool], config: Config
) -> RunningSource:
    """Return the server of a webhook, ready to be started."""
    from k8s_audit_otlp.receiver.sources.webhook import (  # noqa: PLC0415 - loads uvicorn
        WebhookSource,
    )

    token = None
    if source.auth is not None:
        extension = config.extensions[source.auth.authenticator]
        assert isinstance(extension, BearerToken)  # noqa: S101 - config/crosscheck has seen to it
        token = extension.secret.resolve
    stop_timeout_s = config.service.shutdown_timeout_s
    return WebhookSource(name, spools, source, token=token, stop_timeout_s=stop_timeout_s)
