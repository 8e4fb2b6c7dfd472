"""The logs of all receivers, open, each with a thread that watches it."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from k8s_audit_otlp.agent.build import deleted_segments_of, log_limits, paths_of
from k8s_audit_otlp.agent.mapping import ConfigurationError
from k8s_audit_otlp.agent.start import open_log
from k8s_audit_otlp.config.config import Config
from k8s_audit_otlp.exporter.reasons import describe
from k8s_audit_otlp.model import LogKey
from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.receiver.watch import Watcher
from k8s_audit_otlp.state.manifest import ManifestState
from k8s_audit_otlp.telemetry.logs import fields

logger = logging.getLogger("k8s_audit_otlp")

GLOB_S = 1.0  # how often a glob that matches nothing is tried


class WatchedLogs:
    """Opens what the configuration names, and keeps a living watcher on each of it."""

    def __init__(
        self,
        config: Config,
        *,
        once: bool,
        wait: Callable[[float], bool],
        on_failure: Callable[[str, str], None],
    ) -> None:
        """*wait* sleeps so many seconds and says whether the agent stops."""
        self._config = config
        self._once = once
        self._wait = wait
        self._on_failure = on_failure
        self._watchers: list[Watcher] = []

    def open(self, receiver_id: str, manifests: Mapping[str, ManifestState]) -> list[AuditLog]:
        """Open the logs of a receiver; *manifests* is what is known of them.

        Raises:
            ConfigurationError: there is nothing, or a directory.

        """
        receiver = self._config.receivers[receiver_id]
        limits = log_limits(receiver, once=self._once)
        logs = []
        for path in self._paths(receiver_id):
            state = manifests.get(str(LogKey(receiver_id, str(path))))
            logs.append(open_log(receiver_id, path, state, limits, deleted_segments_of(receiver)))
        self._watchers += map(self._watcher, logs)
        return logs

    def _paths(self, receiver_id: str) -> list[Path]:
        """Return the logs of a receiver; wait until a glob matches at least one."""
        receiver, said = self._config.receivers[receiver_id], False
        while not (paths := paths_of(receiver)):
            patterns = ", ".join(receiver.include)
            if self._once:
                raise ConfigurationError(
                    f"receivers::{receiver_id}::include: nothing matches {patterns}; "
                    "write the path of the live file"
                )
            if not said:
                more = fields("no_log", receiver=receiver_id)
                text = "%s: nothing matches %s; waiting for it"
                logger.warning(text, receiver_id, patterns, extra=more)
            said = True
            if self._wait(GLOB_S):
                break
        return paths

    def _watcher(self, log: AuditLog) -> Watcher:
        def failed(name: str, error: BaseException) -> None:
            self._on_failure(name, describe(error))

        scan_s = self._config.receivers[log.key.receiver].poll_interval_s
        return Watcher(log, scan_s=scan_s, on_failure=failed)

    def start(self) -> None:
        for watcher in self._watchers:
            watcher.start()

    @property
    def alive(self) -> bool:
        """Every log has a thread that watches it."""
        return all(watcher.is_alive() for watcher in self._watchers)

    def restart_dead(self) -> None:
        """Put a new watcher in the place of one that has died. Called about once a second."""
        for index, watcher in enumerate(self._watchers):
            if not watcher.is_alive():
                self._watchers[index] = self._watcher(watcher.log)
                self._watchers[index].start()

    def stop(self) -> None:
        for watcher in self._watchers:
            watcher.stop()
