"""Whether each log can be read now, and no waiting for one that lies on a dead mount."""

import os
import time
from collections.abc import Callable, Sequence
from threading import Lock, Thread
from typing import Final

from k8s_audit_otlp.receiver.log import AuditLog

_TIMEOUT_S: Final = 1.0
HANGS: Final = "does not answer, so nothing new is read: is what it lies on still mounted?"


def trouble_of(log: AuditLog) -> str:
    """Say why the log cannot be read, '' where it can. Between two names of it, it still can."""
    if os.access(log.path, os.F_OK) and log.troubles.now:
        return "; ".join(trouble.removeprefix(f"{log.path}: ") for trouble in log.troubles.now)
    try:
        os.close(os.open(log.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
    except FileNotFoundError:
        held = any(segment.source is not None for segment in log.segments())
        between = held and not log.troubles.absence and log.path.parent.is_dir()
        return "" if between else "is not there"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return ""


class LogAccess:
    """Asks `trouble_of` in threads of their own: one hangs where the kernel does, and no other.

    A log whose thread still hangs is neither asked by another one nor waited for again.
    """

    def __init__(
        self, trouble: Callable[[AuditLog], str] = trouble_of, *, timeout_s: float = _TIMEOUT_S
    ) -> None:
        """*timeout_s*: how long all logs together are waited for."""
        self._trouble = trouble
        self._timeout_s = timeout_s
        self._lock = Lock()
        self._looks: dict[str, _Look] = {}  # the last one at each path

    def __call__(self, logs: Sequence[AuditLog]) -> list[str]:
        """Return the trouble of each log, '' where it has none."""
        with self._lock:
            for log in logs:
                last = self._looks.get(str(log.path))
                if last is None or not last.is_alive():
                    self._looks[str(log.path)] = look = _Look(self._trouble, log)
                    look.start()
            looks = [self._looks[str(log.path)] for log in logs]
            end = time.monotonic() + self._timeout_s
            for look in looks:
                if not look.hangs:  # who hangs has been waited for
                    look.join(max(0.0, end - time.monotonic()))
                    look.hangs = look.is_alive()
            return [look.found for look in looks]


class _Look(Thread):
    """One look at one log; `found` is what is known of it until now."""

    def __init__(self, trouble: Callable[[AuditLog], str], log: AuditLog) -> None:
        super().__init__(name=f"look at {log.path}", daemon=True)
        self._trouble, self._log = trouble, log
        self.found = HANGS
        self.hangs = False

    def run(self) -> None:
        self.found = self._trouble(self._log)
