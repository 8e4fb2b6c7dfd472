"""The `process_*` metrics that every Prometheus client tells, from /proc/self."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def process_values(proc: Path = Path("/proc")) -> Iterator[tuple[str, float]]:
    """Yield (name, value); what this system does not tell is left out."""
    try:
        fields = (proc / "self/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        stat = (proc / "stat").read_text(encoding="ascii")
        booted = next(int(line.split()[1]) for line in stat.splitlines() if line[:6] == "btime ")
        descriptors = len(os.listdir(proc / "self/fd"))  # noqa: PTH208 - names only
    except (OSError, ValueError, IndexError, StopIteration):
        return
    yield "process_cpu_seconds_total", (int(fields[11]) + int(fields[12])) / _TICKS
    yield "process_virtual_memory_bytes", int(fields[20])
    yield "process_resident_memory_bytes", int(fields[21]) * _PAGE
    yield "process_start_time_seconds", booted + int(fields[19]) / _TICKS
    yield "process_open_fds", descriptors
    yield "process_max_fds", resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    yield "process_threads", int(fields[17])
