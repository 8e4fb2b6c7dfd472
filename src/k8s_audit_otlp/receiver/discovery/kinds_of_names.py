"""Two ways to name backups in one directory, by dates and by numbers: each deletes its own oldest.

So a file that is still there proves of its own kind alone that nothing behind it is gone. Of the
other one files may have come and gone since the last look. That is told before the next file of
that kind, or before the live one; until then it is remembered, as the file that will show it may
be empty, or may be renamed while it is looked for. What a listing shows proves nothing of the files
that were not to be found where it says.
"""

from collections.abc import Collection, Sequence

from k8s_audit_otlp.receiver.discovery.succession import Missing
from k8s_audit_otlp.receiver.discovery.unreadable_files import ScanResult
from k8s_audit_otlp.receiver.identity import Identity
from k8s_audit_otlp.receiver.listing import Entry
from k8s_audit_otlp.receiver.names import DATED, NUMBERED, live_name, parse
from k8s_audit_otlp.receiver.segment import Segment
from k8s_audit_otlp.receiver.segments import KnownSegments

_KINDS = {DATED, NUMBERED}


class KindsOfNames:
    """What no file proves, by kind, in the manifest: which segments would, and since when."""

    def __init__(self, known: KnownSegments) -> None:
        self._known = known
        self.mixed = False
        self._since_ns = 0  # what is new in this listing lies behind it
        self._not_found: dict[int, tuple[int, int]] = {}  # in this listing

    def begin(self, entries: Sequence[Entry], before: Segment, bound: Collection[int]) -> None:
        """Note what the files that are known, as *bound* says of a listing, do not prove."""
        manifest = self._known.manifest
        last = [s.state.name for s in self._known if not s.state.gone]
        names = [*(parse(live_name(name), name) for name in last), *(e.name for e in entries)]
        self.mixed = {name.age[0] for name in names if name} | set(manifest.kinds) >= _KINDS
        self._since_ns = before.state.since_ns
        if self.mixed and not (before.live and before.seq in bound):  # else nothing was rotated
            here = manifest.next_seq, self._since_ns
            manifest.unproven = dict.fromkeys(_KINDS, here) | manifest.unproven
        for segment in self._known:
            if segment.seq in bound and segment.name:
                self.listed(segment, segment.name.age[0])

    def not_found(self, oldest: int) -> None:
        """Note that this listing proves nothing of what is new and of the kind *oldest* or later.

        Those before it were looked at already.
        """
        here = self._known.manifest.next_seq, self._since_ns
        kinds = {kind for kind in _KINDS if kind >= oldest and self.mixed}
        self._not_found = dict.fromkeys(kinds, here) | self._not_found

    def end(self, entries: Sequence[Entry], found: ScanResult) -> None:
        """Note which kinds there are, and what this listing does not prove of them."""
        manifest, kinds = self._known.manifest, {e.name.age[0] for e in entries} & _KINDS
        whole = entries and found.calm and not found.outdated  # else more may be there
        manifest.kinds = sorted(kinds if whole else kinds | set(manifest.kinds))
        manifest.unproven = self._not_found | manifest.unproven
        self._not_found = {}

    def listed(self, segment: Segment, kind: int) -> None:
        """Note that a file of *segment* is there, with a name of this kind."""
        unproven = self._known.manifest.unproven
        if kind in unproven and segment.seq < unproven[kind][0]:
            del unproven[kind]

    def missing_before(self, entry: Entry, identity: Identity) -> Missing | None:
        """Return what may be missing before a new file, once."""
        unproven, kind = self._known.manifest.unproven, entry.name.age[0]
        kinds = set(unproven) if entry.name.live else {kind} & set(unproven)
        if not kinds:
            return None
        since_ns = min(unproven[kind][1] for kind in kinds)
        if not entry.name.live and 0 < identity.when_ns <= since_ns:
            return None  # an older one that was put there
        for kind in kinds:
            del unproven[kind]
        why = "some backups have dates and some numbers: others may have come and gone"
        return Missing(f"{why} before what is now {entry.name.name}", since_ns)
