"""What `append` returned for is on disk; what it refused is not half written."""

import errno
import os
import signal
import subprocess
import sys
import threading
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.receiver.names import parse
from k8s_audit_otlp.receiver.spool.segment_files import SpoolFullError, SpoolLimits
from k8s_audit_otlp.receiver.spool.spool import Spool

ROOMY = SpoolLimits(max_bytes=1 << 30, segment_bytes=1 << 20, min_free_disk_bytes=0)
SMALL_SEGMENTS = SpoolLimits(1 << 30, 300, 0)
SMALL = SpoolLimits(max_bytes=4000, segment_bytes=1000, min_free_disk_bytes=0)


def line(number: int, size: int = 100) -> bytes:
    return (b'{"kind":"Event","auditID":"%d"}' % number).ljust(size - 1) + b"\n"


def opened(directory: Path, limits: SpoolLimits = ROOMY, **edges: object) -> Spool:
    spool = Spool(directory, limits, **edges)  # type: ignore[arg-type] # the edges of a Spool
    spool.open()
    return spool


def files_of(directory: Path) -> list[Path]:
    """Return the segments, oldest first."""
    named = [
        (found, path) for path in directory.iterdir() if (found := parse("audit.log", path.name))
    ]
    return [path for _, path in sorted(named, key=lambda pair: pair[0].age)]


def held(directory: Path) -> list[bytes]:
    return [one for path in files_of(directory) for one in path.read_bytes().splitlines(True)]


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


def test_a_failed_sync_is_refused_and_goes_on_in_another_segment(tmp_path: Path) -> None:
    """After a failed sync nobody knows what the file holds, so it all comes again."""
    failing = []

    def fsync(fd: int) -> None:
        if failing:
            raise OSError(errno.EIO, "Input/output error")
        os.fsync(fd)

    spool = opened(tmp_path, fsync=fsync)
    spool.append([line(1)])
    failing.append(True)
    with pytest.raises(SpoolFullError, match="Input/output error"):
        spool.append([line(2)])
    failing.clear()
    assert spool.append([line(1), line(2)]) == (1, 1)
    assert len(files_of(tmp_path)) == 2
    assert held(tmp_path) == [line(1), line(2), line(2)]


def test_who_waits_while_another_sync_fails_is_refused_too(tmp_path: Path) -> None:
    """One sync stands for all that was written before it, and so does its failure."""
    begun, go_on, calls = threading.Event(), threading.Event(), []

    def fsync(fd: int) -> None:
        calls.append(fd)
        if len(calls) == 3:  # the two of `open` come first
            begun.set()
            go_on.wait(60)
            raise OSError(errno.EIO, "Input/output error")

    spool = opened(tmp_path, fsync=fsync)
    refused: list[int] = []

    def append(number: int) -> None:
        try:
            spool.append([line(number)])
        except SpoolFullError:
            refused.append(number)

    threads = [threading.Thread(target=append, args=(n,)) for n in (1, 2)]
    threads[0].start()
    begun.wait(60)
    threads[1].start()
    while len(held(tmp_path)) < 2:
        pass
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert sorted(refused) == [1, 2]
    assert spool.append([line(1), line(2)]) == (2, 0)


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


def test_a_torn_line_is_cut_and_repeats_are_known_after_a_restart(tmp_path: Path) -> None:
    """A crash leaves whole lines and perhaps half a one; only the half one goes."""
    spool = opened(tmp_path)
    spool.append([line(1)])
    spool.close()
    with spool.path.open("ab") as file:
        file.write(line(2) + line(3)[:40])  # written and never synced
    again = opened(tmp_path)
    assert held(tmp_path) == [line(1), line(2)]
    assert again.append([line(1), line(2), line(3), line(3)]) == (1, 3)
    assert again.repeated == 3
    assert held(tmp_path) == [line(1), line(2), line(3)]


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


def test_a_stopped_spool_refuses(tmp_path: Path) -> None:
    """What comes while the agent stops is not taken."""
    spool = opened(tmp_path)
    spool.close()
    with pytest.raises(SpoolFullError, match="stopping"):
        spool.append([line(1)])


@pytest.mark.parametrize("allowed", [0, 50, 100, 149, 399])
def test_a_disk_that_fills_while_it_is_written_leaves_whole_lines(
    tmp_path: Path, allowed: int
) -> None:
    """A reader may have taken a whole line already, so it stays and is known later."""
    program = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from tests.unit.receiver.spool.test_spool import line, opened\n"
        "from k8s_audit_otlp.receiver.spool.segment_files import SpoolFullError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "spool = opened(Path(sys.argv[1]))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))\n"
        "lines = [line(n) for n in range(4)]\n"
        "try:\n    spool.append(lines)\nexcept SpoolFullError:\n    print('refused')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)\n"
        "print(spool.append(lines).repeated)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path), str(allowed)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert done.stdout.split() == ["refused", str(allowed // 100)]
    assert held(tmp_path) == [line(n) for n in range(4)]


@pytest.mark.parametrize("after", [5, 60, 300])
def test_what_was_acknowledged_outlives_a_kill(tmp_path: Path, after: int) -> None:
    """A process that is killed while eight threads append loses nothing it has said yes to."""
    program = (
        "import sys, threading\n"
        "from pathlib import Path\n"
        "from tests.unit.receiver.spool.test_spool import SMALL, line\n"
        "from k8s_audit_otlp.receiver.spool.segment_files import SpoolLimits\n"
        "from k8s_audit_otlp.receiver.spool.spool import Spool\n"
        "spool = Spool(Path(sys.argv[1]), SpoolLimits(1 << 30, 20_000, 0))\n"
        "spool.open()\n"
        "def work(worker):\n"
        "    for n in range(100_000):\n"
        "        spool.append([line(worker * 1_000_000 + n, 300)])\n"
        "        sys.stdout.write(f'{worker * 1_000_000 + n}\\n'); sys.stdout.flush()\n"
        "for w in range(8): threading.Thread(target=work, args=(w,)).start()\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path.cwd()) as process:
        assert process.stdout
        acknowledged = [int(process.stdout.readline()) for _ in range(after)]
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read()
    acknowledged += [int(text) for text in rest.splitlines() if text]
    again = opened(tmp_path)
    assert {line(n, 300) for n in acknowledged} <= set(held(tmp_path))
    assert again.append([line(n, 300) for n in acknowledged]).written == 0


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


@pytest.mark.parametrize("allowed", [0, 50, 100, 250, 300])
def test_a_torn_line_that_cannot_be_cut_is_not_joined_to_the_next(
    tmp_path: Path, allowed: int
) -> None:
    """The disk takes part of a line and refuses to cut it off: another segment is begun."""
    program = (
        "import os, resource, signal, sys\n"
        "from datetime import UTC, datetime\n"
        "from pathlib import Path\n"
        "from k8s_audit_otlp.receiver.spool.segment_files import SegmentFiles\n"
        "from tests.unit.receiver.spool.test_spool import ROOMY, line\n"
        "def refuse(fd, size):\n    raise OSError(5, 'Input/output error')\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "files = SegmentFiles(Path(sys.argv[1]), ROOMY, fsync=os.fsync, truncate=refuse,\n"
        "    free_disk=lambda _: 1 << 40, now=lambda: datetime.now(UTC))\n"
        "list(files.open())\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))\n"
        "print(files.write(b''.join(map(line, range(4)))))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)\n"
        "print(files.wants_rotation(100))\n"
        "files.rotate() if files.wants_rotation(100) else None\n"
        "print(files.wants_rotation(100), files.write(line(9)))\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path), str(allowed)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path.cwd())
    torn = allowed % 100 != 0
    assert done.stdout.split() == [str(allowed // 100 * 100), str(torn), "False", "100"]
    last = files_of(tmp_path)[-1].read_bytes().splitlines(True)
    assert last == ([line(9)] if torn else [*map(line, range(allowed // 100)), line(9)])
    if torn:
        before = files_of(tmp_path)[0].read_bytes()
        assert before == b"".join(map(line, range(4)))[:allowed]
