"""Finds the files that the symbolic link of a log led to before it leads where it does now.

Whoever writes a new file and lets the link lead to it leaves the old one where it was, under a name
that says nothing. It may do so twice between two looks, or while no agent runs.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path

from k8s_audit_otlp.receiver.identity import read_identity
from k8s_audit_otlp.receiver.listing import Entry
from k8s_audit_otlp.receiver.log_file import open_log_file
from k8s_audit_otlp.receiver.names import LogName, parse
from k8s_audit_otlp.receiver.segment import Segment
from k8s_audit_otlp.receiver.segments import KnownSegments


def linked_before(path: Path, old: Path, live: Path, known: KnownSegments) -> list[Entry]:
    """Return what the link *path* led to before *live*, since the oldest that is needed.

    *old* is where it led at the last look. A file is taken for one of them if it is called alike
    and begins with an event that happened in between. The oldest is first.
    """
    if not path.is_symlink():
        return []
    last = known.predecessor()
    away = [s for s in known if _is_elsewhere(s, live) and (s is last or _is_missed(s, known))]
    since_ns = min((s.state.first_ns for s in away if s.state.first_ns), default=0)
    if not since_ns:
        return []
    until_ns = _first_ns(live, known) or sys.maxsize
    times = {each: _first_ns(each, known) for each in _alike(old, live)}
    between = [each for each, first_ns in times.items() if since_ns <= first_ns <= until_ns]
    entries = [_entry(each, times[each], live) for each in between]
    return sorted(entries, key=lambda entry: entry.name.age)


def _is_elsewhere(segment: Segment, live: Path) -> bool:
    moved = segment.path is not None and segment.path.parent != live.parent
    return not segment.state.lost and (moved or parse(live.name, segment.state.name) is None)


def _is_missed(segment: Segment, known: KnownSegments) -> bool:
    return segment.source is None and not segment.state.gone and known.needed(segment)


def _alike(old: Path, live: Path) -> Iterator[Path]:
    """Yield files beside *old* and *live*, or in folders like theirs, that are called alike."""
    found = chain.from_iterable(folder.iterdir() for folder in {old.parent, live.parent})
    if old.parent != live.parent:
        found = chain(found, live.parent.parent.glob(f"*/{live.name}"))
    for path in set(found):
        of_log = path.parent == live.parent and parse(live.name, path.name)
        alike = path.suffix == live.suffix or _form(path.name) == _form(live.name)
        if alike and not of_log and path.is_file() and not path.is_symlink():
            yield path


def _form(name: str) -> str:
    return re.sub(r"\d+", "0", name)


def _first_ns(path: Path, known: KnownSegments) -> int:
    """Return the time of the first event in a file, 0 where there is none to be had."""
    with suppress(OSError):
        source = open_log_file(path, compressed=False)
        longest = known.limits.max_line_bytes
        identity = read_identity(source, finished=True, max_line_bytes=longest)
        return identity.when_ns if identity else 0
    return 0


def _entry(path: Path, first_ns: int, live: Path) -> Entry:
    info = path.stat()
    own = path.name if path.parent == live.parent else f"{path.parent.name}/{path.name}"
    name = LogName(own, own, compressed=False, live=False, age=(2, f"{first_ns:020}"))
    return Entry(path, name, info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns)
