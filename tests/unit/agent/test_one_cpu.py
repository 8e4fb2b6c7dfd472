"""A busy process on one CPU: which one, for how long, and what ends it."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from k8s_audit_otlp.agent.one_cpu import OneCpu

ALL = os.sched_getaffinity(0)
pytestmark = pytest.mark.skipif(len(ALL) < 2, reason="needs two CPUs")
FIRST, SECOND, *_ = sorted([*ALL, -1, -2])[2:] if len(ALL) > 1 else (0, 0)
TICKS = os.sysconf("SC_CLK_TCK")


class Machine:
    """A /proc of one process with one thread, which is real and sleeps, and two clocks."""

    def __init__(self, folder: Path, pid: int) -> None:
        self.proc, self.pid = folder, pid
        self.now = self.used = 0.0
        self.busy = dict.fromkeys(ALL, 1.0)
        self.runs_on(FIRST)

    def runs_on(self, cpu: int) -> None:
        task = self.proc / "self" / "task" / str(self.pid)
        task.mkdir(parents=True, exist_ok=True)
        fields = ["0"] * 50
        fields[11], fields[12], fields[36] = "5", "6", str(cpu)
        (task / "stat").write_text(f"{self.pid} (a ) name) {' '.join(fields)}\n")
        self._write_stat()

    def passes(self, seconds: float, *, ours: float, on: int, others: float = 0.0) -> None:
        self.now += seconds
        self.used += ours
        self.busy[on] += ours + others
        self._write_stat()

    def _write_stat(self) -> None:
        lines = [f"cpu{n} {s * TICKS:.0f} 0 0 99999 99999 0 0 0 0 0" for n, s in self.busy.items()]
        (self.proc / "stat").write_text("\n".join(["cpu 1 2 3", *lines, "intr 1"]))

    def one_cpu(self) -> OneCpu:
        return OneCpu(proc=self.proc, monotonic=lambda: self.now, cpu_time=lambda: self.used)

    @property
    def allowed(self) -> set[int]:
        return os.sched_getaffinity(self.pid)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as sleeper:
        yield Machine(tmp_path, sleeper.pid)
        sleeper.kill()


def test_it_begins_where_the_process_is(machine: Machine) -> None:
    """A run of a second is worth it, too."""
    machine.runs_on(SECOND)
    assert machine.one_cpu().cpu == SECOND
    assert machine.allowed == {SECOND}


def test_it_stays_while_it_is_busy_there(machine: Machine) -> None:
    """Nothing is asked more often than once a second."""
    one_cpu = machine.one_cpu()
    for _ in range(50):
        machine.passes(0.1, ours=0.09, on=FIRST, others=0.01)
        one_cpu.look()
        assert machine.allowed == {FIRST}


def test_who_does_little_is_placed_by_the_kernel(machine: Machine) -> None:
    """A thread that wakes for one line need not wait for another process."""
    one_cpu = machine.one_cpu()
    machine.passes(1.0, ours=0.1, on=FIRST)
    one_cpu.look()
    assert machine.allowed == ALL
    machine.passes(1.0, ours=0.1, on=FIRST)
    one_cpu.look()
    assert machine.allowed == ALL


def test_other_work_there_lets_the_kernel_choose_for_a_second(machine: Machine) -> None:
    """It goes on where the kernel has put it: two such processes would else follow each other."""
    one_cpu = machine.one_cpu()
    machine.passes(1.0, ours=0.6, on=FIRST, others=0.4)
    one_cpu.look()
    assert machine.allowed == ALL
    machine.runs_on(SECOND)
    machine.passes(0.5, ours=0.5, on=SECOND)
    one_cpu.look()
    assert machine.allowed == ALL
    machine.passes(0.5, ours=0.5, on=SECOND)
    one_cpu.look()
    assert machine.allowed == {SECOND}
    machine.passes(1.0, ours=1.0, on=SECOND)
    one_cpu.look()
    assert machine.allowed == {SECOND}


def test_at_the_end_it_may_be_anywhere_again(machine: Machine) -> None:
    machine.one_cpu().release()
    assert machine.allowed == ALL


def test_a_system_that_does_not_tell_keeps_its_way(machine: Machine) -> None:
    """A sandbox may hide its CPUs; then nobody could see that one is needed by others."""
    (machine.proc / "stat").write_text("cpu 1 2 3\n")
    one_cpu = machine.one_cpu()
    assert one_cpu.cpu is None
    machine.now = machine.used = 5.0
    one_cpu.look()
    assert machine.allowed == ALL


def test_every_thread_of_a_real_process_is_on_one_cpu_with_the_others() -> None:
    """Those that come later, too."""
    script = """
        import os, threading
        from k8s_audit_otlp.agent.one_cpu import OneCpu
        stop = threading.Event()
        def begin(): threading.Thread(target=stop.wait, daemon=True).start()
        begin()
        one_cpu = OneCpu()
        begin()
        places = [os.sched_getaffinity(int(task)) for task in os.listdir("/proc/self/task")]
        one_cpu.release()
        after = [os.sched_getaffinity(int(task)) for task in os.listdir("/proc/self/task")]
        print(len(places), [len(one) for one in places], after == [one_cpu._allowed] * 3)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    assert said == "3 [1, 1, 1] True\n"
