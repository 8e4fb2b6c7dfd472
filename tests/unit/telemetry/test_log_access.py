"""Whether a log can be read is asked where a dead mount holds up nobody."""

import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.telemetry.journal import LogJournal
from k8s_audit_otlp.telemetry.log_access import HANGS, LogAccess, trouble_of


@pytest.fixture
def logs(tmp_path: Path) -> list[AuditLog]:
    quiet = LogJournal()
    return [AuditLog("k8s_audit", tmp_path / name, quiet) for name in ("dead.log", "a.log")]


@pytest.fixture
def mended() -> Iterator[Event]:
    """Set when the mount answers again; at the end in any case."""
    event = Event()
    yield event
    event.set()


def test_a_log_on_a_dead_mount_holds_up_nobody(logs: list[AuditLog], mended: Event) -> None:
    """Waited for once and not again; the other log is told of; it is well when it answers."""
    asked: list[str] = []

    def look(log: AuditLog) -> str:
        asked.append(log.path.name)
        if log.path.name == "dead.log":
            mended.wait()
        return ""

    access = LogAccess(look, timeout_s=0.5)
    begun = time.monotonic()
    while access(logs) != [HANGS, ""]:  # the other one's look may be slow, once
        assert time.monotonic() - begun < 60
    begun = time.monotonic()
    for _ in range(200):
        assert access(logs[:1]) == [HANGS]
    assert time.monotonic() - begun < 60, "two hundred waits take 100 s"
    assert asked.count("dead.log") == 1, "one thread hangs, and no other"
    mended.set()
    begun = time.monotonic()
    while access(logs) != ["", ""]:
        assert time.monotonic() - begun < 60


def test_a_log_says_what_keeps_it_from_being_read(logs: list[AuditLog]) -> None:
    """It is there, or it is not."""
    logs[1].path.touch()
    assert LogAccess()(logs) == ["is not there", ""]
    assert trouble_of(logs[0]) == "is not there"
