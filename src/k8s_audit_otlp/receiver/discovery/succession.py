"""Says whether one file of a log directly follows another, by their names; and why that is open.

lumberjack makes the live file a backup when an event has no room in it any more, and begins the
next file with that event. So the date in the name of a backup is when the next file begins; where
that begins later, a file between them is gone, whoever deleted it. Where it begins much earlier,
the clock was set back, and the files that seem to be the oldest, and go first, are not. logrotate
leaves no number out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from k8s_audit_otlp.event.times import unix_ns
from k8s_audit_otlp.receiver.identity import Identity
from k8s_audit_otlp.receiver.listing import Entry
from k8s_audit_otlp.receiver.names import LogName
from k8s_audit_otlp.receiver.segment import Segment

_LATE_NS = 1_000_000_000  # an event is stamped before it is written
_ZONE_NS = 900_000_000_000  # a time zone is so many hours and quarters away
_EARLY_NS = 600_000_000_000  # and waits no longer than this to be written


@dataclass(frozen=True, slots=True)
class Missing:
    """What is missing between two files, as a clause.

    `since_ns`: the last event that is known cannot be later; 0 where the clock was set, None where
    the names do not say.
    """

    why: str
    since_ns: int | None = None
    passing: bool = False  # it may only seem so while a rotation is under way


@dataclass
class Succession:
    """The files of one listing, and the segment that the next new one of them has to follow.

    `mixed`: backups are made in several ways, so that a file that is next may have any such name.
    """

    entries: Sequence[Entry] = ()
    newest: Segment | None = None
    newest_name: LogName | None = None  # that it has in the listing
    mixed: bool = False
    seen_empty: bool = False  # the next new one was, right behind the one that it has to follow

    def missing_before(self, entry: Entry, identity: Identity) -> Missing | None:
        """Return what is missing between the newest file and *entry*, if these are neighbours.

        What lies between them in the listing has a tale of its own; a file that is put beside the
        log again, older than it, is no successor.
        """
        before, newest, after = self.newest_name, self.newest, entry.name
        if before is None or newest is None or self.seen_empty:
            return None
        if not after.live and 0 < identity.when_ns < newest.state.first_ns:
            return None
        names = {e.name for e in self.entries}
        if any(before.age < name.age < after.age for name in names):
            return None
        missing = None
        if not self.mixed:
            missing = _missing_by_time(before, newest.state.first_ns, after, identity.when_ns)
        return missing or self.missing_number(before, after)

    def missing_number(self, before: LogName | None, after: LogName | None) -> Missing | None:
        """Return that a number is missing between two names, as one is while others are renamed."""
        if before is None or after is None or not after.number:
            return None
        numbers = {entry.name.number for entry in self.entries}
        listed = sum(after.number < number < before.number for number in numbers)
        if before.number - after.number <= listed + 1:
            return None
        why = f"a file with a number between {before.name} and {after.name} is gone"
        return Missing(why, passing=True)

    def note(self, segment: Segment, name: LogName | None) -> None:
        """Note that what comes next has to follow *segment*, unless it is an older one."""
        if self.newest is None or not 0 < segment.state.first_ns < self.newest.state.first_ns:
            self.newest, self.newest_name = segment, name


def _missing_by_time(
    before: LogName, first_ns: int, after: LogName, begins_ns: int
) -> Missing | None:
    """Return what is missing by the name of *before*, if that is by the clock of the events.

    *first_ns*, *begins_ns*: times of the first events of the two, 0 where they are not known.
    """
    rotated_ns = unix_ns(before.rotated) or 0
    late_ns = begins_ns - rotated_ns
    right = (late_ns + _LATE_NS) % _ZONE_NS <= 2 * _LATE_NS  # in whatever time zone
    if right or not begins_ns or not 0 < first_ns <= rotated_ns:
        return None
    if late_ns > 0:
        why = f"{after.name} begins later than at {before.rotated}, when {before.base} was full"
        return Missing(f"{why}: a file between them is gone", rotated_ns)
    if late_ns < -_EARLY_NS:
        why = f"the clock was set back between {before.base} and {after.name}"
        return Missing(f"{why}: a newer file may have been taken for the oldest and deleted", 0)
    return None


def missing_proof(
    name: str, before: Segment | None, *, was_empty: bool = False, cut: bool = False
) -> str:
    """Return which proof is missing that *name*, which is in the text, follows what was known.

    *was_empty*: the live file, at the last look. *cut*: the file of *before* was. Whoever verifies
    the notice looks for the name of its file in its text.
    """
    if before is None:
        first = f"nothing proves that {name} is the first file: at the last look the log was"
        if was_empty:
            return f"{first} an empty file that is gone"
        return f"{first} not there, and other backups may have come and gone before it"
    known = before.state.name
    if cut or (before.state.truncated and before.source is None):
        return (
            f"{known} was cut or overwritten: what came since the last look and before what is "
            f"now {name} may be gone"
        )
    if before.unlinked:
        return (
            f"{known} is read to its end but deleted or replaced: other files may have come "
            f"and gone before what is now {name}"
        )
    return (
        f"{known}, the last file that the state knows, is gone: more may have been written to "
        f"it, and other files may have come and gone before what is now {name}"
    )
