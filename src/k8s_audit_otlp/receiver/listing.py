"""The logs that `include` names, and the files of one in its directory, oldest first.

A listing is no snapshot: files are renamed while it is made. It is repeated until two in a row
agree, and a file is known by the inode behind its opened descriptor, never by the entry's name.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from k8s_audit_otlp.receiver.log_file import LogFile, open_log_file
from k8s_audit_otlp.receiver.names import DATED, GLOB, GZIP, LogName, fold, looks_like_backup, parse

_ATTEMPTS = 8
_NAMED = 50  # files that a message names
_CALM_NS = 1_000_000_000  # in which a rotation renames all that it renames
MOST_DOUBT_NS = 10_000_000_000  # a directory that is never calm is judged all the same

Scandir = Callable[[Path], AbstractContextManager[Iterable[os.DirEntry[str]]]]


@dataclass(frozen=True, slots=True)
class Entry:
    """A directory entry of the log."""

    path: Path
    name: LogName
    device: int
    inode: int
    size: int
    mtime_ns: int

    @property
    def key(self) -> tuple[int, int]:
        return self.device, self.inode

    @property
    def stamp(self) -> tuple[int, int, int, int]:
        """What changes when the file does: an inode number alone is soon used again."""
        return self.device, self.inode, self.size, self.mtime_ns

    def is_dated_as(self, *names: str) -> bool:
        """Say whether it has one of the names, packed or not, and a date: nobody else has it."""
        return self.name.age[0] == DATED and self.name.base in {n.removesuffix(GZIP) for n in names}


def logs_in(include: Iterable[str]) -> list[Path]:
    """Return the logs that paths and globs lead to, each once, by the names of their live files."""
    found: list[str] = []
    for pattern in include:
        if GLOB & set(pattern):
            base = Path(pattern)
            root = Path(base.anchor or ".")
            matches = map(str, root.glob(str(base.relative_to(base.anchor))))
            found += [name for name in matches if not os.path.isdir(name)]  # noqa: PTH112 - no error where it is closed
        else:
            found.append(pattern)
    folded = list(map(Path, fold(found)))
    # By its own name where it has several: a link that is made later changes nothing.
    by_name = sorted(folded, key=lambda path: os.path.realpath(path) == str(path))
    own = {_place(path): path for path in by_name}
    return [path for path in folded if own[_place(path)] == path]


def _place(log: Path) -> tuple[object, ...]:
    """Return what a log has once, whatever links and mounts lead to it."""
    path = live_path(log)
    try:
        directory = path.parent.stat()
    except OSError:
        return (path,)
    return directory.st_dev, directory.st_ino, path.name


def live_path(path: Path) -> Path:
    """Return where the live file of a log is: backups are beside it.

    A symbolic link is followed, and `audit.log.gz` is a finished part of the log `audit.log`.
    """
    if os.path.islink(path):  # noqa: PTH114 - Path.is_symlink raises where we may not look
        path = Path(os.path.realpath(path))
    return path.parent / path.name.removesuffix(GZIP)  # `.` and `/` have no name


def list_log(path: Path, *, scandir: Scandir = os.scandir) -> list[Entry]:
    """Return the files of the log whose live file is *path*, oldest first.

    Raise OSError where the directory is missing or may not be read.
    """
    live = live_path(path)
    previous: list[Entry] | None = None
    entries: list[Entry] = []
    for _ in range(_ATTEMPTS):
        entries = sorted(_entries(live, scandir), key=lambda e: (e.name.age, e.name.name))
        if previous is not None and same_files(entries, previous):
            break
        previous = entries
    return entries


def is_calm(live: Path, clock_ns: Callable[[], int]) -> bool:
    """Say whether nobody has made, renamed or deleted a file beside *live* for a while.

    Until then a listing may lack what is being renamed. Raise OSError where it is gone.
    """
    changed_ns = live.parent.stat().st_mtime_ns  # first: it may change meanwhile
    return not 0 <= clock_ns() - changed_ns < _CALM_NS


def same_files(one: list[Entry], other: list[Entry]) -> bool:
    """Say whether two listings show the same files under the same names."""
    return [(e.name.name, e.inode) for e in one] == [(e.name.name, e.inode) for e in other]


def _entries(live: Path, scandir: Scandir) -> Iterable[Entry]:
    with scandir(live.parent) as found:
        for item in found:
            name = parse(live.name, item.name)
            if name is None:
                continue
            try:
                info = item.stat()
                if not item.is_file():
                    continue
            except OSError:
                continue  # renamed or deleted since, as the next listing shows; a link in a circle
            path = live.with_name(item.name)
            yield Entry(path, name, info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns)


def unknown_backups(path: Path) -> Iterator[str]:
    """Name the files beside the log that look like backups of it and are not read.

    Raise OSError where the directory is missing or may not be read.
    """
    live = live_path(path)
    with os.scandir(live.parent) as found:
        for item in found:
            with suppress(OSError):  # a link in a circle is none
                if looks_like_backup(live.name, item.name) and item.is_file():
                    yield item.name


def passed_over(live: Path, names: Sequence[str]) -> str:
    """Say that the files of *names* beside *live* are not read."""
    what = f"{live}: what looks like a backup of it has a name that is not read"
    return f"{what}: {first_of(names, _NAMED)}; rename it to have it sent"


def first_of(names: Sequence[str], most: int) -> str:
    """Name the first files, and say how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def without_packed_twins(entries: list[Entry]) -> list[Entry]:
    """Leave out a `.gz` whose plain twin is there: it may still be being written."""
    plain = {e.name.base for e in entries if not e.name.compressed}
    return [e for e in entries if not (e.name.compressed and e.name.base in plain)]


def open_entry(entry: Entry) -> LogFile:
    """Open the file of an entry, or what it was packed into since the listing.

    Raise FileNotFoundError where it is gone, or another file has its name by now; OSError where it
    cannot be read.
    """
    path, packed = entry.path, entry.name.compressed
    try:
        source = open_log_file(path, compressed=packed)
    except FileNotFoundError:
        if packed or entry.name.age[0] != DATED:
            raise
        return open_log_file(path.with_name(path.name + GZIP), compressed=True)
    info = path.stat()
    if (info.st_dev, info.st_ino) != entry.key:
        raise FileNotFoundError(path)
    return source


def what_is_in(directory: Path) -> str:
    """Name a few files of the directory, for whoever mistyped one of them."""
    try:
        names = sorted(path.name for path in directory.iterdir() if path.is_file())
    except OSError:
        return ""
    if not names:
        return f"; {directory} holds no file"
    return f"; {directory} holds {first_of(names, 5)}"
