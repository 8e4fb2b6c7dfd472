"""What stands in the way of reading a log, and files of it that cannot be read.

A trouble is said once when it comes, and once when all is well. A file that may not be opened or
whose disk gives errors is not gone. It keeps its segment, if that can be told from its inode or its
date; what was written after it is not held up. A compressed file without one readable line is given
up when it does not change any more.
"""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol

from k8s_audit_otlp.model import LogKey
from k8s_audit_otlp.receiver.identity import fingerprint
from k8s_audit_otlp.receiver.listing import Entry
from k8s_audit_otlp.receiver.names import DATED, GZIP
from k8s_audit_otlp.receiver.segment import Segment
from k8s_audit_otlp.receiver.segments import KnownSegments
from k8s_audit_otlp.receiver.source import Source
from k8s_audit_otlp.state.manifest import SegmentState, UnreadFile

WAITING = "; waiting for it"  # what ends the trouble of a log that is not there


class LogEvents(Protocol):
    """What the log tells whoever listens; the core only says what happened."""

    def discovered(self, log: LogKey, segment: SegmentState) -> None: ...
    def trouble(self, log: LogKey, message: str) -> None:
        """Something that may pass stands in the way; '' when nothing does any more."""


class Troubles:
    """The troubles of one log, each under a name. The watcher and the readers tell of them."""

    def __init__(self, say: Callable[[str], None]) -> None:
        """*say* is called with each new trouble, and with '' when the last one has passed."""
        self._say = say
        self._lock = Lock()  # guards all four
        self._absence = ""
        self._now: dict[str, str] = {}
        self._since: dict[str, str] = {}  # added by readers since the last scan
        self._once: set[str] = set()

    @property
    def now(self) -> list[str]:
        with self._lock:
            return list(self._now.values())

    @property
    def absence(self) -> str:
        """Say that the live file is away; what is there of the log can be read all the same."""
        return self._absence

    def away(self, message: str) -> None:
        """Tell that the live file is away, '' when it is back; once, and not beside another."""
        with self._lock:
            changed = bool(message) != bool(self._absence) and not self._now
            self._absence = message
        if changed:
            self._say(message)

    def add(self, name: str, message: str) -> None:
        """Tell of one; it counts until a scan and the readers after it no longer meet it."""
        with self._lock:
            new = self._now.get(name) != message
            self._now[name] = self._since[name] = message
        if new:
            self._say(message)

    def replace(self, troubles: dict[str, str]) -> None:
        """Tell what a scan has met; readers' troubles are kept for one scan."""
        with self._lock:
            before = self._now
            self._now, self._since = {**self._since, **troubles}, {}
            new = [message for name, message in self._now.items() if before.get(name) != message]
            passed = bool(before) and not self._now and not self._absence
        for message in new:
            self._say(message)
        if passed:
            self._say("")

    def once(self, message: str) -> None:
        """Say something that is no trouble but must be known, once."""
        with self._lock:
            new = message not in self._once
            self._once.add(message)
        if new:
            self._say(message)


UNPACKED = "cannot be unpacked (yet); waiting for it"

_HINTS = {
    errno.EACCES: "run as the log's owner or let the agent's user read it",
    errno.EPERM: "run as the log's owner or let the agent's user read it",
    errno.EMFILE: "raise the limit of open files (LimitNOFILE)",
}


@dataclass(slots=True)
class Found:
    """What one listing showed: the segments with a file in it, and what could not be read."""

    bound: set[int]
    follows: bool = True  # nothing that is gone lies between what was known and what comes next
    again: bool = False  # another listing is better: a file was gone from where this one says
    troubles: dict[str, str] = field(default_factory=dict)  # by file name
    unread: set[tuple[int, int]] = field(default_factory=set)  # device and inode
    maybe: set[int] = field(default_factory=set)  # segments that an unread file may hold


def explain(error: OSError) -> str:
    """Say what went wrong and what helps."""
    code = error.errno or 0
    return f"{os.strerror(code)}; {_HINTS.get(code, 'waiting for it')}"


class UnreadFiles:
    """Remembers, in the manifest, which files could not be read yet."""

    def __init__(self, known: KnownSegments, on_new: Callable[[Segment], None]) -> None:
        self._known = known
        self._on_new = on_new

    def wait_for(self, entry: Entry, why: str, found: Found) -> Segment | None:
        """Keep the segment of a file that cannot be read; return it where it is known.

        Where it is not, the file may be of any segment that had no other when it was first seen.
        """
        why = f"{entry.path}: {why}"
        found.troubles[entry.name.name] = why
        found.unread.add(entry.key)
        if (segment := self._of(entry)) is not None:
            with self._known.lock:
                segment.trouble, segment.state.gone = why, False
            return segment
        unread = self._known.manifest.unread
        file = next((f for f in unread if (f.device, f.inode) == entry.key), None)
        if file is None:
            file = UnreadFile(entry.name.name, *entry.key, self._without_file(found))
            unread.append(file)
        found.maybe.update(file.maybe)
        return None

    def _of(self, entry: Entry) -> Segment | None:
        """Return the segment of a file that cannot be looked into, by its inode or its date."""
        without = [s for s in self._known if s.source is None and not s.state.lost]
        return next((s for s in without if _may_be(s, entry)), None)

    def _without_file(self, found: Found) -> list[int]:
        return [
            s.seq
            for s in self._known
            if s.seq not in found.bound and s.source is None and not s.state.gone
        ]

    def review(self, entries: list[Entry], found: Found) -> None:
        """Tell of files that are gone and never could be read."""
        if not entries:
            return
        listed = {entry.key for entry in entries}
        read = {segment.key for segment in self._known}
        dated = {e.path.name for e in entries if e.name.age[0] == DATED} - set(found.troubles)
        waiting = []
        for file in self._known.manifest.unread:
            key = file.device, file.inode
            if key in read or file.name in dated:
                continue  # it could be read, or was put back so that it can
            # What has a file of its own is in no other.
            file.maybe = [seq for seq in file.maybe if seq not in found.bound]
            if key in listed:
                waiting.append(file)
            else:
                what = f"{file.name} {file.device} {file.inode}".encode()
                why = f"{file.name} was deleted before it could be read"
                self._on_new(self._known.add_lost("unseen", file.name, what, detail=why))
        self._known.manifest.unread = waiting
        found.maybe = {seq for file in waiting for seq in file.maybe}

    def damaged(self, entry: Entry, source: Source) -> Segment:
        """Give up a compressed file of which not one line can be read.

        Where its name says which segment it held, the rest of that one is lost, if there is any.
        """
        unread = self._known.manifest.unread
        self._known.manifest.unread = [f for f in unread if (f.device, f.inode) != entry.key]
        if (segment := self._of(entry)) is not None:
            self._known.hold(segment, source, live=False)
            return segment
        what = f"{entry.name.base} {entry.size} ".encode() + source.raw(0, 65_536)
        known = self._known.manifest.with_identity(fingerprint(what))
        if known:
            return self._known[known[0].seq]
        segment = self._known.add_lost("corrupt_gzip", entry.name.name, what)
        self._on_new(segment)
        return segment


def _may_be(segment: Segment, entry: Entry) -> bool:
    if segment.key == entry.key:
        return True
    bases = {name.removesuffix(GZIP) for name in segment.state.names}
    return entry.name.age[0] == DATED and entry.name.base in bases
