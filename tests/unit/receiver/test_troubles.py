"""What stands in the way is said when it comes and when it has passed, once each."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.receiver.log_file import LogFile
from k8s_audit_otlp.receiver.troubles import Troubles
from tests.kit.log.log_files import append, rotate


def test_a_trouble_is_said_once_and_its_end_once() -> None:
    """However often a scan meets it."""
    said: list[str] = []
    troubles = Troubles(said.append)
    for _ in range(3):
        troubles.replace({"a": "cannot be read"})
    troubles.replace({})
    troubles.replace({})
    assert said == ["cannot be read", ""]


def test_a_trouble_that_changes_is_said_anew() -> None:
    """Another reason is another thing to mend."""
    said: list[str] = []
    troubles = Troubles(said.append)
    troubles.replace({"a": "EACCES"})
    troubles.replace({"a": "EIO"})
    troubles.add("a", "EIO")
    assert said == ["EACCES", "EIO"]
    assert troubles.now == ["EIO"]


def test_what_a_reader_met_outlives_one_scan() -> None:
    """The scan did not look there; the next reader will tell again."""
    said: list[str] = []
    troubles = Troubles(said.append)
    troubles.add("a", "EIO")
    troubles.replace({})
    assert troubles.now == ["EIO"]
    troubles.replace({})
    assert troubles.now == []
    assert said == ["EIO", ""]


def test_all_is_well_only_when_nothing_is_left() -> None:
    """One of two that passes is no news."""
    said: list[str] = []
    troubles = Troubles(said.append)
    troubles.replace({"a": "one", "b": "two"})
    troubles.replace({"b": "two"})
    assert said == ["one", "two"]


def test_all_is_not_well_while_the_live_file_is_away() -> None:
    """What can be read again is no news beside that; its coming back is."""
    said: list[str] = []
    troubles = Troubles(said.append)
    troubles.replace({"a": "one"})
    troubles.away("audit.log is not there")
    troubles.replace({})
    assert said == ["one"]
    troubles.away("")
    assert said == ["one", ""]


def test_many_files_with_one_trouble_are_one_line() -> None:
    """Of each reason; as many lines as backups would bury what else is wrong."""
    said: list[str] = []
    troubles = Troubles(said.append)
    backups = {f"audit-{n}.log": f"/log/audit-{n}.log: Permission denied" for n in range(8)}
    troubles.replace({**backups, "audit.log.gz": "/log/audit.log.gz: cannot be unpacked"})
    assert said == [
        "/log/audit-0.log: Permission denied (others like it: 7)",
        "/log/audit.log.gz: cannot be unpacked",
    ]
    assert len(troubles.now) == 9


def test_what_must_be_known_is_said_once_and_is_no_trouble() -> None:
    """Nobody waits for it to pass."""
    said: list[str] = []
    troubles = Troubles(said.append)
    troubles.once("a name that is not understood")
    troubles.once("a name that is not understood")
    assert said == ["a name that is not understood"]
    assert troubles.now == []


class _Stale(LogFile):
    """As after a restart of the file server: this descriptor leads nowhere, the path does."""

    def stat(self) -> os.stat_result:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    def read_at(self, offset: int, length: int) -> bytes:
        raise OSError(errno.ESTALE, f"{length} bytes at {offset}")


@pytest.mark.parametrize("scanned", [True, False], ids=["met by a look", "met by a reader"])
def test_a_stale_descriptor_is_opened_again(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any], scanned: bool
) -> None:
    """No later look would find it well, and it would hold up what comes after it for ever."""
    append(live, event(0))
    receiver = receive()
    receiver.log.scan()
    append(live, event(1))
    backup = rotate(live, 0)
    append(live, event(2))
    receiver.log.scan()
    for segment, path in zip(receiver.log.segments(), (backup, live), strict=True):
        segment.source = _Stale(os.open(path, os.O_RDONLY))
    lines = [] if scanned else receiver.read_on()
    append(live, event(3))
    rotate(live, 1)
    append(live, event(4))
    for _ in range(3):
        lines += receiver.drain()
    assert sorted(lines) == sorted(map(event, range(5)))
    assert receiver.gaps == []
    assert receiver.log.troubles.now == []


class _Unreadable(LogFile):
    """As on a disk that fails."""

    def read_at(self, offset: int, length: int) -> bytes:
        raise OSError(errno.EIO, f"{length} bytes at {offset}")


def test_a_live_file_that_a_look_cannot_read_is_told(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    append(live, event(0))
    receiver = receive()
    receiver.log.scan()
    (segment,) = receiver.log.segments()
    segment.source = _Unreadable(os.open(live, os.O_RDONLY))
    receiver.log.scan()
    assert receiver.log.troubles.now == [f"{live}: Input/output error; waiting for it"]
