"""A log on disk and the records that the agent makes of it."""

from pathlib import Path

import pytest

from k8s_audit_otlp.otlp.record import uid_of
from tests.kit.log.events import EventSource
from tests.kit.log.lumberjack import LumberjackLog
from tests.kit.shipped import delivered


@pytest.fixture
def audit_log(log_dir: Path) -> Path:
    """Write a log of three compressed backups, a plain one and a live file."""
    path = log_dir / "audit.log"
    source = EventSource(1)
    with LumberjackLog(path, compress=True) as log:
        for _ in range(3):
            for _ in range(40):
                log.write(source.line())
            log.rotate()
    with LumberjackLog(path) as log:
        for _ in range(40):
            log.write(source.line())
        log.rotate()
        for _ in range(40):
            log.write(source.line())
    return path


@pytest.fixture
def records(audit_log: Path) -> list[bytes]:
    return list(delivered(audit_log))


@pytest.fixture
def uids(records: list[bytes]) -> list[str]:
    return [uid_of(record) for record in records]
