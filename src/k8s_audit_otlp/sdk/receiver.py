"""Hands the records of an audit log to a LoggerProvider of the program's own.

    with AuditLogReceiver("/var/log/audit.log", logger_provider=provider, state_dir="/var/lib/x"):
        ...

It is an agent with the provider as its one exporter: receipts, gaps and the other notices come
along. Records are emitted a burst at a time, at most what the processor's queue holds; then the
provider is flushed, and only where that returns True does the position move.

This is weaker than the agent alone. A BatchLogRecordProcessor says True when it has *tried*: what
its exporter fails to deliver is gone, and nobody here hears of it. A failed flush repeats its
burst.
"""

import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any, Final, Self

from opentelemetry.sdk._logs import LoggerProvider

from k8s_audit_otlp.agent.agent import Agent
from k8s_audit_otlp.agent.shutdown import DrainTarget
from k8s_audit_otlp.agent.start import AgentOptions
from k8s_audit_otlp.config.config import Config
from k8s_audit_otlp.config.exporters import Sdk
from k8s_audit_otlp.config.mistakes import ConfigError
from k8s_audit_otlp.config.receivers import K8sAudit
from k8s_audit_otlp.config.service import Service
from k8s_audit_otlp.transport.sdk_plugins import SCOPE, LoggerProviderSender

NAME: Final = "logger_provider"  # of the exporter, in the checkpoint
BURST: Final = 512  # records; the program's own share the queue, which holds 2048 by default
FLUSH_S: Final = 30.0
QUEUE_VARIABLE: Final = "OTEL_BLRP_MAX_QUEUE_SIZE"
_LOOK_S: Final = 0.01


class AuditLogReceiver:
    """Follows one log, from `start` to `close`.

    *audit* holds the keys of an exporter's `audit` block: profile, policy, redaction, bodies,
    start_at, max_record_bytes, notices. Secrets are redacted unless it says otherwise.

    Raise ValueError where *audit* has mistakes (pydantic's ValidationError).
    """

    def __init__(
        self,
        path: str | Path,
        *,
        logger_provider: LoggerProvider,
        state_dir: str | Path,
        audit: Mapping[str, Any] | None = None,
        burst: int = BURST,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        burst = max(1, min(burst, int(os.environ.get(QUEUE_VARIABLE) or burst)))
        config = _config(Path(path).absolute(), Path(state_dir).absolute(), audit or {}, burst)
        self._sender = LoggerProviderSender(logger_provider, flush_s=FLUSH_S)
        options = AgentOptions(lock_timeout_s=0.0, senders={NAME: self._sender})
        self._agent = Agent(config, os.environ, options, now=now)
        self._thread = Thread(target=self._agent.run, name="audit log receiver", daemon=True)

    def start(self) -> Self:
        """Take up the position, and follow the log in threads until `close`.

        Raise StateError where the position cannot be read, StateLockedError where another process
        or receiver uses the state directory, ConfigError where a file that `audit` names
        cannot be used, or the log is none.
        """
        try:
            self._begin()
        except BaseException:
            if self._agent.started:
                self._agent.stop()
                self._agent.run()  # lets go of the state
            raise
        self._thread.start()
        return self

    def _begin(self) -> None:
        self._agent.start()
        if not self._agent.logs:  # a pattern, and nobody here looks again
            hint = "give that of the live file"
            raise ConfigError.at("", "nothing matches the path", hint)

    def flush(self, timeout_s: float = FLUSH_S) -> bool:
        """Wait until the provider has taken what is in the log now, and the notices about it.

        Returns whether it has. False comes early when a flush of the provider fails; the records
        are emitted again.
        """
        agent, failures = self._agent, self._sender.failures
        for log in agent.logs:
            log.scan()
        target = DrainTarget(agent.logs, list(agent.subscriptions()), timeout_s)
        end = time.monotonic() + timeout_s
        while target.undelivered() or not target.acknowledged():
            late = time.monotonic() >= end or not self._thread.is_alive()
            if late or self._sender.failures > failures:
                return False
            time.sleep(_LOOK_S)
        return True

    def close(self) -> None:
        """Stop, store the position and let go of the state directory."""
        if self._thread.is_alive():
            self._agent.stop()
            self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def settled(self) -> int:
        """Return the number of records that the provider has taken, over all runs."""
        return sum(one.tally().delivered for one in self._agent.subscriptions())


def _config(path: Path, state_dir: Path, audit: Mapping[str, Any], burst: int) -> Config:
    """Say as a configuration what the receiver is: one log, one exporter, one burst at a time."""
    exporter = {
        "exporter": NAME,
        "audit": dict(audit),
        "sending_queue": {
            "num_consumers": 1,
            "batch": {"sizer": "items", "max_size": burst},
        },
        "retry_on_failure": {"initial_interval": "1s", "max_interval": f"{FLUSH_S:g}s"},
    }
    service = {"state_dir": str(state_dir), "shutdown_timeout": f"{FLUSH_S:g}s"}
    return Config(
        {SCOPE: K8sAudit.model_validate({"include": str(path)})},
        {NAME: Sdk.model_validate(exporter)},
        {},
        Service.model_validate(service),
    )
