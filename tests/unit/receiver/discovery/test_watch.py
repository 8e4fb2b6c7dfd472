"""The thread that looks: with inotify where there is one, and without."""

import errno
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Never

import pytest

from k8s_audit_otlp.receiver.watch import Watcher


@pytest.fixture
def watch() -> Iterator[Callable[..., Any]]:
    started = []

    def start(log: Any, **options: Any) -> Any:
        watcher = Watcher(log, **{"scan_s": 0.05, **options})
        watcher.start()
        started.append(watcher)
        return watcher

    yield start
    for watcher in started:
        watcher.stop()
        watcher.join(60)


def eventually(condition: Callable[..., Any]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.01)


def used_up(_directory: Path) -> Never:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


@pytest.mark.parametrize("inotify", [True, False])
def test_rotations_are_seen_with_and_without_inotify(
    receive: Callable[..., Any],
    log_dir: Path,
    event: Callable[..., Any],
    watch: Callable[..., Any],
    inotify: bool,
) -> None:
    """Where no instance is left, the directory is listed, and the log says so."""
    receiver, live = receive(), log_dir / "audit.log"
    live.write_bytes(event(0))
    watcher = watch(receiver.log, **({} if inotify else {"inotify": used_up}))
    eventually(lambda: len(receiver.log.segments()) == 1)
    live.rename(log_dir / "audit.log.1")
    live.write_bytes(event(1))
    eventually(lambda: len(receiver.log.segments()) == 2)
    assert watcher.is_alive()
    assert ("without inotify" in receiver.log.watched) is not inotify
    assert ("Too many open files" in receiver.log.watched) is not inotify


def test_what_nobody_foresaw_in_one_look_does_not_end_the_thread(
    receive: Callable[..., Any], log_dir: Path, event: Callable[..., Any], watch: Callable[..., Any]
) -> None:
    """It is said, and the next look does better."""
    receiver, live = receive(), log_dir / "audit.log"
    live.write_bytes(event(0))
    scan, failures = receiver.log.scan, iter([ValueError("odd"), KeyError("odder")])

    class Odd:
        def __getattr__(self, name: str) -> Any:
            return getattr(receiver.log, name)

        def scan(self) -> Any:
            for failure in failures:
                raise failure
            scan()

    watcher = watch(Odd())
    eventually(lambda: len(receiver.log.segments()) == 1)
    assert watcher.is_alive()
    assert any("odd" in message for _, message in receiver.events.troubles)
    eventually(lambda: receiver.events.troubles[-1][1] == "")


@pytest.mark.parametrize("with_backup", [True, False])
def test_a_log_that_stays_away_is_said_once_and_its_return_too(
    receive: Callable[..., Any],
    log_dir: Path,
    event: Callable[..., Any],
    watch: Callable[..., Any],
    with_backup: bool,
) -> None:
    """Also beside files of it that can still be read: nothing new comes, and nobody would know."""
    receiver, live = receive(), log_dir / "audit.log"
    live.write_bytes(event(0))
    if with_backup:
        (log_dir / "audit-2026-01-02T00-00-00.000.log").write_bytes(event(1))
    watch(receiver.log, away_s=0.3)
    eventually(receiver.log.segments)
    live.unlink()
    eventually(lambda: receiver.log.troubles.absence)
    live.write_bytes(event(2))
    eventually(lambda: not receiver.log.troubles.absence)
    said = [message for _, message in receiver.events.troubles]
    assert len(said) == 2
    assert "audit.log: is not there" in said[0]
    assert said[1] == ""


def test_a_rotation_is_no_absence(
    receive: Callable[..., Any], log_dir: Path, event: Callable[..., Any], watch: Callable[..., Any]
) -> None:
    """However many come one after the other."""
    receiver, live = receive(), log_dir / "audit.log"
    live.write_bytes(event(0))
    watch(receiver.log, away_s=5.0)
    for number in range(20):
        live.rename(log_dir / f"audit-2026-01-02T03-04-05.{number:03}.log")
        time.sleep(0.01)
        live.write_bytes(event(number + 1))
    eventually(lambda: len(receiver.log.segments()) == 21)
    assert receiver.events.troubles == []


def test_a_live_file_that_nobody_saw_is_told(
    receive: Callable[..., Any], log_dir: Path, event: Callable[..., Any], watch: Callable[..., Any]
) -> None:
    """It was made and deleted at once; inotify tells that it was there."""
    receiver, live = receive(), log_dir / "audit.log"
    live.write_bytes(event(0))
    assert receiver.drain() == [event(0)]
    watch(receiver.log, scan_s=60.0)
    live.with_name("audit.log.lock").touch()
    time.sleep(0.5)  # it listens by now
    live.rename(log_dir / "audit-2026-01-02T03-04-05.000.log")
    live.write_bytes(event(1))
    live.unlink()
    live.write_bytes(event(2))
    eventually(lambda: len(receiver.log.segments()) > 2 or event(1) in receiver.drain())
