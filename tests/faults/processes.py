"""The things of one run: a writer and an agent that are killed, and what is missing at the end.

Everything is real: the writer and the agent are processes, the back end is a server, kills are
signals. What happens when is decided elsewhere (`scenario`).
"""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from k8s_audit_otlp.state.checkpoint import CheckpointFile
from k8s_audit_otlp.telemetry.state_on_disk import inspect
from k8s_audit_otlp.tools.demo.received import Received, Record
from k8s_audit_otlp.tools.verify.export import UID_FIELD
from k8s_audit_otlp.tools.verify.items import item_of_fields
from k8s_audit_otlp.tools.verify.scope import Scope
from k8s_audit_otlp.tools.verify.verdict import Judge
from tests.kit.backend import Backend

PYTHON = sys.executable
CLOCK_NS = 1_000_000  # between the time in an event and the writer's note of it
MAX_TERM_S = 5.0
GAP, RECEIPT = "k8s.audit.gap", "k8s.audit.segment"
SEGMENT = RECEIPT + "."


@dataclass
class Totals:
    """What happened in a run, for people and for the table. Events unless the name says else."""

    seed: int = 0
    written: int = 0
    received: int = 0
    repeated: int = 0
    unanswered: int = 0  # records that the back end took without an answer, and so got again
    missing: int = 0
    unexplained: int = 0
    foreign: int = 0
    rotations: int = 0
    kills: int = 0
    terms: int = 0
    stops: int = 0
    outages: int = 0
    full_disks: int = 0
    writer_kills: int = 0
    faults: int = 0
    power_cuts: int = 0
    gaps: int = 0
    deletes_early: int = 0  # runs in which the writer keeps one or two backups
    receipts: int = 0
    slowest_term_s: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> list[str]:
        """What must not be, said for people; empty when the run is good."""
        found = list(self.notes)
        if self.unexplained:
            found.append(f"{self.unexplained} of {self.missing} missing events are unexplained")
        if self.foreign > self.writer_kills + self.power_cuts:
            # killed between the log and its note of it, a writer leaves one event more
            found.append(f"{self.foreign} events arrived that nobody wrote")
        if self.gaps and not self.deletes_early and not self.power_cuts:
            found.append(f"{self.gaps} gaps were told, but nothing was ever deleted")
        if self.slowest_term_s >= MAX_TERM_S:
            found.append(f"SIGTERM took {self.slowest_term_s:.1f} s")
        return found


def environment() -> dict[str, str]:
    """Return the environment of a child: ours without proxies and OTEL settings."""
    return {
        k: v
        for k, v in os.environ.items()
        if not k.startswith("OTEL_") and not k.lower().endswith("_proxy")
    }


class Agent:
    """The agent as a process that can be killed and started again."""

    def __init__(self, config: Path, log_file: Path) -> None:
        self._command = [PYTHON, "-m", "k8s_audit_otlp", "run", "--config", str(config)]
        self._log_file = log_file
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *more: str) -> subprocess.Popen[bytes]:
        with self._log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._command, *more], stdout=log, stderr=log, env=environment()
            )
        return self.process

    @property
    def ended(self) -> int | None:
        """The exit code of an agent that ended by itself."""
        return self.process.poll() if self.process else None

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def end(self, number: int, timeout: float = 30.0) -> float:
        """Send a signal, wait for the end, return how long that took."""
        assert self.process is not None
        started = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(timeout)
        return time.monotonic() - started

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(60)


@dataclass(frozen=True)
class Script:
    """What the writer does. `rate` is events a second; sizes are bytes; 0 backups keeps all."""

    rate: int = 2000
    seconds: float = 4.0
    max_bytes: int = 400_000
    max_backups: int = 0
    compress: bool = True


class Writer:
    """kube-apiserver's part: a process that writes, rotates, compresses and may be killed."""

    def __init__(self, log: Path, script: Script, seed: int) -> None:
        self._log, self._script, self._seed = log, script, seed
        self._end = time.monotonic() + script.seconds
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        script, left = self._script, max(0.1, self._end - time.monotonic())
        command = [
            *(PYTHON, "-m", "k8s_audit_otlp.tools.demo.writer", "--path", str(self._log)),
            *("--times", "--record", str(self.record), "--seed", str(self._seed)),
            *("--rate", str(script.rate), "--seconds", f"{left:.2f}"),
            *("--max-bytes", str(script.max_bytes), "--max-backups", str(script.max_backups)),
        ]
        if script.compress:
            command += ["--compress", "--chunk-pause", "0.01"]
        return subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL)

    @property
    def record(self) -> Path:
        return self._log.with_suffix(".written")

    @property
    def writing(self) -> bool:
        return self.process.poll() is None

    def kill(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Kill it and start it again, as a static pod is; *meanwhile* something happens."""
        self.process.kill()
        self.process.wait()
        meanwhile()
        self._seed += 1_000_000
        self.process = self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.writing:
            self.process.kill()
            self.process.wait()


def write_config(folder: Path, endpoint: str) -> Path:
    """Configure an agent whose retries are quick: a run of seconds holds many of them."""
    config = folder / "agent.yaml"
    config.write_text(
        f"""
receivers:
  k8s_audit:
    include: [{folder}/log/audit.log]
exporters:
  otlp_http:
    endpoint: {endpoint}
    timeout: 2s
    retry_on_failure: {{initial_interval: 50ms, max_interval: 500ms}}
    sending_queue: {{batch: {{sizer: bytes, max_size: 60000}}}}
service:
  state_dir: {folder}/state
  shutdown_timeout: 5s
"""
    )
    return config


def compare(
    written: Path, backend: Backend, totals: Totals, cut: Container[str] = frozenset()
) -> Totals:
    """Compare what the writer noted with what arrived, as multisets of audit ids.

    *cut* are ids that a power cut took from the disk: whether they had arrived is left to chance.
    """
    received = backend.received
    lines = [line.split() for line in written.read_text().splitlines()]
    order = [(i, int(ns)) for i, ns in lines if i not in cut or i in received.audit_ids]
    wanted = Counter(i for i, _ in order)
    totals.written = wanted.total()
    totals.received = received.audit_ids.total()
    totals.missing = (wanted - received.audit_ids).total()
    totals.foreign = (received.audit_ids - wanted).total()
    totals.repeated = received.duplicates
    gaps = [n for n in received.notices if n.event_name == GAP]
    # Before the first file of all nothing proves what an empty directory had in between.
    totals.gaps = len({n.uid for n in gaps if n.attributes.get(SEGMENT + "sequence") != 1})
    totals.unexplained = unexplained(order, received.audit_ids, gaps)
    totals.notes += disagreeing_receipts(received.notices, received.uids, totals)
    if received.keep == "records":
        totals.notes += false_alarms(received)
    return totals


def false_alarms(received: Received) -> list[str]:
    """Name what `evidence verify` takes for a change; nobody has changed anything."""
    judge = Judge(Scope(), None)
    judge.take(
        item_of_fields(
            {
                **record.resource,
                **record.attributes,
                "event.name": record.event_name,
                "body": record.body,
                UID_FIELD: record.uid,
            }.items(),
            UID_FIELD,
        )
        for record in [*received.records, *received.notices]
    )
    return judge.verdict([], [], None).faults


def unexplained(
    order: Iterable[tuple[str, int]], arrived: Container[str], gaps: Iterable[Record]
) -> int:
    """Return how many events are missing that no gap tells of. *order*: ids and when written.

    A gap tells of what was written between its two times; one without an end, until it was told.
    """
    spans = [
        (
            int(gap.attributes.get("k8s.audit.gap.since_ns", 0)) - CLOCK_NS,
            int(gap.attributes.get("k8s.audit.gap.until_ns", gap.observed_ns)) + CLOCK_NS,
        )
        for gap in gaps
    ]
    missing = (when_ns for audit_id, when_ns in order if audit_id not in arrived)
    return sum(not any(since <= when <= until for since, until in spans) for when in missing)


def disagreeing_receipts(
    notices: Iterable[Record], uids: Iterable[str], totals: Totals
) -> list[str]:
    """Hold every receipt against the different uids of its segment that are here.

    Where the segment has a gap there may be more: what a killed agent had delivered without
    having noted it is lost to the next one when the file is gone.
    """
    receipts: dict[str, Record] = {}
    for notice in notices:
        if notice.event_name == RECEIPT:
            identity = str(notice.attributes[SEGMENT + "identity"])
            known = receipts.get(identity)
            if known is None or _said(known, "bytes") <= _said(notice, "bytes"):
                receipts[identity] = notice
    arrived = Counter(uid.partition("-")[0] for uid in uids)
    totals.receipts = len(receipts)
    return [
        f"the receipt of {identity} says {said} delivered, {arrived[identity]} arrived"
        for identity, receipt in receipts.items()
        if arrived[identity] < (said := _said(receipt, "delivered"))
        or (arrived[identity] > said and not _said(receipt, "gaps"))
    ]


def _said(receipt: Record, name: str) -> int:
    return int(receipt.attributes.get(SEGMENT + name, 0))


def unbalanced(state: Path) -> list[str]:
    """Say which exporter's counts do not add up in the checkpoint."""
    restored = CheckpointFile(state).load()
    if restored.checkpoint is None:
        return ["there is no checkpoint"]
    lines = inspect(restored.checkpoint)
    return [f"conservation is off by {c.balance}: {c}" for c in lines if c.balance] + [
        f"{c.backlog_bytes} bytes are not settled" for c in lines if c.backlog_bytes
    ]
