"""How an agent starts: its options, its logs, and every exporter where its stored position says."""

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

import msgspec

from k8s_audit_otlp.config.config import Config
from k8s_audit_otlp.evidence.evidence import Evidence
from k8s_audit_otlp.exporter.shared import Encode
from k8s_audit_otlp.exporter.subscription import Subscription
from k8s_audit_otlp.model import LogKey
from k8s_audit_otlp.receiver.blocks import BlockReader
from k8s_audit_otlp.receiver.deleted import Handed
from k8s_audit_otlp.receiver.start_at import Skipped, start_at_end, start_since, time_at
from k8s_audit_otlp.state.checkpoint import Boot, Checkpoint, this_boot
from k8s_audit_otlp.state.ledger import Tally
from k8s_audit_otlp.state.lock import StateLock
from k8s_audit_otlp.state.marker import Marker
from k8s_audit_otlp.telemetry.backlog import Backlog, backlog_of
from k8s_audit_otlp.telemetry.journal import ExporterCounts
from k8s_audit_otlp.telemetry.logs import logger
from k8s_audit_otlp.telemetry.views import SourceView
from k8s_audit_otlp.transport.sender import Sender

_STARTS = 2  # without progress, before the third is in safe mode


@dataclass(frozen=True, slots=True)
class AgentOptions:
    """`once`: deliver what is there and stop. `lock_timeout_s` waits for a predecessor."""

    once: bool = False
    deadline_s: float = 30.0  # with `once`: give up after so long without progress
    lock_timeout_s: float = 30.0
    changes: tuple[str, ...] = ()  # how the configuration differs from the one before a reload
    counts: dict[str, ExporterCounts] = field(default_factory=dict)  # go on after a reload
    sources: dict[str, SourceView] = field(default_factory=dict)  # their counts, the same
    lock: StateLock | None = None  # of the agent before a reload, which hands it over
    handed: dict[LogKey, Handed] = field(default_factory=dict)  # its files, the same
    appeared: frozenset[Path] = frozenset()  # logs that came while the process ran
    senders: Mapping[str, Sender] = field(default_factory=dict)  # not built from the configuration
    part: str = ""  # of the log, which a replay sends; it names its records' form
    around_encode: Callable[[Encode], Encode] | None = None  # makes of every encoder another one
    boot: Callable[[], Boot] = this_boot


@dataclass(frozen=True, slots=True)
class Resumed:
    """Where one exporter goes on in one log, for the start-up report."""

    exporter: str
    receiver: str
    log: str
    segment: str
    offset: int
    backlog: Backlog
    skipped: Skipped  # by its start_at
    oldest_s: float | None  # age of the first event to send, where it can be read
    tally: Tally  # of all that settled before


def resume(
    subscription: Subscription,
    config: Config,
    reader: BlockReader,
    evidence: Evidence,
    now_ns: int,
    new: Collection[Path] = (),
) -> Resumed:
    """Let an exporter without a position begin where its start_at says.

    *new*: logs that are younger than this process, so that their beginning is after any end.
    """
    log, ledger = subscription.log, subscription.ledger
    skipped = Skipped({}, 0, estimated=False)
    if subscription.first_start:
        receiver = config.receivers[log.key.receiver]
        start_at = config.exporters[subscription.exporter].audit.start_at
        wish = start_at or receiver.start_at
        since_ns = wish.since_ns(now_ns)
        if wish.kind == "end" and log.path not in new:
            skipped = start_at_end(log)
        elif since_ns is not None:
            skipped = start_since(log, reader, since_ns)
        for seq, start in skipped.offsets.items():
            ledger.begin(seq, start)
        evidence.skipped(subscription, skipped.bytes)
    else:
        _tell_missed_segments(subscription, evidence)
    backlog = backlog_of(subscription)
    known = log.segments()
    segment = next((s for s in known if s.state is backlog.first), known[-1] if known else None)
    offset = ledger.next_offset(segment.seq) if segment else 0
    oldest_ns = time_at(segment, reader, offset) if segment and backlog.first else 0
    return Resumed(
        subscription.exporter,
        log.key.receiver,
        str(log.path),
        segment.state.name if segment else "",
        offset,
        backlog,
        skipped,
        (now_ns - oldest_ns) / 1e9 if oldest_ns else None,
        subscription.tally(),
    )


def _tell_missed_segments(subscription: Subscription, evidence: Evidence) -> None:
    """Tell what was deleted and forgotten while the exporter was disabled.

    An exporter in use keeps its segments in the manifest; only a disabled one has positions in
    segments that nobody knows any more.
    """
    known = [segment.seq for segment in subscription.log.segments()]
    settled = subscription.ledger.places()
    if not settled or (known and max(settled) >= min(known)):
        return
    between = (min(known) if known else max(settled) + 1) - max(settled) - 1
    evidence.missed(subscription, between)


def _progress(checkpoint: Checkpoint) -> str:
    """Return what differs once any exporter has settled more."""
    settled = {
        log: {exporter: position.settled for exporter, position in exporters.items()}
        for log, exporters in checkpoint.positions.items()
    }
    return blake2b(msgspec.json.encode(settled), digest_size=8).hexdigest()


def _note_start(checkpoint: Checkpoint) -> bool:
    """Note this start in *checkpoint*; say whether it should be in safe mode."""
    now = _progress(checkpoint)
    safe_mode = checkpoint.starts == [now] * _STARTS
    checkpoint.starts = [*checkpoint.starts, now][-_STARTS:]
    return safe_mode


def marker_for(checkpoint: Checkpoint, state_dir: Path) -> Marker | None:
    """Return what to mark lines with, where the last starts got nowhere; None as a rule.

    A start that finds the positions where the two starts before found them, none of which ended
    cleanly, may be one of a process that dies of what it reads. It may as well be that a back end
    is down and somebody restarts the agent; so safe mode costs time and nothing else.
    """
    marker = Marker(state_dir)
    died_in_a_line = marker.load()
    if not _note_start(checkpoint) and not died_in_a_line:
        return None
    logger.warning(
        "safe_mode",
        "safe mode, as the last starts delivered nothing: lines are encoded one by one; one that "
        "kills the process is sent without its bodies after that, then left out and told as such",
    )
    return marker


def config_digest(config: Config) -> str:
    """Return what names a configuration: equal ones are equal. Secrets do not count."""
    return blake2b(repr(config).encode(), digest_size=8).hexdigest()


def announce(
    evidence: Evidence,
    base: Checkpoint,
    digest: str,
    resumed: Iterable[Resumed],
    *,
    safe_mode: bool,
    changes: Sequence[str] = (),
) -> None:
    """Say in the stream that this process begins, where, and with what configuration."""
    before, base.config = base.config, digest
    if before and (before != digest or changes):
        attributes: dict[str, str | int | float | bool] = {
            "k8s.audit.agent.config": digest,
            "k8s.audit.agent.config_before": before,
        }
        what = "; ".join(changes) or "the configuration has changed"
        evidence.agent("config_changed", what, attributes)
    if safe_mode:
        evidence.agent("safe_mode", "the last starts made no progress: line by line", {})
    where = "; ".join(f"{r.exporter} at {r.segment or 'nothing'} +{r.offset}" for r in resumed)
    evidence.agent("started", f"started: {where}", {"process.pid": os.getpid()})
