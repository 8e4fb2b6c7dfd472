"""File names of a log in, what kind of generation each one is out. Pure.

audit.log                                live
audit-2026-01-02T03-04-05.678.log[.gz]   lumberjack backup, UTC (kube-apiserver's own rotation)
audit.log.3[.gz]                         logrotate backup, the higher the older
audit.log-20260102[-030405][.gz]         logrotate backup with `dateext`
audit-20260102[-030405].log[.gz]         the same with `extension .log`
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

GZIP = ".gz"
_LUMBERJACK = re.compile(r"-(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3})$")
_BACKUP = re.compile(
    r"-(?:\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}(\.[^.]*)?|\d{8}(?:-?\d{2,6})?(\.[^.\d]+))$"
)
_NUMBERED = re.compile(r"\.(\d{1,6})$")
_DATED = re.compile(r"-(\d{8}(?:-?\d{2,6})?)$")


@dataclass(frozen=True, slots=True)
class LogName:
    """One file of a log.

    `base` is the name without `.gz`: a plain file and its compressed twin share it. `age` orders
    files of one listing, oldest first: dated backups by date, numbered ones by falling number,
    the live file last.
    """

    name: str
    base: str
    compressed: bool
    live: bool
    age: tuple[int, str]


def _stem_and_extension(live: str) -> tuple[str, str]:
    path = PurePosixPath(live)
    return path.stem, path.suffix


def parse(live: str, name: str) -> LogName | None:
    """Say what *name* is to the log with the live file *live*; None if it is no part of it."""
    base = name.removesuffix(GZIP)
    compressed = base != name
    if name == live:
        return LogName(name, base, compressed=False, live=True, age=(2, ""))
    stem, extension = _stem_and_extension(live)
    if base.startswith(stem + "-") and base.endswith(extension):
        middle = base[len(stem) : len(base) - len(extension)] if extension else base[len(stem) :]
        if found := _LUMBERJACK.fullmatch(middle) or _DATED.fullmatch(middle):
            return LogName(name, base, compressed, live=False, age=(0, found[1]))
    if base.startswith(live):
        rest = base[len(live) :]
        if found := _NUMBERED.fullmatch(rest):
            falling = f"{999_999 - int(found[1]):06}"  # audit.log.2 is older than audit.log.1
            return LogName(name, base, compressed, live=False, age=(1, falling))
        if found := _DATED.fullmatch(rest):
            return LogName(name, base, compressed, live=False, age=(0, found[1]))
    return None


def live_name(name: str) -> str:
    """Fold a backup's name into the name of its live file; other names are returned unchanged."""
    base = name.removesuffix(GZIP)
    if found := _BACKUP.search(base):
        return base[: found.start()] + (found[1] or found[2] or "")
    for pattern in (_NUMBERED, _DATED):
        if found := pattern.search(base):
            return base[: found.start()]
    return name


def fold(paths: Iterable[str]) -> list[str]:
    """Reduce what a glob found to the live files of distinct logs, in a stable order."""
    folded = {str(PurePosixPath(p).with_name(live_name(PurePosixPath(p).name))) for p in paths}
    return sorted(folded)
