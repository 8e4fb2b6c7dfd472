"""The thread that keeps one log up to date: it calls `scan` and `poll`.

Growth is found by looking at the live file's size, often while it is busy and less often while it
is idle: inotify would wake it for each of thousands of writes a second. Rotation, which may come
and go between two looks, is what inotify reports at once; a full scan every second is the safety
net, and the way where inotify is denied or exhausted.
"""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

from k8s_audit_otlp.receiver.inotify import DirectoryWatch
from k8s_audit_otlp.receiver.listing import live_path
from k8s_audit_otlp.receiver.log import AuditLog

logger = logging.getLogger("k8s_audit_otlp")

BUSY_POLL_S = 0.02
IDLE_POLL_S = 0.1
_IDLE_AFTER_S = 2.0
_AWAY_S = 10.0  # a rotation makes the new file within milliseconds
_MIN_SCAN_S = 0.05  # so that a storm of renames does not become a storm of listings


def _raise(_name: str, error: BaseException) -> None:
    raise error


class Watcher(Thread):
    """Keeps one AuditLog up to date until `stop`."""

    def __init__(
        self,
        log: AuditLog,
        *,
        scan_s: float = 1.0,
        away_s: float = _AWAY_S,
        on_failure: Callable[[str, BaseException], None] = _raise,
        monotonic: Callable[[], float] = time.monotonic,
        inotify: Callable[[Path], DirectoryWatch] = DirectoryWatch,
    ) -> None:
        super().__init__(name=f"watch {log.key}", daemon=True)
        self.log = log
        self._scan_s = scan_s
        self._away_s = away_s
        self._there_at = monotonic()
        self._on_failure = on_failure
        self._monotonic = monotonic
        self._inotify = inotify
        self._watch: DirectoryWatch | None = None
        self._stopping = Event()

    def run(self) -> None:
        self._watch = self._observe()
        try:
            last_scan = last_growth = self._monotonic()
            while not self._stopping.is_set():
                now = self._monotonic()
                idle = now - last_growth > _IDLE_AFTER_S
                due = self._renamed_within(IDLE_POLL_S if idle else BUSY_POLL_S)
                if not due:
                    size = self.log.live_size
                    due = self.log.poll() or now - last_scan >= self._scan_s
                    if self.log.live_size != size:
                        last_growth = now
                if due:
                    time.sleep(max(0.0, last_scan + _MIN_SCAN_S - self._monotonic()))
                    self._scan()
                    last_scan = self._monotonic()
        except BaseException as error:  # noqa: BLE001 - a dead thread must not be silent
            self._on_failure(self.name, error)
        finally:
            if self._watch is not None:
                self.log.follow(list)
                self._watch.close()

    def _renamed_within(self, seconds: float) -> bool:
        """Wait so long at most; say whether a file was made, renamed or deleted."""
        if self._watch is not None:
            return self._watch.wait(seconds)
        self._stopping.wait(seconds)
        return False

    def _scan(self) -> None:
        """Scan; what a directory holds that nobody foresaw must not end the agent."""
        try:
            self.log.scan()
        except Exception as error:  # noqa: BLE001 - of whatever kind, the next look may do better
            self.log.scan_failed(error)
        if any(map(os.path.exists, (self.log.path, live_path(self.log.path)))):
            self._there_at = self._monotonic()
        away_s = self._monotonic() - self._there_at
        self.log.away(away_s if away_s >= self._away_s else 0.0)

    def _observe(self) -> DirectoryWatch | None:
        """Start inotify; where it is denied or used up, the polls are all there is."""
        directory = live_path(self.log.path).parent
        try:
            watch = self._inotify(directory)
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            why = "it is not there yet" if missing else str(error.strerror)
            self.log.watched = f"by listing it every {self._scan_s:g} s, without inotify: {why}"
            logger.warning(
                "%s: no inotify (%s); the directory is listed every %g s instead",
                self.log.path.parent,
                why,
                self._scan_s,
            )
            return None
        self.log.follow(watch.changes)
        return watch

    def stop(self) -> None:
        self._stopping.set()
