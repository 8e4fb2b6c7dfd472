"""Who watches sees what was acknowledged, and nobody waits for who does not read."""

import contextlib
import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from k8s_audit_otlp.exporter.backpressure import Gate
from k8s_audit_otlp.model import Delivered, Retry
from k8s_audit_otlp.telemetry.journal import ExporterJournal
from k8s_audit_otlp.telemetry.tap import MAX_READERS, Tap, connect, frames, left_out


@pytest.fixture
def tap(tmp_path: Path) -> Iterator[Tap]:
    served = Tap(tmp_path)
    served.start()
    yield served
    served.close()


def watching(tap: Tap, directory: Path) -> socket.socket:
    """Connect, and wait until it is let in, where there is room: only then it is shown anything."""
    wanted = min(len(tap._readers) + 1, MAX_READERS)
    stream = connect(directory)
    stream.settimeout(60)
    end = time.monotonic() + 60
    while len(tap._readers) < wanted and time.monotonic() < end:
        time.sleep(0.01)
    assert len(tap._readers) == wanted
    return stream


def test_what_is_acknowledged_is_shown_in_order(tap: Tap, tmp_path: Path) -> None:
    """With the exporter that it left by; a request that must be repeated is not shown yet."""
    gate = Gate(lambda: None)
    journal = ExporterJournal("otlp_http/siem", gate, tap=tap)
    with watching(tap, tmp_path) as stream:
        for outcome in (Retry("later"), Delivered()):
            journal.answered(outcome, [b"one", b"two"], 6, 0.1)
        journal.answered(Delivered(), [b"three"], 5, 0.1)
        found = frames(stream)
        shown = [next(found) for _ in range(3)]
    assert shown == [("otlp_http/siem", text) for text in (b"one", b"two", b"three")]


def test_the_socket_is_private_and_leaves_with_its_agent(tmp_path: Path) -> None:
    """What a killed agent left there is in nobody's way."""
    (tmp_path / "tap.sock").touch()
    tap = Tap(tmp_path)
    tap.start()
    assert stat.S_IMODE((tmp_path / "tap.sock").stat().st_mode) == 0o600
    tap.close()
    assert not (tmp_path / "tap.sock").exists()
    with pytest.raises(OSError, match="No such file"):
        connect(tmp_path)


def test_a_link_at_its_place_leads_nobody_astray(tmp_path: Path) -> None:
    """Neither is what it leads to touched, nor is the socket made there."""
    other = tmp_path / "other"
    other.write_text("kept")
    other.chmod(0o644)
    for leads_to in (other, tmp_path / "nothing", tmp_path):
        (tmp_path / "tap.sock").symlink_to(leads_to)
        tap = Tap(tmp_path)
        tap.start()
        assert stat.S_ISSOCK((tmp_path / "tap.sock").lstat().st_mode)
        tap.close()
    assert other.read_text() == "kept"
    assert stat.S_IMODE(other.stat().st_mode) == 0o644
    assert not (tmp_path / "nothing").exists()


def test_nobody_else_is_let_in_at_any_moment(tmp_path: Path) -> None:
    """The socket has its mode when it appears, whatever the mask of the process is."""
    before = os.umask(0)
    try:
        tap = Tap(tmp_path)
        modes: list[int] = []
        done = threading.Event()

        def look() -> None:
            while not done.is_set():
                with contextlib.suppress(FileNotFoundError):
                    modes.append(stat.S_IMODE((tmp_path / "tap.sock").stat().st_mode))

        looking = threading.Thread(target=look)
        looking.start()
        tap.start()
        while not modes:
            time.sleep(0.01)
        done.set()
        looking.join()
        tap.close()
    finally:
        os.umask(before)
    assert set(modes) == {0o600}


def test_a_long_path_is_no_obstacle(tmp_path: Path) -> None:
    """The name of a Unix socket has 108 bytes at most; a state directory may have more."""
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    tap = Tap(deep)
    tap.start()
    watching(tap, deep).close()
    tap.close()


def test_a_reader_that_does_not_read_holds_up_nobody(tap: Tap, tmp_path: Path) -> None:
    """Delivery goes on, the other reader gets everything, and the lazy one a count."""
    record, requests = b"x" * 100_000, 300  # 30 MB: more than waits for one reader
    seen: list[bytes] = []

    def read(stream: socket.socket) -> None:
        for name, found in frames(stream):
            if name:
                seen.append(found)
            if len(seen) == requests:
                return

    lazy = watching(tap, tmp_path)
    with watching(tap, tmp_path) as eager:
        reader = threading.Thread(target=read, args=(eager,))
        reader.start()
        for number in range(1, requests + 1):
            tap.publish("otlp_http", [record])
            while len(seen) < number - 10:
                time.sleep(0.001)
        reader.join(60)
    assert len(seen) == requests
    missed = kept = 0
    with lazy:
        threading.Timer(0.5, tap.publish, ["otlp_http", [b"end"]]).start()
        for name, found in frames(lazy):
            if found == b"end":
                break
            if name:
                kept += 1
            else:
                missed += left_out(found)
    assert missed
    assert kept + missed == requests


def test_requests_that_come_too_fast_to_be_handed_out_are_counted(tap: Tap, tmp_path: Path) -> None:
    """What is shown and what is said to be left out make up all; also where nothing follows."""
    senders, requests, records = 4, 200, 50
    with watching(tap, tmp_path) as stream:

        def send() -> None:
            for _ in range(requests):
                tap.publish("otlp_http", [b"x"] * records)

        threads = [threading.Thread(target=send) for _ in range(senders)]
        for thread in threads:
            thread.start()
        told = 0
        for name, found in frames(stream):
            told += 1 if name else left_out(found)
            if told >= senders * requests * records:
                break
        for thread in threads:
            thread.join(60)
    assert told == senders * requests * records


def test_a_reader_that_leaves_is_forgotten(tap: Tap, tmp_path: Path) -> None:
    """And with the last one nothing is kept for anybody."""
    watching(tap, tmp_path).close()
    end = time.monotonic() + 60
    while tap.watched and time.monotonic() < end:
        time.sleep(0.01)
    assert not tap.watched


def test_one_too_many_is_told_so(tap: Tap, tmp_path: Path) -> None:
    """Who is only hung up on would knock again and again."""
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(watching(tap, tmp_path)) for _ in range(MAX_READERS + 1)]
        assert [(name, left_out(count)) for name, count in frames(streams[-1])] == [("", 0)]
        tap.publish("otlp_http", [b"one"])
        assert all(next(frames(stream)) == ("otlp_http", b"one") for stream in streams[:-1])


def test_it_listens_as_soon_as_it_can(tmp_path: Path) -> None:
    """Whoever runs it asks again and again; once it listens nothing happens."""
    in_the_way = tmp_path / "tap.sock"
    in_the_way.mkdir()
    tap = Tap(tmp_path)
    with pytest.raises(OSError, match="directory"):
        tap.start()
    in_the_way.rmdir()
    tap.start()
    tap.start()
    with watching(tap, tmp_path):
        pass
    tap.close()
