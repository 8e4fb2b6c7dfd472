"""The logs of all receivers, open, each with a thread that watches it."""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Thread

from k8s_audit_otlp.agent.build import deleted_segments_of
from k8s_audit_otlp.config.config import Config
from k8s_audit_otlp.config.mistakes import ConfigError
from k8s_audit_otlp.event.shrink import WHOLE_BODY_BYTES
from k8s_audit_otlp.exporter.reasons import describe
from k8s_audit_otlp.model import LogKey
from k8s_audit_otlp.receiver.deleted import Handed
from k8s_audit_otlp.receiver.listing import logs_in
from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.receiver.log_file import descriptor_limit, descriptors_for
from k8s_audit_otlp.receiver.names import GLOB
from k8s_audit_otlp.receiver.segments import LogLimits
from k8s_audit_otlp.receiver.watch import Watcher
from k8s_audit_otlp.state.manifest import Manifest
from k8s_audit_otlp.telemetry.journal import LogJournal
from k8s_audit_otlp.telemetry.logs import logger


class WatchedLogs:
    """Opens what the configuration names, and keeps a living watcher on each of it."""

    def __init__(
        self,
        config: Config,
        *,
        once: bool,
        on_failure: Callable[[str, str], None],
    ) -> None:
        self._config = config
        self._once = once
        self._on_failure = on_failure
        self._watchers: list[Watcher] = []
        self._known: dict[str, set[Path]] = {}  # by receiver, where new ones may come to match
        self._seen: set[Path] = set()
        self._finder = Thread()
        self.appeared: set[Path] = set()  # logs that a glob matches by now: another agent's work

    def open(
        self, receiver_id: str, manifests: Mapping[str, Manifest], handed: dict[LogKey, Handed]
    ) -> list[AuditLog]:
        """Open the logs of a receiver; *manifests* is what is known of them.

        *handed*: the files that the agent before a reload had open; they get what this one leaves.

        Raise ConfigError where there is nothing, or a directory.
        """
        receiver = self._config.receivers[receiver_id]
        limits = _limits(self._config, receiver_id, once=self._once)
        logs = []
        for path in self._paths(receiver_id):
            if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises where it is closed to us
                raise ConfigError.at(
                    f"receivers::{receiver_id}::include",
                    f"{path} is a directory",
                    f"write the live file in it, such as {path / 'audit.log'}",
                )
            key = LogKey(receiver_id, str(path))
            state, files = manifests.get(str(key)), handed.setdefault(key, {})
            journal, deleted = LogJournal(), deleted_segments_of(receiver, files)
            log = AuditLog(receiver_id, path, journal, state, limits=limits, deleted=deleted)
            logs.append(log)
        self._watchers += map(self._watcher, logs)
        return logs

    def _paths(self, receiver_id: str) -> list[Path]:
        """Return the logs of a receiver as far as there are any yet."""
        receiver = self._config.receivers[receiver_id]
        paths, patterns = logs_in(receiver.include), ", ".join(receiver.include)
        if not paths and self._once:
            raise ConfigError.at(
                f"receivers::{receiver_id}::include",
                f"nothing matches {patterns}",
                "write the path of the live file",
            )
        if not paths:
            text = f"{receiver_id}: nothing matches {patterns}; waiting for it"
            logger.warning("no_log", text, receiver=receiver_id)
        if GLOB & set(patterns):
            self._known[receiver_id] = set(paths)
        return paths

    def look(self) -> None:
        """Put new watchers in the place of dead ones; have others looked for that match by now."""
        self.restart_dead()
        if self._known and not self._finder.is_alive():  # a dead mount keeps nobody else waiting
            self._finder = Thread(target=self._find, name="find logs", daemon=True)
            self._finder.start()

    def _find(self) -> None:
        try:
            found = {
                path
                for receiver_id, known in self._known.items()
                for path in logs_in(self._config.receivers[receiver_id].include)
                if path not in known
            }
        except Exception as error:  # noqa: BLE001 - it is looked again in a second
            self._on_failure("find logs", describe(error))
        else:
            self.appeared, self._seen = found & self._seen, found  # those of two looks

    def _watcher(self, log: AuditLog) -> Watcher:
        def failed(name: str, error: BaseException) -> None:
            self._on_failure(name, describe(error))

        scan_s = self._config.receivers[log.key.receiver].poll_interval_s
        return Watcher(log, scan_s=scan_s, on_failure=failed)

    def start(self) -> None:
        for watcher in self._watchers:
            watcher.start()

    def restart_dead(self) -> None:
        """Put a new watcher in the place of one that has died."""
        for index, watcher in enumerate(self._watchers):
            if not watcher.is_alive():
                self._watchers[index] = self._watcher(watcher.log)
                self._watchers[index].start()

    def stop(self) -> None:
        for watcher in self._watchers:
            watcher.stop()


def _limits(config: Config, receiver_id: str, *, once: bool) -> LogLimits:
    settle = {"settle_s": 0.0, "torn_s": 0.0} if once else {}  # nothing is going to change any more
    return LogLimits(
        config.receivers[receiver_id].max_line_bytes,
        _useful_line_bytes(config, receiver_id),
        descriptors_for(descriptor_limit()),
        collected=any(log == receiver_id for _, _, log in config.spools()),
        **settle,
    )


def _useful_line_bytes(config: Config, receiver_id: str) -> int:
    """Return up to which length an exporter may send the bodies of an event.

    Redaction may make them smaller, but what is so large is a list, and goes, as `shrink` has it.
    """
    most = [
        exporter.audit.max_record_bytes or sys.maxsize
        for name, exporter in config.exporters.items()
        if receiver_id in config.receivers_of(name)
    ]
    return max(WHOLE_BODY_BYTES, 2 * max(most, default=sys.maxsize))
