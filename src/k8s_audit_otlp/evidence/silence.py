"""Notices when a log falls silent, and when it is written again.

A healthy kube-apiserver audits every few seconds. Silence means a policy that drops everything, an
audit log that was switched off, or somebody who does not want to be seen.
"""

from collections.abc import Callable
from dataclasses import dataclass

from k8s_audit_otlp.evidence.evidence import Evidence
from k8s_audit_otlp.model import LogKey
from k8s_audit_otlp.receiver.log import AuditLog


@dataclass(slots=True)
class _Growth:
    written: int
    at_ns: int
    silent: bool = False


class Silence:
    """Watches logs that have a `silence_after`. `look` is called about once a second."""

    def __init__(
        self, evidence: Evidence, after_s: dict[LogKey, float], *, now_ns: Callable[[], int]
    ) -> None:
        """*after_s*: per log key; 0 is never."""
        self._evidence = evidence
        self._after_s = after_s
        self._now_ns = now_ns
        self._logs: dict[LogKey, _Growth] = {}

    def look(self, logs: list[AuditLog]) -> None:
        for log in logs:
            after_s = self._after_s.get(log.key, 0.0)
            if after_s > 0:
                self._look_at(log, after_s)

    def _look_at(self, log: AuditLog, after_s: float) -> None:
        now, written = self._now_ns(), written_bytes(log)
        growth = self._logs.setdefault(log.key, _Growth(written, now))
        if written != growth.written:
            if growth.silent:
                self._evidence.silence(log, growth.at_ns, ended=True)
            self._logs[log.key] = _Growth(written, now)
        elif not growth.silent and now - growth.at_ns >= after_s * 1e9:
            growth.silent = True
            self._evidence.silence(log, growth.at_ns, ended=False)


def written_bytes(log: AuditLog) -> int:
    """Return what grows whenever something is written: all sizes there ever were, about."""
    return sum(s.state.size + s.seq for s in log.segments())
