"""How long a log is kept, and how long each exporter has until it loses something.

The runway of an exporter is the time until the oldest byte that it has not delivered is deleted,
or is older than its back end takes. It is never estimated too long: the file that holds the byte
is taken to be as old as the byte, and to hold nothing newer.

How long the log is kept is read from kube-apiserver's static pod manifest where it can be read,
and else taken from what lies there. `Runways.look` is called about once a second; a runway below
the threshold is said in the agent's log, at most once a minute.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from k8s_audit_otlp.apiserver.observed import observe
from k8s_audit_otlp.apiserver.settings import MANIFEST, RefusalError
from k8s_audit_otlp.exporter.subscription import Subscription
from k8s_audit_otlp.model import LogKey
from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.telemetry.backlog import backlog_of
from k8s_audit_otlp.telemetry.logs import logger
from k8s_audit_otlp.telemetry.views import SHORT_S

_DELETED = (
    "events are deleted that it has not sent; mend the back end, or raise --audit-log-maxbackup "
    "and --audit-log-maxage"
)
_TOO_OLD = (
    "events that it has not sent are older than its back end takes (on_too_old says what becomes "
    "of them); mend the back end"
)
_FULL = "the spool is full and takes nothing more; mend the back end, or raise spool::max_bytes"
_WATCHED_S = 60.0  # for so long a log is looked at first: one burst at the start is no rate
_READ_AGAIN_S = 60.0  # a manifest is seldom edited

DAY_S = 86_400.0
_MIB = 1 << 20
DEFAULT_SEGMENT_BYTES = 100 * _MIB  # of lumberjack, where --audit-log-maxsize is 0 or absent
_WINDOW_S = 300.0  # what was written longer ago hardly counts


@dataclass(frozen=True, slots=True)
class Retention:
    """What rotation keeps beside the live file: bytes, and seconds. None: no such bound."""

    kept_bytes: int | None = None
    max_age_s: float | None = None

    @property
    def bounded(self) -> bool:
        return self.kept_bytes is not None or self.max_age_s is not None


def retention_of_flags(flags: Mapping[str, str]) -> Retention:
    """Read kube-apiserver's flags; what is absent or 0 sets no bound (k8s.io/apiserver audit)."""
    segment = segment_bytes_of_flags(flags)
    backups = _number(flags, "audit-log-maxbackup")
    days = _number(flags, "audit-log-maxage")
    return Retention(segment * backups or None, days * DAY_S or None)


def segment_bytes_of_flags(flags: Mapping[str, str]) -> int:
    """Return the size at which the log is rotated."""
    return _number(flags, "audit-log-maxsize") * _MIB or DEFAULT_SEGMENT_BYTES


def _number(flags: Mapping[str, str], name: str) -> int:
    text = flags.get(name, "")
    return int(text) if text.isdecimal() else 0


def observed_retention(sizes: Iterable[int], *, deleted: bool) -> Retention:
    """Take what lies there for what is kept, once something was deleted.

    *sizes* are those of the backups; 0 is a size that is not known, a compressed file that nobody
    read, and counts as the others do on average.
    """
    listed = list(sizes)
    known = [size for size in listed if size]
    if not deleted or not known:
        return Retention()
    return Retention(sum(known) * len(listed) // len(known))


def runway_s(
    retention: Retention,
    rate: float | None,
    *,
    backlog_bytes: int,
    backlog_s: float,
    window_s: float | None = None,
) -> float | None:
    """Return the seconds left; None where nothing bounds them or too little is known.

    *rate*: bytes written a second. *backlog_s*: age of the oldest byte that is not delivered.
    *window_s*: age that the back end takes.
    """
    bounds = []
    if retention.kept_bytes is not None and (left := retention.kept_bytes - backlog_bytes) <= 0:
        bounds.append(0.0)  # whatever the rate: a spool that is full takes nothing, so it is 0
    elif retention.kept_bytes is not None and rate is not None:
        bounds.append(left / rate if rate > 0 else math.inf)
    ages = (retention.max_age_s, window_s or None)
    bounds += [max(0.0, age - backlog_s) for age in ages if age is not None]
    shortest = min(bounds, default=math.inf)
    return shortest if math.isfinite(shortest) else None


class WriteRate:
    """Bytes a second, as a mean that forgets: what was written five minutes ago counts a third."""

    def __init__(self) -> None:
        self._at: float | None = None
        self.watched_s = 0.0  # between the first look and the last
        self._sizes: dict[int, int] = {}
        self._weight = 0.0
        self._sum = 0.0

    def look(self, now_s: float, sizes: Mapping[int, int]) -> None:
        """Take in the sizes of the log's segments, by their sequence numbers."""
        grown = sum(max(0, size - self._sizes.get(seq, 0)) for seq, size in sizes.items())
        self._sizes = dict(sizes)
        before, self._at = self._at, now_s
        if before is None or now_s <= before:
            return  # what lay there at the first look says nothing about how fast it came
        self.watched_s += now_s - before
        kept = math.exp((before - now_s) / _WINDOW_S)
        rate = grown / (now_s - before)
        self._sum = self._sum * kept + rate * (1 - kept)
        self._weight = self._weight * kept + (1 - kept)

    @property
    def bytes_per_s(self) -> float | None:
        """None before the second look."""
        return self._sum / self._weight if self._weight else None


class Runways:
    """Knows rate and retention of every log. One thread looks, any may ask."""

    def __init__(
        self,
        manifest: Path = MANIFEST,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._manifest = manifest
        self._monotonic = monotonic
        self._rates: dict[LogKey, WriteRate] = {}
        self._flags: tuple[str, Retention] | None = None  # of which log, and what they say
        self._spools: dict[str, int] = {}
        self._read_at: float | None = None

    def look(self, logs: Iterable[AuditLog], spools: Mapping[str, int] | None = None) -> None:
        """Take in how much was written since the last look.

        *spools*: undelivered bytes that fit into those logs that we write ourselves, by receiver.
        """
        self._spools = dict(spools or {})
        now = self._monotonic()
        if self._read_at is None or now - self._read_at >= _READ_AGAIN_S:
            self._read_at = now
            self._flags = self._read_flags()
        for log in logs:
            sizes = {s.seq: s.state.size for s in log.segments() if not s.compressed}
            self._rates.setdefault(log.key, WriteRate()).look(now, sizes)

    def warn(self, subscription: Subscription, window_s: float | None) -> None:
        """Say it where less is left than somebody needs to help."""
        left, backlog = self.seconds(subscription, window_s), backlog_of(subscription)
        if left is None or left >= SHORT_S or not backlog.bytes:
            return
        key = subscription.log.key
        name = subscription.exporter
        what = _FULL if key.receiver in self._spools else _DELETED
        if window_s and window_s - backlog.age_s(time.time_ns()) <= left:
            what = _TOO_OLD
        logger.warning(
            "runway_short",
            f"{name}: {subscription.log.path}: within {max(1, left / 60):.0f} min {what}",
            once=f"runway {name} {key}",
            exporter=name,
            receiver=key.receiver,
            runway_s=round(left),
        )

    def seconds(self, subscription: Subscription, window_s: float | None = None) -> float | None:
        """Return the runway of one exporter in one log."""
        log, backlog = subscription.log, backlog_of(subscription)
        rate = self._rates.get(log.key)
        return runway_s(
            self.retention(log),
            rate.bytes_per_s if rate and rate.watched_s >= _WATCHED_S else None,
            backlog_bytes=backlog.bytes,
            backlog_s=backlog.age_s(time.time_ns()),
            window_s=window_s,
        )

    def retention(self, log: AuditLog) -> Retention:
        """Return how long the log is kept, as far as it is known; a spool until it is full."""
        if (room := self._spools.get(log.key.receiver)) is not None:
            return Retention(room)
        if self._flags is not None and Path(self._flags[0]).name == log.path.name:
            return self._flags[1]
        segments = log.segments()
        kept = [s for s in segments if s.name is not None and not s.live]
        first = min((s.seq for s in kept), default=1)
        return observed_retention((s.state.likely_size for s in kept), deleted=first > 1)

    def _read_flags(self) -> tuple[str, Retention] | None:
        try:
            apiserver = observe(self._manifest.read_text(encoding="utf-8"), str(self._manifest))
        except (OSError, UnicodeDecodeError, RefusalError):
            return None  # in a pod the manifest is usually not mounted
        return apiserver.log_path, retention_of_flags(apiserver.flags)
