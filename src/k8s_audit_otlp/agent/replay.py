"""Sends the events of a period that are still on disk to one exporter again, beside an agent.

It is an agent of its own: one exporter, its own state directory in the running agent's, the same
logs and so the same uids. What it sends is marked in the resource, its receipts too.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from hashlib import sha256
from pathlib import Path

from k8s_audit_otlp.agent.build import with_resource
from k8s_audit_otlp.config.config import Config
from k8s_audit_otlp.config.types import StartAt
from k8s_audit_otlp.evidence.chain import REPLAYED
from k8s_audit_otlp.exporter.shared import Encode
from k8s_audit_otlp.model import Block, Delivered, EncodedBlock, Outcome
from k8s_audit_otlp.otlp.wire import time_of
from k8s_audit_otlp.state.content_hash import entries
from k8s_audit_otlp.transport.sender import ExportRequest

AFTER = "after the end of the replay"  # why later events are dropped, as a policy's rule would say


def state_of(config: Config, exporter: str, since_ns: int, until_ns: int) -> Path:
    """Return where a replay keeps its progress: the same period is resumed."""
    name = sha256(f"{exporter}\0{since_ns}\0{until_ns}".encode()).hexdigest()[:16]
    return Path(config.service.state_dir) / "replay" / name


def replay_config(config: Config, exporter: str, since_ns: int, state: Path) -> Config:
    """Return the configuration of a replay: one exporter and its receivers alone.

    An exporter that is switched off may be replayed to: a new back end, before it is taken up.
    """
    chosen = config.exporters[exporter]
    enabled = chosen.model_copy(update={"audit": chosen.audit.model_copy(update={"enabled": True})})
    read = replace(config, exporters={exporter: enabled}).receivers_of(exporter)
    marked = with_resource(config, REPLAYED, True).receivers
    receivers = {name: receiver for name, receiver in marked.items() if name in read}
    audit = chosen.audit.model_copy(
        update={"start_at": StartAt("time", time_ns=since_ns), "receivers": None, "enabled": True}
    )
    metrics = config.service.telemetry.metrics.model_copy(update={"address": None})
    telemetry = config.service.telemetry.model_copy(update={"metrics": metrics})
    service = config.service.model_copy(
        update={"state_dir": str(state), "pipelines": {}, "telemetry": telemetry}
    )
    return replace(
        config,
        receivers=receivers,
        exporters={exporter: chosen.model_copy(update={"audit": audit})},
        service=service,
        sources={},
    )


def is_replay(config: Config) -> bool:
    """Say whether this is the configuration of a replay."""
    return any(REPLAYED in receiver.attributes for receiver in config.receivers.values())


@dataclass(eq=False, repr=False)
class ReplayPart:
    """Which records of the encoded blocks are sent, and how fast.

    *rate*: records a second at most; 0 is no limit.
    """

    until_ns: int
    _: KW_ONLY
    rate: float = 0.0
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        self._next = self.monotonic()

    def around(self, encode: Encode) -> Encode:
        """Return an encoder that drops later records, and then waits as *rate* asks."""

        def encode_part(block: Block) -> EncodedBlock:
            encoded = self._before(encode(block))
            if self.rate:
                now = self.monotonic()
                self._next = max(now, self._next) + len(encoded.records) / self.rate
                self.sleep(self._next - now)
            return encoded

        return encode_part

    def _before(self, encoded: EncodedBlock) -> EncodedBlock:
        late = {at for at, record in enumerate(encoded.records) if time_of(record) >= self.until_ns}
        if not late:
            return encoded
        kept = [at for at in range(len(encoded.records)) if at not in late]
        digests = entries(encoded.digests)
        return replace(
            encoded,
            records=[encoded.records[at] for at in kept],
            ends=[encoded.ends[at] for at in kept],
            digests=b"".join(digests[at] for at in kept) if digests else b"",
            dropped=sorted([*encoded.dropped, *((encoded.ends[at], AFTER) for at in late)]),
        )


class CountingSender:
    """A transport for a dry run: counts what would be sent, and sends nothing."""

    def __init__(self) -> None:
        self.bytes = 0

    def prepare(self, receiver: str, records: Sequence[bytes]) -> ExportRequest:
        return ExportRequest(b"", sum(map(len, records)), receiver)

    def send(self, request: ExportRequest) -> Outcome:
        self.bytes += request.size
        return Delivered()

    def close(self) -> None:
        """There is nothing to close."""
