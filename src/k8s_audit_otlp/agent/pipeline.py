"""Builds the ready consumer of every exporter from the configuration and the open logs."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from pathlib import Path
from threading import Event

from k8s_audit_otlp.agent.build import (
    batch_limits,
    delivery_options,
    endpoint_of,
    request_form,
    resource_scopes_of,
    sender_of,
    with_resource,
)
from k8s_audit_otlp.agent.exporter_mapping import ExporterMapping
from k8s_audit_otlp.agent.start import AgentOptions
from k8s_audit_otlp.config.config import Config
from k8s_audit_otlp.config.exporters import Exporter
from k8s_audit_otlp.evidence.evidence import Evidence
from k8s_audit_otlp.evidence.raw_hash import RawHashes
from k8s_audit_otlp.exporter.backpressure import Budget, Gate
from k8s_audit_otlp.exporter.batcher import Batcher, BatchLimits
from k8s_audit_otlp.exporter.consumer import Consumer
from k8s_audit_otlp.exporter.dead_letter import DeadLetterFile
from k8s_audit_otlp.exporter.delivery import Delivery
from k8s_audit_otlp.exporter.learned_limits import LearnedLimit, window_of
from k8s_audit_otlp.exporter.safe_mode import FallbackEncoder, SafeModeEncoder
from k8s_audit_otlp.exporter.shared import (
    REQUEST_BYTES,
    Encode,
    EncodedBlocks,
    Requests,
    SharingSender,
    SingleFlightCache,
)
from k8s_audit_otlp.exporter.subscription import Subscription
from k8s_audit_otlp.exporter.subscription_reader import SubscriptionReader
from k8s_audit_otlp.exporter.wrapped_lines import UnwrappingEncoder
from k8s_audit_otlp.model import LogKey
from k8s_audit_otlp.otlp.encode import Encoder, PythonEncoder
from k8s_audit_otlp.otlp.record import uid_of
from k8s_audit_otlp.otlp.resource import MAPPING
from k8s_audit_otlp.otlp.split_record import RecordSplitter
from k8s_audit_otlp.receiver.blocks import BLOCKS_KEPT, BlockReader
from k8s_audit_otlp.receiver.gaps import Gap
from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.receiver.segment import Segment
from k8s_audit_otlp.state.checkpoint import Checkpoint
from k8s_audit_otlp.state.marker import Marker
from k8s_audit_otlp.state.positions import PositionFile
from k8s_audit_otlp.telemetry.journal import ExporterCounts, ExporterJournal
from k8s_audit_otlp.telemetry.running_agent import ExporterRuntime
from k8s_audit_otlp.telemetry.tap import Tap
from k8s_audit_otlp.transport.sender import Sender

Logs = Mapping[str, Sequence[AuditLog]]  # by receiver id
_FRAME = 96  # bytes that a request adds: its own fields, an attribute of its resource


@dataclass(eq=False, repr=False)
class Pipeline:
    """Builds the exporters' runtimes; what they can share is made once.

    *marker*: mark every line before it is touched, up to the horizon.
    """

    config: Config
    env: Mapping[str, str]
    logs: Logs
    base: Checkpoint
    options: AgentOptions
    _: KW_ONLY
    positions: PositionFile
    stop: Event
    evidence: Evidence
    on_failure: Callable[[str, str], None]
    tap: Tap
    marker: Marker | None = None

    def __post_init__(self) -> None:
        self._counts = self.options.counts
        self._senders = self.options.senders
        self._around_encode = self.options.around_encode
        self._routes = list(self.config.routes())
        self._budget = Budget(self.config.service.memory_budget_bytes)
        self._hashes = self.config.service.evidence.hashes
        every = [log for of in self.logs.values() for log in of]
        self._raw_hashes = {log.key: RawHashes() for log in every if self._hashes == "all"}
        self.readers = {log.key: self._block_reader(log) for log in every}
        self._mappings = {
            name: ExporterMapping.of(name, exporter, self.options.part)
            for name, exporter in self.config.exporters.items()
        }
        self._named = {name: self._naming(name) for name in self.config.exporters}
        self._scopes = {name: resource_scopes_of(of, self.env) for name, of in self._named.items()}
        self._encoded = self._encoders()
        self._requests = self._shared_requests()

    def build(self) -> list[ExporterRuntime]:
        """Return a runtime for every exporter that has something to do."""
        return [
            self._exporter(name, exporter, receivers)
            for name, exporter in self.config.exporters.items()
            if (receivers := self.config.receivers_of(name))
        ]

    def _encoders(self) -> dict[tuple[LogKey, ExporterMapping], EncodedBlocks]:
        """Make one encoder for each log and mapping, shared by the exporters that map alike."""
        sharers: dict[tuple[LogKey, ExporterMapping], int] = {}
        for receiver, exporter in self._routes:
            for log in self.logs[receiver]:
                key = (log.key, self._mappings[exporter])
                sharers[key] = sharers.get(key, 0) + 1
        return {
            key: EncodedBlocks(self._encode(*key), sharers=count) for key, count in sharers.items()
        }

    def _shared_requests(self) -> dict[str, Requests]:
        """Return the cache of requests of each exporter that sends the same as another one."""
        alike: dict[Hashable, list[str]] = {}
        for name, exporter in self.config.exporters.items():
            form = request_form(exporter)
            if form is not None and name not in self._senders:
                receivers = tuple(self.config.receivers_of(name))
                alike.setdefault((receivers, self._mappings[name], form), []).append(name)
        found: dict[str, Requests] = {}
        for names in alike.values():
            if len(names) > 1:
                shared: Requests = SingleFlightCache(len(names), REQUEST_BYTES)
                found |= dict.fromkeys(names, shared)
        return found

    def _block_reader(self, log: AuditLog) -> BlockReader:
        with_path = self.config.receivers[log.key.receiver].include_file_path
        readers = sum(receiver == log.key.receiver for receiver, _ in self._routes)
        kept = BLOCKS_KEPT if readers > 1 else 0  # a single exporter reads each block once
        reader = BlockReader(log, cache_bytes=kept, with_path=with_path)
        if (hashes := self._raw_hashes.get(log.key)) is not None:
            reader.listen(hashes.take)
        return reader

    def _encode(self, log: LogKey, mapping: ExporterMapping) -> Encode:
        said = partial(self.on_failure, "encoding")
        name = self.config.receivers[log.receiver].format
        look_back = self.readers[log].before
        kind = Encoder if self.marker is None else PythonEncoder
        encoder = mapping.encoder(digests=self._hashes != "none", kind=kind)
        unwrapping = UnwrappingEncoder(encoder.encode_block, name, look_back)
        encode: Encode = FallbackEncoder(unwrapping, said)
        if self._around_encode is not None:
            encode = self._around_encode(encode)
        if self.marker is None:
            return encode
        return SafeModeEncoder(encode, self.marker, self.marker.forget)

    def _exporter(self, name: str, exporter: Exporter, receivers: Sequence[str]) -> ExporterRuntime:
        wake = Event()
        gate = Gate(wake.set)
        journal = ExporterJournal(
            name,
            gate,
            endpoint=endpoint_of(exporter),
            counts=self._counts.setdefault(name, ExporterCounts()),
            on_refused=partial(self.evidence.refused, name),
            tap=self.tap,
        )
        dead_letters = self._dead_letters(name, exporter)
        sender = self._sender(name, exporter)
        limits = batch_limits(exporter)
        learned = LearnedLimit(limits.max_bytes)
        delivery = Delivery(
            sender,
            gate,
            learned,
            dead_letters,
            journal,
            delivery_options(exporter),
            stop=self.stop,
            window=window_of(exporter.limits, exporter.audit.on_too_old),
            split_record=RecordSplitter(self._mappings[name].options),
        )
        subscriptions = [
            self._subscription(log, name, exporter)
            for receiver in receivers
            for log in self.logs[receiver]
        ]
        consumer = Consumer(
            name,
            [self._reader(s, journal, limits, learned) for s in subscriptions],
            delivery,
            gate,
            self._budget,
            exporter.sending_queue.num_consumers,
            wake=wake,
            stop=self.stop,
            on_failure=self.on_failure,
            alone=len({name for _, name in self._routes}) == 1,
        )
        return ExporterRuntime(
            name, exporter, consumer, subscriptions, journal, gate, sender, dead_letters
        )

    def _sender(self, name: str, exporter: Exporter) -> Sender:
        plain = self._senders.get(name) or sender_of(
            exporter, self._named[name], self._scopes[name], env=self.env
        )
        return SharingSender(plain, self._requests[name]) if name in self._requests else plain

    def _naming(self, name: str) -> Config:
        """Return the configuration with resources that name the mapping of an exporter."""
        if self._hashes == "none":
            return self.config
        return with_resource(self.config, MAPPING, self._mappings[name].digest)

    def _dead_letters(self, name: str, exporter: Exporter) -> DeadLetterFile:
        why = "the dead letter was full: the oldest records in it were let go"
        return DeadLetterFile(
            Path(self.config.service.state_dir) / "dead-letter",
            name,
            uid_of=uid_of,
            max_bytes=exporter.audit.dead_letter.max_bytes,
            on_full=exporter.audit.dead_letter.on_full,
            on_evicted=lambda count: self.evidence.refused(name, count, why),
        )

    def _subscription(self, log: AuditLog, name: str, exporter: Exporter) -> Subscription:
        position = self.base.positions.get(str(log.key), {}).get(name)
        subscription = Subscription.resume(log, name, position, exporter.audit.notices)
        log.register(subscription.ledger)
        subscription.write_to(self.positions)
        self.evidence.add(subscription, self._raw_hashes.get(log.key))
        return subscription

    def _reader(
        self,
        subscription: Subscription,
        journal: ExporterJournal,
        limits: BatchLimits,
        learned: LearnedLimit,
    ) -> SubscriptionReader:
        key = subscription.log.key
        receiver = key.receiver
        overhead = sum(map(len, self._scopes[subscription.exporter][receiver])) + _FRAME
        exporter = self.config.exporters[subscription.exporter]

        def on_gap(subscription: Subscription, segment: Segment, gap: Gap) -> None:
            self.evidence.gap(subscription, segment, gap)
            journal.gap(subscription, segment, gap)

        return SubscriptionReader(
            subscription,
            self.readers[key],
            self._encoded[key, self._mappings[subscription.exporter]],
            Batcher(receiver, limits, learned=learned, overhead=overhead),
            on_gap=on_gap,
            on_redacted=journal.redacted,
            encode_notice=partial(self.evidence.encode, limits=exporter.limits),
            flush_s=exporter.sending_queue.batch.flush_timeout_s,
        )
