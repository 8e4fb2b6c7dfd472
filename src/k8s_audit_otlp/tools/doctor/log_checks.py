"""Checks a log: whether it is there, readable, growing, left alone."""

import stat
from collections.abc import Iterable
from fnmatch import fnmatch
from itertools import pairwise
from pathlib import Path

from k8s_audit_otlp.config.durations import format_duration
from k8s_audit_otlp.event.decode import read_line
from k8s_audit_otlp.event.foreign import framed, seems
from k8s_audit_otlp.event.formats import detect, is_audit, unwrap
from k8s_audit_otlp.receiver.listing import first_of, unknown_backups, what_is_in
from k8s_audit_otlp.tools.doctor.findings import CheckResult, Checks, fail, ok, skipped, warn
from k8s_audit_otlp.tools.doctor.log_facts import LogFacts
from k8s_audit_otlp.tools.text import ago, counted, duration, size

SWITCH_ON = "switch auditing on: k8s-audit-otlp apiserver patch MANIFEST"
IDLE_S = 60.0  # leases alone make an apiserver write more often than that
AHEAD_S = 5.0  # a clock that is so much ahead shows in every search
_SILENCE_FACTOR = 3  # times the longest pause seen: hardly ever a false alarm
_LEAST_SILENCE_S = 60.0
_FEW = 100  # pauses: fewer say nothing about what is usual


def there(log: LogFacts) -> CheckResult:
    """Look for the file: where it is missing, auditing is off or writes elsewhere."""
    if isinstance(log.trouble, PermissionError):
        return skipped("it cannot be seen whether it is there", "see log.readable")
    if log.path.is_file():
        backups = sum(not entry.name.live for entry in log.entries)
        return ok(f"{size(log.size)} and {counted(backups, 'rotated file')}")
    if log.path.is_dir():
        return fail("it is a directory", f"name the live file in it: {log.path}/audit.log")
    if log.path.exists():
        return fail("it is no regular file", "give kube-apiserver a plain file to write")
    if not log.path.parent.is_dir():
        return fail(f"the directory {log.path.parent} is not there", SWITCH_ON)
    return fail(
        f"it is not there{what_is_in(log.path.parent)}",
        f"name the file of --audit-log-path; where there is none, {SWITCH_ON}",
    )


def readable(log: LogFacts) -> CheckResult:
    """See whether it opens: kube-apiserver writes 0600, so only the log's owner reads it."""
    if log.trouble is None:
        return ok("it can be read")
    if not isinstance(log.trouble, PermissionError):
        return skipped(f"{log.trouble.strerror}", "see log.there")
    if _selinux_enforces(log.root) and _modes_allow(log.path):
        return fail("SELinux denies reading it", "see host.selinux")
    return fail(
        f"reading is denied: {_owner(log.path)}",
        "run as the log's owner (securityContext.runAsUser, or User= of the unit)",
    )


def _owner(path: Path) -> str:
    for part in (path, *path.parents):
        try:
            info = part.stat()
        except OSError:
            continue
        return f"{part} belongs to user {info.st_uid}, mode {stat.S_IMODE(info.st_mode):04o}"
    return "not even its directory can be seen"


def _selinux_enforces(root: Path) -> bool:
    try:
        return (root / "sys/fs/selinux/enforce").read_text().strip() == "1"
    except OSError:
        return False


def _modes_allow(path: Path) -> bool:
    """Say whether everybody may read it as far as modes go."""
    try:
        parents = [parent.stat().st_mode for parent in path.parents]
        return bool(path.stat().st_mode & stat.S_IROTH) and all(m & stat.S_IXOTH for m in parents)
    except OSError:
        return False


def selinux(log: LogFacts) -> CheckResult:
    """See whether SELinux enforces: a container then needs a label that may read /var/log."""
    if not _selinux_enforces(log.root):
        return ok("SELinux does not enforce anything here")
    if isinstance(log.trouble, PermissionError):
        return fail(
            "SELinux enforces, and reading the log is denied",
            "set seLinuxOptions.type to spc_t for the agent's container, or look for its denial "
            "with ausearch -m avc -ts recent",
        )
    return ok("SELinux enforces, and the log can be read all the same")


def growing(log: LogFacts) -> CheckResult:
    """Watch it grow: an apiserver that audits writes every few seconds, whatever its policy."""
    if log.grown > 0:
        return ok(f"{size(log.grown)} more within {duration(log.waited_s)}")
    if log.written_s < IDLE_S:
        return ok(f"last written {ago(log.written_s)}")
    return warn(
        f"nothing was written for {duration(log.written_s)}",
        "is this the file of --audit-log-path, does kube-apiserver run, does its policy log "
        "anything? Ask it for something: kubectl get namespaces",
    )


def form(log: LogFacts) -> CheckResult:
    """Ask for JSON: the legacy format has neither bodies nor annotations."""
    if not log.first_line.strip():
        return skipped("there is no line yet")
    items = read_line(log.first_line)
    if framed([log.first_line]):
        frame = detect(log.first_line)
        if log.times or any(is_audit(one.text) for one in unwrap(log.first_line, frame)):
            return ok(f"JSON events in the frame of {frame}")
        what = f"another one in the frame of {frame}" if frame != "text" else "no audit event"
        kind = seems([log.first_line])
        return warn(
            f"its first line is {what}{f' (it seems to be {kind})' if kind else ''}: such lines "
            "are left out",
            "does the apiserver write its events there, with --audit-log-path=-? If not, name the "
            "file of --audit-log-path",
        )
    if kind := seems([log.first_line]):
        return fail(
            f"its first line is no audit event: it seems to be {kind}",
            "name the file of --audit-log-path",
        )
    if not items or all(item.is_unread for item in items):
        return fail("its first line is no audit event", "name the file of --audit-log-path")
    if not log.first_line.lstrip(b"\xef\xbb\xbf\0 ").startswith((b"{", b"[")):
        return warn("it is in the legacy format", "set --audit-log-format=json")
    return ok("JSON events")


def second_rotation(log: LogFacts) -> CheckResult:
    """Look for a second tool: two that rotate one file truncate what the other has begun."""
    config = _logrotate_config(log)
    if config:
        return fail(
            f"{config} rotates it too",
            "take it out there: kube-apiserver rotates by itself (--audit-log-maxsize)",
        )
    if not log.entries:
        return skipped("there is no file of it", "see log.there")
    own = [e for e in log.entries if not e.name.live and e.name.age[0] == 0 and "T" in e.name.name]
    other = [e for e in log.entries if not e.name.live and e not in own]
    if own and other:
        return fail(
            f"{own[-1].name.name} and {other[-1].name.name} are the marks of two tools",
            "let only kube-apiserver rotate it",
        )
    if other:
        return warn(
            f"{other[-1].name.name} was not made by kube-apiserver",
            "set --audit-log-maxsize and let only kube-apiserver rotate it; with copytruncate "
            "events are lost in between",
        )
    return ok("only kube-apiserver rotates it")


def names(log: LogFacts) -> CheckResult:
    """Name files beside the log that look like backups of it and would not be read."""
    try:
        unknown = sorted(unknown_backups(log.path))
    except OSError:
        return skipped("its directory cannot be listed", "see log.readable")
    if unknown:
        return warn(
            f"{first_of(unknown, 3)}: backups by their look, but of no name that is read",
            "rename them as logrotate does (audit.log.1), or explain --path each of them",
        )
    if not log.entries:
        return skipped("there is no file of it", "see log.there")
    return ok("every backup has a name that is read")


def _logrotate_config(log: LogFacts) -> str:
    configs: Iterable[Path] = (log.root / "etc/logrotate.conf",)
    folder = log.root / "etc/logrotate.d"
    if folder.is_dir():
        configs = (*configs, *sorted(folder.iterdir()))
    for config in configs:
        try:
            text = config.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        words = text.replace("{", " { ").replace('"', " ").split()
        if any(w.startswith("/") and fnmatch(str(log.path), w) for w in words):
            return f"/{config.relative_to(log.root)}"
    return ""


def single_file_mount(log: LogFacts) -> CheckResult:
    """Refuse a mount of the file alone: it pins one inode, after a rotation the old log."""
    try:
        lines = (log.root / "proc/self/mountinfo").read_text().splitlines()
    except OSError as error:
        return skipped(f"the mounts cannot be read: {error.strerror}")
    points = {line.split()[4].encode().decode("unicode_escape") for line in lines if line}
    if str(log.path) in points:
        return fail(
            "the file itself is mounted: after a rotation nothing new is seen",
            f"mount its directory, {log.path.parent}",
        )
    return ok("its directory is what is mounted, if anything")


def silence(log: LogFacts) -> CheckResult:
    """Propose `silence_after` from the pauses that the log really made."""
    pauses = [(b - a) / 1e9 for a, b in pairwise(sorted(log.times))]
    if len(pauses) < _FEW:
        few = f"its newest {counted(len(log.times), 'event')} are too few to know its pauses"
        return skipped(few, "ask again in an hour")
    longest = max(pauses)
    proposed = _rounded(max(_LEAST_SILENCE_S, longest * _SILENCE_FACTOR))
    chosen = log.receiver.silence_after_s if log.receiver else 0.0
    seen = f"the longest of the last {len(pauses)} pauses was {duration(longest)}"
    if chosen and chosen <= longest:
        return warn(f"silence_after is {format_duration(chosen)}, and {seen}", f"write {proposed}")
    if chosen:
        return ok(f"{seen}; silence_after is {format_duration(chosen)}")
    return ok(f"{seen}; silence_after: {proposed} would tell when auditing stops")


def _rounded(seconds: float) -> str:
    step = 60.0 if seconds < 3600 else 600.0
    return format_duration(step * -(-seconds // step))


def clock(log: LogFacts) -> CheckResult:
    """Look for events from the future: then two clocks do not agree."""
    if not log.times:
        return skipped("there is no event with a time")
    ahead = (max(log.times) - log.now_ns) / 1e9
    if ahead > AHEAD_S:
        return fail(
            f"its last event is {duration(ahead)} in the future",
            "synchronise the clock of this host: chronyc tracking, timedatectl",
        )
    return ok("no event is from the future")


CHECKS: Checks[LogFacts] = {
    "log.there": there,
    "log.readable": readable,
    "log.rotation": second_rotation,
    "log.names": names,
    "log.mount": single_file_mount,
    "host.selinux": selinux,
}
OF_EVENTS: Checks[LogFacts] = {  # where it can be read
    "log.growing": growing,
    "log.format": form,
    "log.clock": clock,
    "log.silence": silence,
}
