"""Seals the chains of receipts every ten minutes, and what is new in them at once, with a key."""

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from k8s_audit_otlp.config.mistakes import ConfigError
from k8s_audit_otlp.config.service import EvidenceBlock
from k8s_audit_otlp.evidence.evidence import Evidence
from k8s_audit_otlp.evidence.seal import INTERVAL_S, KeyFileError, SealKey
from k8s_audit_otlp.exporter.subscription import Subscription
from k8s_audit_otlp.state.files import open_private
from k8s_audit_otlp.state.outbox import Notice
from k8s_audit_otlp.telemetry.logs import logger

_LAST_S = 0.5  # how long a stop waits for its seals to leave


class Sealing:
    """Writes seals into every outbox and, where one is named, to a file."""

    def __init__(
        self, evidence: Evidence, block: EvidenceBlock, *, monotonic: Callable[[], float]
    ) -> None:
        self._evidence = evidence
        self._block = block
        self._monotonic = monotonic
        self._file = Path(block.seal_file) if block.seal_file else None
        self._key: SealKey | None = None
        self._at = -INTERVAL_S  # what a killed process left is sealed at once

    def begin(self) -> None:
        """Read the key, where one is configured.

        Raise ConfigError where it cannot be used.
        """
        if self._block.key_file:
            try:
                self._key = SealKey.read(Path(self._block.key_file))
            except KeyFileError as error:
                what, _, hint = str(error).partition("; ")
                raise ConfigError.at("service::evidence::key_file", what, hint) from None

    def look(self) -> None:
        """Seal when it is time, or there is more to be named. Called once a second."""
        self.seal(only_new=self._monotonic() - self._at < INTERVAL_S)

    def seal(self, *, stops: bool = False, only_new: bool = False) -> None:
        """Seal every chain; *stops*: the agent ends then; *only_new*: where it names more."""
        if self._key is None:
            return
        seals = self._evidence.seal(self._key, stops=stops, only_new=only_new)
        if seals and not only_new:
            self._at = self._monotonic()
        if seals and self._file is not None:
            try:
                _append(self._file, seals)
            except OSError as error:
                text = f"{self._file}: seals cannot be written: {error.strerror}"
                logger.error("seal_failed", text)

    def last(self, commit: Callable[[], None], subscriptions: Sequence[Subscription]) -> None:
        """Seal what there is at a stop, and let the seals leave before nothing new does."""
        if self._key is None:
            return
        commit()  # which writes receipts; a seal is on what a kill leaves as it is
        self.seal(stops=True)
        commit()
        end = self._monotonic() + _LAST_S
        while self._monotonic() < end and any(len(s.outbox) for s in subscriptions):
            time.sleep(0.01)


def _append(path: Path, seals: list[Notice]) -> None:
    """Append seals as lines that `evidence verify --against` reads."""
    lines = b"".join(
        msgspec.json.encode({"log.record.uid": s.uid, "event.name": s.event, **s.attributes})
        + b"\n"
        for s in seals
    )
    fd = open_private(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with contextlib.closing(os.fdopen(fd, "ab")) as file:
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())
