"""What nobody foresaw: it is said, and it ends neither the process nor silently."""

import logging
from collections.abc import Callable

from k8s_audit_otlp.evidence.evidence import Evidence
from k8s_audit_otlp.evidence.once_a_minute import OnceAMinute
from k8s_audit_otlp.exporter.reasons import describe
from k8s_audit_otlp.telemetry.logs import fields

logger = logging.getLogger("k8s_audit_otlp")


class Failures:
    """Tells of failures in the log and in the stream; equal ones once a minute."""

    def __init__(self, evidence: Evidence, *, monotonic: Callable[[], float]) -> None:
        self._evidence = evidence
        self._once = OnceAMinute(monotonic=monotonic)

    def say(self, part: str, why: str) -> None:
        """Tell that *part* of the agent has failed, and that it goes on."""
        speak, more = self._once.admit(f"{part} {why}")
        if speak:
            again = f" ({more} more times)" if more else ""
            extra = fields("failed", part=part, reason=why, repeated=more)
            logger.error("%s: %s%s", part, why, again, extra=extra)
            self._evidence.agent("failed", f"{part}: {why}", {"k8s.audit.agent.part": part})

    def guard(self, part: str, act: Callable[[], object]) -> None:
        """Do *act*, which must not end whoever does it."""
        try:
            act()
        except Exception as error:  # noqa: BLE001 - what nobody foresaw ends no process
            self.say(part, describe(error))
