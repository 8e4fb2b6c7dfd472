"""Rotations done by others than the apiserver: what logrotate does to a log, step by step.

Each function does one thing to the files and returns what it made.
"""

import re
from pathlib import Path

from tests.kit.lumberjack import compress_in_place


def copytruncate(path: Path) -> Path:
    """Copy the log to `<name>.1` and cut it to nothing; its writer keeps the same inode."""
    shift_numbered(path)
    copy = path.with_name(path.name + ".1")
    copy.write_bytes(path.read_bytes())
    with path.open("r+b") as log:
        log.truncate(0)
    return copy


def rename_numbered(path: Path, *, compress: bool = False) -> Path:
    """Rename the log to `<name>.1`, older ones to the next number; make a new empty log."""
    shift_numbered(path)
    moved = path.rename(path.with_name(path.name + ".1"))
    path.touch(0o600)
    return compress_in_place(moved) if compress else moved


def shift_numbered(path: Path) -> None:
    """Give each `<name>.N[.gz]` the number N + 1, the oldest first."""
    numbered = {}
    for backup in path.parent.iterdir():
        if found := re.fullmatch(re.escape(path.name) + r"\.(\d+)((?:\.gz)?)", backup.name):
            numbered[int(found[1]), found[2]] = backup
    for (number, packed), backup in sorted(numbered.items(), reverse=True):
        backup.rename(path.with_name(f"{path.name}.{number + 1}{packed}"))
