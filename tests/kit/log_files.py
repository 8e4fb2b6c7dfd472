"""What the apiserver does to its log: it appends, and it rotates as lumberjack does."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.kit.lumberjack import backup_name

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
