"""Says once of each log that it is no audit log, as soon as it has lines: a wrong path costs."""

import logging
from collections.abc import Iterable

from k8s_audit_otlp.event.foreign import seems
from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.receiver.names import GZIP

_HEAD_BYTES = 64 * 1024

logger = logging.getLogger("k8s_audit_otlp")


class FirstLook:
    """Call it now and then; it looks at every log until that has a whole line, and then no more."""

    def __init__(self, logs: Iterable[AuditLog]) -> None:
        self._waiting = list(logs)

    def __call__(self) -> None:
        self._waiting = [log for log in self._waiting if not self._judge(log)]

    @staticmethod
    def _judge(log: AuditLog) -> bool:
        if log.path.suffix == GZIP:
            return True
        try:
            if not log.path.is_file():
                return False
            with log.path.open("rb") as file:
                head = file.read(_HEAD_BYTES)
        except OSError:
            return False  # which is said elsewhere
        lines = head.split(b"\n")[:-1]
        if lines and (kind := seems(lines)):
            logger.warning(
                "%s: this is no audit log, it seems to be %s; every line of it would be sent as "
                "one that cannot be read: give the file of --audit-log-path",
                log.path,
                kind,
            )
        return bool(lines) or len(head) == _HEAD_BYTES
