"""Which file names belong to a log, and how old each generation is. Pure.

audit.log                                live
audit-2026-01-02T03-04-05.678.log[.gz]   lumberjack backup, UTC (kube-apiserver's own rotation)
audit.log.3[.gz]                         logrotate backup, the higher the older
audit.log-20260102[-030405][.gz]         logrotate backup with `dateext`; also -%s, -%Y%m%d-%s
audit.log-2026-01-02[-030405][.gz]       the same with `dateformat -%Y-%m-%d`
audit-20260102[-030405].log[.gz]         the same as `dateext` with `extension .log`
0.log.20260102-030405[.gz]               a container's log that kubelet has rotated
audit-2026-01-02T03-04-05.678.log.1[.gz] a backup that logrotate took up again, or with `dateext`
audit.log.gz                             a log that somebody packed where it was
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath

GZIP = ".gz"
GLOB = frozenset("*?[")  # any of them makes a path a pattern
DATED = 0  # age of a backup whose name is its own for good; others shift at each rotation
NUMBERED = 1
# Who made a file a backup, and deletes the oldest of those that he has made, whatever else is there
BY_LUMBERJACK, BY_NUMBER, BY_DATE, AGAIN = range(4)
_HIGHEST = 99_999  # six digits are a year and a month, which would be put in the wrong order
_LUMBERJACK_TIME = r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}"
# `dateext`: a day, a day and a time or seconds since the epoch, or such seconds alone
_DAY = r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
_TIME = r"(?:[01]\d|2[0-3])(?:[0-5]\d){0,2}"
_DATE = rf"{_DAY}(?:-1\d{{9}}|[-_T]?{_TIME})?|1\d{{9}}"
_HYPHENS = rf"(?:19|20)\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])(?:[-_T]?{_TIME})?"
_LUMBERJACK = re.compile(rf"-({_LUMBERJACK_TIME})$")
_LUMBERJACK_IN = re.compile(r"-(\d{4}-\d\d-\d\d)T(\d\d-\d\d-\d\d\.\d{3})")
_BACKUP = re.compile(rf"-(?:{_LUMBERJACK_TIME}(\.[^.]*)?|(?:{_DATE})(\.[^.\d]+))$")
_NUMBERED = re.compile(r"\.(\d{1,5})$")
_DATED = re.compile(rf"[-.]({_DATE})$")
_DATED_WITH_HYPHENS = re.compile(rf"[-.]({_HYPHENS})$")  # behind the whole name alone
_AGAIN = re.compile(rf"(?:\.(\d{{1,5}})|-({_DATE}))$")
# What else stands before the name of a log, and what multilog and svlogd call what was `current`
_BEFORE = re.compile(r"[\dTZ:._-]*\d[-._]|(?:old|bak|backup|prev|previous)[-._]", re.IGNORECASE)
_TAI64N = re.compile(r"@[0-9a-f]{24}\b")
_BEING_WRITTEN = ".tmp"  # kubelet packs into such a file
# What follows the name of the log in the name of a backup, of whatever kind
_LOOKS_LIKE = re.compile(
    r"\d|~$"
    r"|[-._ ](?:old|bak|backup|orig|save|prev|previous|last|copy|archived?|rotated)(?![a-z])"
    r"|[-._](?:mon|tue|wed|thu|fri|sat|sun|yester)(?:[a-z]*day)?(?![a-z])|\.a[a-z]$"
    r"|\.(?:gz|gzip|tgz|bz2|xz|lzma|zst|zip|Z)\b",
    re.IGNORECASE,
)


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

    @property
    def rotated(self) -> str:
        """Return when lumberjack made it a backup, in RFC 3339, to the millisecond; or nothing."""
        found = _LUMBERJACK_IN.search(self.base) if self.age[0] == DATED else None
        return f"{found[1]}T{found[2].replace('-', ':')}Z" if found else ""

    @property
    def kind(self) -> int | None:
        """Say who made it a backup: lumberjack, logrotate in one of two ways, or one the other's.

        None for the live file and one that somebody packed where it was.
        """
        if self.age[0] == NUMBERED:
            return BY_NUMBER
        if self.age[0] != DATED:
            return None
        if not (found := _LUMBERJACK_IN.search(self.base)):
            return BY_DATE
        return AGAIN if _AGAIN.search(self.base, found.end()) else BY_LUMBERJACK

    @property
    def number(self) -> int:
        """Return the number that logrotate gave it, which rises; 0 where it has none."""
        return _HIGHEST - int(self.age[1]) if self.age[0] == NUMBERED else 0


def parse(live: str, name: str) -> LogName | None:
    """Say what *name* is to the log with the live file *live*; None if it is no part of it."""
    if name == live:
        return LogName(name, name, compressed=False, live=True, age=(3, ""))
    if name == live + GZIP:  # no twin of the live file: that is another one by now
        return LogName(name, name, compressed=True, live=False, age=(2, ""))
    base = name.removesuffix(GZIP)
    age = _age(live, base)
    return LogName(name, base, base != name, live=False, age=age) if age else None


def _age(live: str, base: str) -> tuple[int, str] | None:
    if base.startswith(live):
        rest = base[len(live) :]
        if found := _NUMBERED.fullmatch(rest):
            return NUMBERED, _falling(found[1])  # audit.log.2 is older than audit.log.1
        if found := _DATED.fullmatch(rest) or _DATED_WITH_HYPHENS.fullmatch(rest):
            return 0, _time(found[1])
    if when := _dated(live, base):
        return 0, f"{when} {_falling('0')}"
    if again := _AGAIN.search(base):
        when = _dated(live, base[: again.start()])
        return (0, f"{when} {_falling(again[1] or '0')}") if when else None
    return None


def _dated(live: str, base: str) -> str | None:
    """Return the time in a name that has it between the stem and the extension of the log."""
    path = PurePosixPath(live)
    if not base.startswith(path.stem + "-") or not base.endswith(path.suffix):
        return None
    middle = base[len(path.stem) : len(base) - len(path.suffix)]
    found = _LUMBERJACK.fullmatch(middle) or _DATED.fullmatch(middle)
    return _time(found[1]) if found else None


def _falling(number: str) -> str:
    return f"{_HIGHEST - int(number):05}"


def _time(text: str) -> str:
    """Write any of the times as digits that order alike: year, month, day, hour, ..."""
    *_, seconds = text.split("-")
    if len(seconds) == 10 and seconds[0] == "1":
        return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y%m%d%H%M%S")
    return re.sub(r"\D", "", text)


def is_lumberjacks(name: str) -> bool:
    """Say whether a file is called as lumberjack calls a backup, which it has closed."""
    found = parse(live_name(name), name)
    return found is not None and found.rotated != ""


def looks_like_backup(live: str, name: str) -> bool:
    """Say whether *name* seems to be a backup of the log, though not of a kind that is known."""
    path = PurePosixPath(live)
    if parse(live, name) is not None or name.endswith(_BEING_WRITTEN):
        return False
    at = name.find(live)
    if at > 0 and _BEFORE.fullmatch(name, 0, at):
        return True
    if live == "current" and _TAI64N.match(name):
        return True
    if at == 0:
        rest = name[len(live) :]
    elif name.startswith(tuple(path.stem + sign for sign in "-._")) and path.suffix in name:
        rest = name[len(path.stem) :]
    else:
        return False
    other = live_name(name)
    if other != name and re.fullmatch(rf"{re.escape(path.stem)}[-_][^\d]+", other):
        return False  # a backup of another log, as audit-webhook.log is beside audit.log
    return rest[:1] in ".-_ ~@,#%+" and _LOOKS_LIKE.search(rest) is not None


def live_name(name: str) -> str:
    """Fold a backup's name into the name of its live file; other names are returned unchanged."""
    base = name.removesuffix(GZIP)
    for once in (_AGAIN.sub("", base), base):
        if found := _BACKUP.search(once):
            return once[: found.start()] + (found[1] or found[2] or "")
    for pattern in (_NUMBERED, _DATED, _DATED_WITH_HYPHENS):
        if found := pattern.search(base):
            return base[: found.start()]
    return base


def may_become(before: str, now: LogName) -> bool:
    """Say whether a file named *before* can have the name *now* later: it only gets older.

    A name with a date is nobody else's, though logrotate may add a number to it.
    """
    old = parse(now.name if now.live else live_name(now.name), before)
    if old is None or old.age[0] != DATED:
        return old is not None and now.age <= old.age
    return now.base.startswith(old.base)


def fold(paths: Iterable[str]) -> list[str]:
    """Reduce what a glob found to the live files of distinct logs, in a stable order."""
    folded = {str(PurePosixPath(p).with_name(live_name(PurePosixPath(p).name))) for p in paths}
    return sorted(folded)
