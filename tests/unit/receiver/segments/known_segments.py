"""Segments with files of their own, without a log around them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from k8s_audit_otlp.model import Span
from k8s_audit_otlp.receiver.identity import Identity, fingerprint
from k8s_audit_otlp.receiver.log_file import open_log_file
from k8s_audit_otlp.receiver.names import parse
from k8s_audit_otlp.receiver.segment import Segment
from k8s_audit_otlp.receiver.segments import KnownSegments, LogLimits
from k8s_audit_otlp.state.ledger import Ledger, Tally
from tests.conftest import ManualClock

Add = Callable[..., Segment]


@pytest.fixture
def known(clock: ManualClock) -> Iterator[KnownSegments]:
    limits = LogLimits(max_open=3)
    segments = KnownSegments(None, limits, lambda: int(clock.now * 1e9))
    yield segments
    for segment in segments:
        segment.release()


@pytest.fixture
def add(known: KnownSegments, log_dir: Path) -> Add:
    """Add a segment with a file of so many bytes, read from it; the newest may be the live one."""

    def make(size: int = 10, *, live: bool = False) -> Segment:
        number = len(list(known)) + 1
        name = "audit.log" if live else f"audit.log.{99 - number}"
        path = log_dir / name
        data = (b"%06d" % number * size)[: size - 1] + b"\n"
        path.write_bytes(data)
        segment = known.add(Identity(f"{number:016x}", fingerprint(data), len(data), 0), name)
        segment.name, segment.path = parse("audit.log", name), path
        known.hold(segment, open_log_file(path, compressed=False), live=live)
        known.close_if_rotated(segment)
        return segment

    return make


def settle(ledger: Ledger, segment: Segment, end: int) -> None:
    start = ledger.next_offset(segment.seq)
    ledger.settle(ledger.open(Span(segment.seq, start, end), ""), Tally())


def take_away(known: KnownSegments, segment: Segment) -> None:
    """Delete the file of a segment, as a listing shows it."""
    assert segment.path is not None
    segment.path.unlink()
    bound = {s.seq for s in known if s is not segment and s.name is not None}
    known.unbind(bound, set(), nothing_listed=False)
