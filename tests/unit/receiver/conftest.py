"""A log directory with a receiver on it that is looked at step by step."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.model import LogKey
from k8s_audit_otlp.receiver.blocks import BlockReader
from k8s_audit_otlp.receiver.deleted import DeletedSegments, HoldLimits
from k8s_audit_otlp.receiver.gaps import Gap
from k8s_audit_otlp.receiver.listing import Entry, list_log
from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.receiver.marks import mark_of
from k8s_audit_otlp.receiver.segments import LogLimits
from k8s_audit_otlp.state.ledger import Ledger, Tally
from k8s_audit_otlp.state.manifest import SegmentState
from tests.conftest import ManualClock


@pytest.fixture
def live(log_dir: Path) -> Path:
    return log_dir / "audit.log"


class Events:
    """What the log said."""

    def __init__(self) -> None:
        self.found: list[tuple[LogKey, str]] = []
        self.troubles: list[tuple[LogKey, str]] = []

    def discovered(self, log: LogKey, segment: SegmentState) -> None:
        self.found.append((log, segment.name))

    def trouble(self, log: LogKey, message: str) -> None:
        self.troubles.append((log, message))


@dataclass
class Receiver:
    """One process: a log, a reader and one consumer that settles what it reads."""

    log: AuditLog
    events: Events
    reader: BlockReader
    ledger: Ledger
    gaps: list[Any] = field(default_factory=list)
    between: list[Any] = field(default_factory=list)  # the times around each gap

    def drain(self) -> list[Any]:
        """Scan, read whatever is there and settle it; return the lines in the order they came."""
        self.log.scan()
        return self.read_on()

    def read_on(self) -> list[Any]:
        """Read and settle whatever is there of what was found."""
        lines: list[Any] = []
        while True:
            segment = self.log.next_segment(self.ledger)
            if segment is None:
                return lines
            found = self.reader.read(segment, self.ledger.next_offset(segment.seq))
            if found is None:
                return lines
            if isinstance(found, Gap):
                self.gaps.append((found.reason, found.span.start, found.span.end))
                self.between.append((found.since_ns, found.until_ns))
            else:
                lines += found.data.splitlines(keepends=True)
            mark = mark_of(getattr(found, "data", b""))
            self.ledger.settle(self.ledger.open(found.span, mark), Tally())

    def segments(self) -> list[Any]:
        return [(s.name.name if s.name else None, s.state.identity) for s in self.log.segments()]


@pytest.fixture
def receive(log_dir: Path, clock: ManualClock) -> Iterator[Callable[..., Any]]:
    """Start a receiver; given another one, take up where that one was, as a restart does."""
    started = []

    def start(
        before: Any = None,
        *,
        name: str = "audit.log",
        deleted: Any = None,
        listing: Callable[[Path], list[Entry]] = list_log,
        **limits: Any,
    ) -> Any:
        if before is not None:
            before.log.close()
        events = Events()
        log = AuditLog(
            "audit",
            log_dir / name,
            events,
            before.log.state() if before else None,
            limits=LogLimits(**limits),
            deleted=deleted or DeletedSegments(HoldLimits(), free=lambda _: 1 << 40),
            clock_ns=lambda: int(clock.now * 1e9),
            listing=listing,
        )
        ledger = Ledger(before.ledger.places() if before else None)
        log.register(ledger)
        receiver = Receiver(log, events, BlockReader(log), ledger)
        started.append(receiver)
        return receiver

    yield start
    for receiver in started:
        receiver.log.close()


@pytest.fixture
def event() -> Callable[..., Any]:
    """Make the line of an event from its number: the microsecond in which it happened."""

    def make(number: int, size: int = 0) -> Any:
        seconds = f"{5 + number / 1_000_000:09.6f}"
        return (
            f'{{"auditID":"id-{number}","stage":"ResponseComplete",'
            f'"stageTimestamp":"2026-01-02T03:04:{seconds}Z","pad":"{"x" * size}"}}\n'
        ).encode()

    return make
