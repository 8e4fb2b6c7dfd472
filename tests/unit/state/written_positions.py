"""Places of one exporter, as the tests of positions write them."""

from typing import Any

from k8s_audit_otlp.model import Span
from k8s_audit_otlp.receiver.marks import mark_of
from k8s_audit_otlp.state.ledger import Ledger, Tally
from k8s_audit_otlp.state.manifest import SegmentState
from k8s_audit_otlp.state.positions import key_of

KEY = key_of("k8s_audit:audit.log", "siem")
IDENTITY = "0123456789abcdef"


def numbered(segment: int, identity: str = IDENTITY) -> SegmentState:
    return SegmentState(segment, identity, "head", 4)


def at(offset: int, **counts: Any) -> Ledger:
    ledger = Ledger()
    ticket = ledger.open(Span(1, 0, offset), mark_of(b"x" * offset))
    ledger.settle(ticket, Tally(**counts))
    return ledger
