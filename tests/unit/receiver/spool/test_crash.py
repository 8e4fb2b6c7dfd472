"""What a kill, a failed sync or a full disk leaves in a spool is whole lines."""

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from k8s_audit_otlp.receiver.spool.segment_files import SpoolFullError
from tests.kit.log.spools import files_of, held, line, opened


def test_a_failed_sync_is_refused_and_goes_on_in_another_segment(tmp_path: Path) -> None:
    """After a failed sync nobody knows what the file holds, so it all comes again."""
    failing: list[bool] = []

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


@pytest.mark.parametrize("allowed", [0, 50, 100, 149, 399])
def test_a_disk_that_fills_while_it_is_written_leaves_whole_lines(
    tmp_path: Path, allowed: int
) -> None:
    """A reader may have taken a whole line already, so it stays and is known later."""
    program = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from tests.kit.log.spools import line, opened\n"
        "from k8s_audit_otlp.receiver.spool.segment_files import SpoolFullError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "spool = opened(Path(sys.argv[1]))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))\n"
        "lines = [line(n) for n in range(4)]\n"
        "try:\n    spool.append(lines)\nexcept SpoolFullError as full:\n"
        "    print(str(full).startswith('File too large: the disk took'))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)\n"
        "print(spool.append(lines).repeated)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path), str(allowed)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert done.stdout.split() == ["True", str(allowed // 100)]
    assert held(tmp_path) == [line(n) for n in range(4)]


@pytest.mark.parametrize("after", [5, 60, 300])
def test_what_was_acknowledged_outlives_a_kill(tmp_path: Path, after: int) -> None:
    """A process that is killed while eight threads append loses nothing it has said yes to."""
    program = (
        "import sys, threading\n"
        "from pathlib import Path\n"
        "from tests.kit.log.spools import SMALL, line\n"
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
        "from tests.kit.log.spools import ROOMY, line\n"
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
