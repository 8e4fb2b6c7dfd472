"""A log of one file, looked at once, and its blocks."""

from pathlib import Path
from typing import Any

from k8s_audit_otlp.receiver.blocks import BlockReader
from k8s_audit_otlp.receiver.gaps import Gap
from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.receiver.segments import LogLimits
from k8s_audit_otlp.state.ledger import Ledger
from tests.kit.agent import NobodyListens


def opened(path: Path, **limits: Any) -> AuditLog:
    log = AuditLog(
        "audit", path, NobodyListens(), limits=LogLimits(**limits), clock_ns=lambda: 10**18
    )
    log.register(Ledger())
    log.scan()
    return log


def blocks_from(log: AuditLog, offset: int = 0) -> list[Any]:
    """Read on from *offset* as long as there is something."""
    (segment,) = log.segments()
    reader = BlockReader(log, cache_bytes=0)
    found = []
    while (block := reader.read(segment, offset)) is not None and not isinstance(block, Gap):
        found.append(block)
        offset = block.span.end
    return found


def lines_of(sizes: list[int]) -> list[bytes]:
    return [b"%06d " % n + b"x" * (size - 8) + b"\n" for n, size in enumerate(sizes)]
