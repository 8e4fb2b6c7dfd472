"""A spool in a directory, and what is in it."""

import time
from collections.abc import Callable
from pathlib import Path

from k8s_audit_otlp.receiver.names import parse
from k8s_audit_otlp.receiver.spool.segment_files import SpoolLimits
from k8s_audit_otlp.receiver.spool.spool import Spool

ROOMY = SpoolLimits(max_bytes=1 << 30, segment_bytes=1 << 20, min_free_disk_bytes=0)
SMALL = SpoolLimits(max_bytes=4000, segment_bytes=1000, min_free_disk_bytes=0)


def line(number: int, size: int = 100) -> bytes:
    return (b'{"kind":"Event","auditID":"%d"}' % number).ljust(size - 1) + b"\n"


def opened(directory: Path, limits: SpoolLimits = ROOMY, **edges: object) -> Spool:
    spool = Spool(directory, limits, **edges)  # type: ignore[arg-type] # the edges of a Spool
    spool.open()
    return spool


def files_of(directory: Path) -> list[Path]:
    """Return the segments, oldest first."""
    named = [
        (found, path) for path in directory.iterdir() if (found := parse("audit.log", path.name))
    ]
    return [path for _, path in sorted(named, key=lambda pair: pair[0].age)]


def held(directory: Path) -> list[bytes]:
    return [one for path in files_of(directory) for one in path.read_bytes().splitlines(True)]


def until(what: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until something is true; fail after *seconds*."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it does not come true"
        time.sleep(0.02)
