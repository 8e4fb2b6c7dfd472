"""Gathers what a manifest and its node tell about their kube-apiserver."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from k8s_audit_otlp.apiserver.observed import Apiserver, audit_flags

TICKS = 100  # USER_HZ: what /proc counts in, on every Linux


@dataclass(frozen=True, slots=True)
class Process:
    """A kube-apiserver that runs here."""

    pid: int
    flags: Mapping[str, str]
    started_s: float  # since the epoch


@dataclass(frozen=True, slots=True)
class ApiserverFacts:
    """What the manifest says, and what is on the node. Texts are None where they cannot be read."""

    apiserver: Apiserver
    root: Path
    log_paths: Sequence[str] = ()  # that the agent reads
    rate: float | None = None  # bytes a second of the log
    free_bytes: int | None = None  # on the log's disk
    policy: str | None = None
    policy_trouble: str = ""
    policy_changed_s: float = 0.0
    process: Process | None = None
    kubeadm: str | None = None
    metrics: str | None = None
    most_body: int = 0  # bytes of a request that the agent's webhooks take, 0 where it has none
    manifest: bool = True  # else only the process is known, and not what it is given to see
    now: Callable[[], float] = time.time

    @property
    def flags(self) -> Mapping[str, str]:
        return self.apiserver.flags


def processes(root: Path) -> Iterator[Process]:
    """Yield the kube-apiservers that run on this host, as far as /proc shows them."""
    proc = root / "proc"
    boot_s = _boot_time(proc)
    for folder in sorted(proc.iterdir()) if proc.is_dir() else ():
        if not folder.name.isdecimal():
            continue
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            stat = (folder / "stat").read_text()
        except OSError:
            continue  # it ended meanwhile, or is not ours to see
        if Path(words[0]).name != "kube-apiserver":
            continue
        ticks = int(stat.rpartition(")")[2].split()[19])  # field 22 of proc(5), after the name
        yield Process(int(folder.name), audit_flags(words), boot_s + ticks / TICKS)


def _boot_time(proc: Path) -> float:
    try:
        lines = (proc / "stat").read_text().splitlines()
    except OSError:
        return 0.0
    return float(next((line.split()[1] for line in lines if line.startswith("btime ")), 0))
