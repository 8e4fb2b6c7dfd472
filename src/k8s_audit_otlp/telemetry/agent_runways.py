"""How long each exporter of a running agent has before something it has not sent is deleted.

How long the log is kept is read from kube-apiserver's static pod manifest where it can be read,
and else taken from what lies there. `look` is called about once a second; a runway below the
threshold is said in the agent's log, at most once a minute.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from k8s_audit_otlp.apiserver.observed import observe
from k8s_audit_otlp.apiserver.settings import MANIFEST, RefusalError
from k8s_audit_otlp.exporter.subscription import Subscription
from k8s_audit_otlp.model import LogKey
from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.telemetry.backlog import backlog_bytes, backlog_of
from k8s_audit_otlp.telemetry.logs import fields
from k8s_audit_otlp.telemetry.runway import (
    Retention,
    WriteRate,
    observed_retention,
    retention_of_flags,
    runway_s,
)
from k8s_audit_otlp.telemetry.views import SHORT_S

logger = logging.getLogger("k8s_audit_otlp")

_DELETED = (
    "events are deleted that it has not sent; mend the back end, or raise --audit-log-maxbackup "
    "and --audit-log-maxage"
)
_FULL = "the spool is full and takes nothing more; mend the back end, or raise spool::max_bytes"
_WATCHED_S = 60.0  # for so long a log is looked at first: one burst at the start is no rate
_READ_AGAIN_S = 60.0  # a manifest is seldom edited


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
        left = self.seconds(subscription, window_s)
        if left is None or left >= SHORT_S or not backlog_bytes(subscription):
            return
        key = subscription.log.key
        name = subscription.exporter
        more = fields("runway_short", exporter=name, receiver=key.receiver, runway_s=round(left))
        logger.warning(
            "%s: %s: in about %.0f minutes %s",
            name,
            subscription.log.path,
            left / 60,
            _FULL if key.receiver in self._spools else _DELETED,
            extra={**more, "once": f"runway {name} {key}"},
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
