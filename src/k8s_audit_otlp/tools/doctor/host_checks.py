"""Checks the host: what the agent needs beside its log and the network.

Nothing is left behind: what is tried out (a file, an inotify instance) is taken back at once.
"""

import ctypes
import errno
import os
import stat
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from k8s_audit_otlp.receiver.deleted import free_bytes
from k8s_audit_otlp.state.checkpoint import CheckpointFile, StateError
from k8s_audit_otlp.state.lock import StateLock
from k8s_audit_otlp.tools.doctor.findings import CheckResult, Checks, fail, ok, skipped, warn
from k8s_audit_otlp.tools.text import size

LEAST_STATE_BYTES = 64 << 20  # a checkpoint is kilobytes; below this somebody else fills the disk
_OTHER_STATE = "give another with service::state_dir, or make it writable for this user"


@dataclass(frozen=True, slots=True)
class HostFacts:
    """Where the state is, and which directories of logs need room."""

    root: Path
    state_dir: Path | None = None
    log_dirs: Sequence[Path] = ()
    min_free_bytes: int = 1 << 30


def inotify(facts: HostFacts) -> CheckResult:
    """Take an instance as the agent will; without one it lists the directory every second."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.inotify_init1(os.O_CLOEXEC)
    if fd < 0:
        return _no_inotify(facts, ctypes.get_errno(), "max_user_instances")
    try:
        for directory in facts.log_dirs or (Path("/"),):
            if not directory.is_dir():
                continue
            if libc.inotify_add_watch(fd, os.fsencode(directory), 0x100) < 0:  # IN_CREATE
                return _no_inotify(facts, ctypes.get_errno(), "max_user_watches")
    finally:
        os.close(fd)
    return ok("rotation is noticed at once")


def _no_inotify(facts: HostFacts, number: int, limit: str) -> CheckResult:
    if number not in {errno.EMFILE, errno.ENOSPC}:
        return warn(
            f"no inotify: {os.strerror(number)}", "the directory is listed every second instead"
        )
    try:
        value = (facts.root / "proc/sys/fs/inotify" / limit).read_text().strip()
    except OSError:
        value = "unknown"
    return warn(
        f"inotify is exhausted (fs.inotify.{limit} is {value}): rotation is noticed only by the "
        "listing every second",
        f"sysctl -w fs.inotify.{limit}=1024 or more, or find who holds them all",
    )


def state(facts: HostFacts) -> CheckResult:
    """Write a file where positions will be written, and read what is there."""
    directory = facts.state_dir
    if directory is None:
        return skipped("no configuration was given", "--config FILE")
    if not directory.exists():
        parent = nearest(directory)
        if not os.access(parent, os.W_OK | os.X_OK, effective_ids=True):
            return fail(f"it is not there, and {parent} may not be written", _OTHER_STATE)
        return ok("it is not there yet and will be made")
    try:
        with tempfile.TemporaryFile(dir=directory) as probe:
            probe.write(b"0" * 4096)
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        return fail(f"it cannot be written: {error.strerror}", _OTHER_STATE)
    try:
        restored = CheckpointFile(directory).load()
    except StateError as error:
        what, _, hint = str(error).rpartition("; ")
        return fail(what, hint)
    if restored.warning:
        return warn(restored.warning, "look after the disk; only repeats follow from this")
    if stat.S_IMODE(directory.stat().st_mode) & 0o077:
        return warn("others may look into it", f"chmod 700 {directory}")
    return ok("it can be written" + ("" if restored.checkpoint else "; there is no position yet"))


def lock(facts: HostFacts) -> CheckResult:
    """See who holds the state directory, and whether somebody waits for it."""
    if facts.state_dir is None:
        return skipped("no configuration was given", "--config FILE")
    path, state_lock = facts.state_dir / "lock", StateLock(facts.state_dir)
    try:
        holder = state_lock.holder()
    except OSError as error:
        return skipped(f"it cannot be opened: {error.strerror}", "ask as the agent's user")
    if holder is None:
        return ok(f"no agent {'works with it now' if path.exists() else 'has worked with it yet'}")
    proc = facts.root / "proc"
    pids = {folder.name for folder in proc.iterdir()} - {holder, str(os.getpid())}
    others = [pid for pid in pids if pid.isdecimal() and state_lock.is_open_in(pid, proc)]
    if others:
        return fail(
            f"process {holder} works with it, and process {others[0]} waits for it: two agents",
            "stop one, or give each its own service::state_dir and its own log",
        )
    return ok(f"one agent works with it: process {holder}")


def disk(facts: HostFacts) -> CheckResult:
    """Measure the room for positions, and for the log that kube-apiserver writes."""
    places = [(facts.state_dir, LEAST_STATE_BYTES)] if facts.state_dir else []
    wanted = [*places, *((directory, facts.min_free_bytes) for directory in facts.log_dirs)]
    rooms = [
        (directory, room, least)
        for directory, least in wanted
        if directory is not None and (room := free_at(directory)) is not None
    ]
    if not rooms:
        return skipped("there is no directory to look at", "--config FILE or --path LOG")
    return judge_rooms(rooms)


def judge_rooms(rooms: Sequence[tuple[Path, int, int]]) -> CheckResult:
    """Say what (directory, free bytes, least bytes) mean: the tightest one decides."""
    directory, free, least = min(rooms, key=lambda room: room[1] / room[2])
    found = f"{size(free)} free at {directory}"
    if free < min(least, LEAST_STATE_BYTES):
        return fail(found, "make room: on a full disk no event and no position can be written")
    if free < least:
        return warn(
            f"{found}, and {size(least)} are asked for",
            "free some space: deleted backups are not held below min_free_disk",
        )
    return ok(found)


def nearest(directory: Path) -> Path:
    """Return the directory itself or, where it is not there yet, the one that it will be in."""
    return next(place for place in (directory, *directory.parents) if place.exists())


def free_at(directory: Path) -> int | None:
    """Return what is free for others than root where *directory* is or will be."""
    try:
        return free_bytes(nearest(directory))
    except OSError:
        return None


CHECKS: Checks[HostFacts] = {
    "host.inotify": inotify,
    "host.disk": disk,
    "state.directory": state,
    "state.lock": lock,
}
