"""Several ways to make backups of one log, told by their names: each deletes its own oldest.

So a file that is still there proves of its own kind alone that nothing behind it is gone. Of the
others files may have come and gone since the last look. That is told before the next file of
that kind, or before the live one; until then it is remembered, as the file that will show it may
be empty, or may be renamed while it is looked for. What a listing shows proves nothing of the files
that were not to be found where it says.

Nor does a kind go out of use where none of it is there: whoever rotates may have deleted his last
one and be about to rename the live file. It does once another has made that one a backup.
"""

from collections.abc import Collection, Iterable, Sequence

from k8s_audit_otlp.receiver.discovery.succession import Missing
from k8s_audit_otlp.receiver.discovery.unreadable_files import ScanResult
from k8s_audit_otlp.receiver.identity import Identity
from k8s_audit_otlp.receiver.listing import Entry
from k8s_audit_otlp.receiver.names import AGAIN, BY_LUMBERJACK, LogName, live_name, parse
from k8s_audit_otlp.receiver.segment import Segment
from k8s_audit_otlp.receiver.segments import KnownSegments


class KindsOfNames:
    """What no file proves, by kind, in the manifest: which segments would, and since when."""

    def __init__(self, known: KnownSegments) -> None:
        self._known = known
        self._kinds: set[int] = set()  # those in use
        self._of_lumberjack: set[LogName] = set()  # in this listing, and not known yet
        self._since_ns = 0  # what is new in this listing lies behind it
        self._not_found: dict[int, tuple[int, int]] = {}  # in this listing

    def begin(self, entries: Sequence[Entry], before: Segment, bound: Collection[int]) -> None:
        """Note what the files that are known, as *bound* says of a listing, do not prove."""
        manifest = self._known.manifest
        last = [s.state.name for s in self._known if not s.state.gone]
        names = [*(parse(live_name(name), name) for name in last), *(e.name for e in entries)]
        manifest.kinds |= dict.fromkeys(_kinds_of(e.name for e in entries), 0)
        self._kinds = _kinds_of(name for name in names if name) | set(manifest.kinds)
        self._of_lumberjack = {e.name for e in entries if e.name.kind in (BY_LUMBERJACK, AGAIN)}
        self._since_ns = before.state.since_ns
        if self.mixed and not (before.live and before.seq in bound):  # else nothing was rotated
            here = manifest.next_seq, self._since_ns
            manifest.unproven = dict.fromkeys(self._kinds, here) | manifest.unproven
        for segment in self._known:
            if segment.seq in bound and segment.name:
                self.listed(segment, segment.name)

    @property
    def mixed(self) -> bool:
        """Say whether there is more than one: a file that is next may have a name of any."""
        return len(self._kinds) > 1

    def not_found(self) -> None:
        """Note that this listing proves nothing of what is new and was not found until now."""
        here = self._known.manifest.next_seq, self._since_ns
        if self.mixed:
            self._not_found = dict.fromkeys(self._kinds, here) | self._not_found

    def end(self, entries: Sequence[Entry], found: ScanResult) -> None:
        """Note which kinds there are, and what this listing does not prove of them."""
        manifest, live = self._known.manifest, self._known.live()
        listed = dict.fromkeys(_kinds_of(e.name for e in entries), 0)
        manifest.kinds |= listed
        whole = found.calm and not found.outdated  # else more may be there
        if whole and live is not None and live.seq in found.bound:
            for kind in manifest.kinds.keys() - listed:
                if manifest.kinds[kind] not in found.bound:
                    manifest.kinds[kind] = live.seq
        manifest.unproven = self._not_found | manifest.unproven
        self._not_found = {}

    def listed(self, segment: Segment, name: LogName) -> None:
        """Note that a file of *segment* is there, and is called *name*."""
        unproven, kinds = self._known.manifest.unproven, self._known.manifest.kinds
        if name.kind == AGAIN and segment.seq < unproven.get(BY_LUMBERJACK, (0,))[0]:
            self._of_lumberjack.discard(name)
            if not self._of_lumberjack:  # it keeps its newest, and logrotate has taken up all
                del unproven[BY_LUMBERJACK]
        unused = {kind for kind in kinds if kinds[kind] == segment.seq and name.kind is not None}
        for kind in unused:
            del kinds[kind]
        self._kinds -= unused
        for kind in unproven.keys() & {name.kind, *unused}:
            if segment.seq < unproven[kind][0]:
                del unproven[kind]

    def missing_before(self, entry: Entry, identity: Identity) -> Missing | None:
        """Return what may be missing before a new file, once."""
        unproven, name = self._known.manifest.unproven, entry.name
        kinds = [kind for kind in unproven if name.live or kind == name.kind]
        if not kinds:
            return None
        since_ns = min(unproven[kind][1] for kind in kinds)
        if not name.live and 0 < identity.when_ns <= since_ns:
            return None  # an older one that was put there
        for kind in kinds:
            del unproven[kind]
        why = "backups are made in more than one way: others may have come and gone"
        return Missing(f"{why} before what is now {name.name}", since_ns)


def _kinds_of(names: Iterable[LogName]) -> set[int]:
    kinds = {name.kind for name in names if name.kind is not None}
    return kinds | {BY_LUMBERJACK} if AGAIN in kinds else kinds  # whose files these were
