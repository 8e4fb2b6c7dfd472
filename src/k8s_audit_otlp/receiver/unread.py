"""Files of a log that cannot be read: waited for while they may be, told as lost when they cannot.

A file that may not be opened or whose disk gives errors is not gone. It keeps its segment, if that
can be told from its inode or name. A compressed file without one readable line is given up when it
does not change any more.
"""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field

from k8s_audit_otlp.receiver.identity import fingerprint
from k8s_audit_otlp.receiver.listing import Entry
from k8s_audit_otlp.receiver.names import GZIP
from k8s_audit_otlp.receiver.segment import Segment
from k8s_audit_otlp.receiver.segments import KnownSegments
from k8s_audit_otlp.receiver.source import Source

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
    troubles: dict[str, str] = field(default_factory=dict)  # by file name
    maybe_unread: bool = False  # a file that cannot be read may be of any known segment


def explain(error: OSError) -> str:
    """Say what went wrong and what helps."""
    code = error.errno or 0
    return f"{os.strerror(code)}; {_HINTS.get(code, 'waiting for it')}"


class UnreadFiles:
    """Remembers, in the manifest, which files could not be read yet."""

    def __init__(self, known: KnownSegments, on_new: Callable[[Segment], None]) -> None:
        self._known = known
        self._on_new = on_new

    def wait_for(self, entry: Entry, error: OSError, found: Found) -> Segment | None:
        """Keep the segment of a file that cannot be read; return it where it is known."""
        why = f"{entry.path}: {explain(error)}"
        found.troubles[entry.name.name] = why
        for segment in self._known:
            if segment.source is None and _may_be(segment, entry):
                with self._known.lock:
                    segment.trouble, segment.state.gone = why, False
                return segment
        found.maybe_unread = True
        unread = self._known.manifest.unread
        if not any(entry.key == (device, inode) for _, device, inode in unread):
            unread.append((entry.name.name, *entry.key))
        return None

    def tell_lost(self, entries: list[Entry]) -> None:
        """Tell of files that are gone and never could be read."""
        if not entries:
            return
        listed = {entry.key for entry in entries}
        read = {segment.key for segment in self._known}
        waiting = []
        for name, device, inode in self._known.manifest.unread:
            if (device, inode) in read:
                continue
            if (device, inode) in listed:
                waiting.append((name, device, inode))
            else:
                key = f"{name} {device} {inode}".encode()
                self._on_new(self._known.add_lost("unseen", name, key))
        self._known.manifest.unread = waiting

    def damaged(self, entry: Entry, source: Source) -> Segment:
        """Give up a compressed file of which not one line can be read."""
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
    return entry.name.base in bases and not entry.name.live
