"""What `append` returned for is on disk; what it refused is not half written."""

import errno
import os
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.receiver.spool.event_list import lines_of
from k8s_audit_otlp.receiver.spool.segment_files import SpoolFullError, SpoolLimits
from k8s_audit_otlp.receiver.spool.spool import Spool
from tests.kit.log.spools import SMALL, files_of, held, line, opened

SMALL_SEGMENTS = SpoolLimits(1 << 30, 300, 0)


def test_lines_are_synced_before_append_returns(tmp_path: Path) -> None:
    """An acknowledgement that the disk does not know of is a lie."""
    sizes: list[int] = []

    def fsync(fd: int) -> None:
        sizes.append(os.fstat(fd).st_size)
        os.fsync(fd)

    spool = opened(tmp_path / "spool", fsync=fsync)
    assert spool.append([line(1), line(2)]) == (2, 0)
    assert sizes[-1] == 200
    assert held(tmp_path / "spool") == [line(1), line(2)]


def test_segments_are_named_as_the_apiserver_names_them_whatever_the_clock_does(
    tmp_path: Path,
) -> None:
    """Names order the segments, also when the clock stands still or goes back."""
    spool = opened(tmp_path, SMALL, now=lambda: datetime(2026, 1, 2, 3, 4, 5, 999000, UTC))
    for number in range(30):
        spool.append([line(number)])
    assert [path.name for path in files_of(tmp_path)] == [
        "audit-2026-01-02T03-04-05.999.log",
        "audit-2026-01-02T03-04-06.000.log",
        "audit.log",
    ]
    assert held(tmp_path) == [line(n) for n in range(30)]


def test_a_full_spool_refuses_before_it_takes_anything(tmp_path: Path) -> None:
    """Bytes are given free by deletion, and then lines are taken again."""
    spool = opened(tmp_path, SMALL)
    for number in range(40):
        spool.append([line(number)])
    with pytest.raises(SpoolFullError, match="at most 4000"):
        spool.append([line(100), line(101)])
    assert spool.trouble
    assert spool.refused == 2
    assert held(tmp_path) == [line(n) for n in range(40)]
    spool.delete(files_of(tmp_path)[0].name)
    assert spool.append([line(100)]) == (1, 0)
    assert not spool.trouble
    spool.delete("audit.log")
    assert spool.path.exists()


def fill(spool: Spool) -> None:
    for number in range(1000):
        spool.append([line(number)])


def test_room_that_somebody_made_is_found(tmp_path: Path) -> None:
    """Who removes segments by hand, for the disk or to give them up, need not start the agent."""
    spool = opened(tmp_path, SMALL)
    with pytest.raises(SpoolFullError):
        fill(spool)
    for path in files_of(tmp_path)[:-1]:
        path.unlink()
    assert spool.append([line(1000)]) == (1, 0)


def test_a_full_disk_refuses_before_it_takes_anything(tmp_path: Path) -> None:
    """The apiserver of a node whose disk is full loses events itself."""
    free = [10_000]
    limits = SpoolLimits(1 << 30, 1 << 20, min_free_disk_bytes=9_950)
    spool = opened(tmp_path, limits, free_disk=lambda _: free[0])
    with pytest.raises(SpoolFullError, match="10000 bytes free"):
        spool.append([line(1)])
    assert held(tmp_path) == []
    free[0] = 20_000
    assert spool.append([line(1)]).written == 1


def test_many_threads_share_syncs_and_every_line_is_there(tmp_path: Path) -> None:
    """Group commit: fewer syncs than appends, and no line twice or torn."""
    syncs: list[int] = []

    def fsync(fd: int) -> None:
        syncs.append(fd)
        os.fsync(fd)

    spool = opened(tmp_path, SpoolLimits(1 << 30, 8_000, 0), fsync=fsync)

    def work(worker: int) -> None:
        for number in range(50):
            spool.append([line(worker * 1000 + number), line(worker * 1000 + 500 + number)])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(held(tmp_path)) == sorted(
        line(w * 1000 + h + n) for w in range(8) for n in range(50) for h in (0, 500)
    )


def test_the_window_is_bounded_and_outlives_the_segments(tmp_path: Path) -> None:
    """A repeat is known after its segment is gone; the file of digests does not grow."""
    spool = opened(tmp_path, SMALL, window_lines=20)
    for number in range(200):
        spool.append([line(number)])
        for path in files_of(tmp_path)[:-1]:
            spool.delete(path.name)
    spool.close()
    assert (tmp_path / "recent").stat().st_size <= 2 * 20 * 16
    again = opened(tmp_path, SMALL, window_lines=20)
    assert again.append([line(n) for n in range(185, 200)]) == (0, 15)
    assert again.append([line(0)]) == (1, 0)


def test_two_unreadable_events_are_never_one(tmp_path: Path) -> None:
    """Only their lengths are left of them: to take the second for a repeat would lose it."""
    unread = b"[unparsable, 17 bytes removed]\n"
    spool = opened(tmp_path)
    assert spool.append([unread, line(1), unread]) == (3, 0)
    assert spool.append([unread, line(1)]) == (1, 1)
    spool.close()
    assert opened(tmp_path).append([unread]) == (1, 0)
    assert held(tmp_path) == [unread, line(1), unread, unread, unread]


def test_a_stopped_spool_refuses(tmp_path: Path) -> None:
    """What comes while the agent stops is not taken."""
    spool = opened(tmp_path)
    spool.close()
    with pytest.raises(SpoolFullError, match="stopping"):
        spool.append([line(1)])


def test_no_segment_is_begun_while_a_sync_may_fail(tmp_path: Path) -> None:
    """The kernel tells one of two syncs alone: the other would take what is lost for stored."""
    failing, told = threading.Event(), threading.Event()

    def fsync(_: int) -> None:
        if failing.is_set() and not told.is_set():
            failing.clear()
            told.wait(60)
            raise OSError(errno.EIO, "Input/output error")

    spool = opened(tmp_path, SMALL_SEGMENTS, fsync=fsync)
    failing.set()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(spool.append, [line(1)])
        while failing.is_set():
            time.sleep(0.001)
        second = pool.submit(spool.append, [line(n) for n in range(2, 12)])
        with pytest.raises(TimeoutError):
            second.result(0.2)
        told.set()
        with pytest.raises(SpoolFullError):
            first.result(60)
        second.result(60)
    assert spool.append([line(1)]).written == 1


def test_while_no_name_can_be_stored_no_empty_segments_are_left(tmp_path: Path) -> None:
    failing = threading.Event()

    def fsync(_: int) -> None:
        if failing.is_set():
            raise OSError(errno.EIO, "Input/output error")

    spool = opened(tmp_path, SMALL_SEGMENTS, fsync=fsync)
    failing.set()
    for _ in range(5):
        with pytest.raises(SpoolFullError):
            spool.append([line(1)])
    failing.clear()
    assert spool.append([line(1)]).written == 1
    assert [path.read_bytes() for path in files_of(tmp_path)] == [line(1)] * 2


@given(
    requests=st.lists(st.lists(st.integers(0, 30), max_size=6), max_size=12),
    restarts=st.sets(st.integers(0, 12)),
    bad_syncs=st.sets(st.integers(0, 30)),
)
def test_every_acknowledged_line_is_held(
    tmp_path_factory: pytest.TempPathFactory,
    requests: list[list[int]],
    restarts: set[int],
    bad_syncs: set[int],
) -> None:
    """Without failures each line is there once, in the order of its first request."""
    directory = tmp_path_factory.mktemp("spool")
    calls = [0]

    def fsync(_: int) -> None:
        calls[0] += 1
        if calls[0] - 1 in bad_syncs and acknowledged_any:
            raise OSError(errno.EIO, "Input/output error")

    acknowledged_any = False
    spool = opened(directory, SMALL_SEGMENTS, fsync=fsync)
    acknowledged_any = True
    expected: list[bytes] = []
    failed = False
    for index, numbers in enumerate(requests):
        if index in restarts:
            acknowledged_any = False
            spool.close()
            spool = opened(directory, SMALL_SEGMENTS, fsync=fsync)
            acknowledged_any = True
        try:
            spool.append([line(n) for n in numbers])
        except SpoolFullError:
            failed = True
            continue
        expected += [line(n) for n in dict.fromkeys(numbers) if line(n) not in expected]
    assert set(expected) <= set(held(directory))
    if not failed:
        assert held(directory) == expected


def test_a_long_request_is_not_in_memory_once_more_while_it_is_written(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    lines = [line(number, 10_000) for number in range(1_600)]
    tracemalloc.start()
    try:
        assert spool.append(lines).written == 1_600
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < sum(map(len, lines)) / 2
    assert held(tmp_path) == lines


def test_one_long_event_is_there_as_its_body_and_one_line(tmp_path: Path) -> None:
    """The line is made for its digest and made again to be written, never both at once."""
    body = b'{"auditID":"a","verb":"%b"}' % (b"x" * 8_000_000)
    spool = opened(tmp_path)
    tracemalloc.start()
    try:
        assert spool.append(lines_of(b"[%b]" % body)).written == 1
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2.5 * len(body)
