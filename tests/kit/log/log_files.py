"""What is done to the files of a log, by the apiserver as lumberjack rotates it, and by others."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.kit.log.lumberjack import backup_name, compress_in_place

FIRST = 1_767_323_045_000  # milliseconds; the time in the name of a backup number 0


def append(path: Path, *lines: bytes) -> None:
    with path.open("ab") as file:
        file.write(b"".join(lines))


def rotate(live: Path, number: int) -> Path:
    """Rename the log and begin it anew; *number* is the time in the name, in milliseconds."""
    backup = live.rename(backup_name(live, FIRST + number))
    live.touch()
    return backup


def rotations(live: Path, event: Callable[..., Any], numbers: Sequence[int], *, kept: Any) -> None:
    """Write, rotate and delete all but the newest, as the apiserver does with maxbackup."""
    for number in numbers:
        append(live, event(number))
        rotate(live, number)
        for old in sorted(live.parent.glob("audit-*"))[:-kept]:
            old.unlink()


@contextmanager
def denied(path: Path) -> Iterator[None]:
    """Let nobody read *path*, root not either."""
    mode, user = path.stat().st_mode, os.geteuid()
    path.chmod(0)
    if user == 0:
        os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(user)
        path.chmod(mode)


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
