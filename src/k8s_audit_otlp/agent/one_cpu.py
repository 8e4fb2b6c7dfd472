"""Keeps the threads of a busy process on one CPU, as long as nobody else needs that one.

Threads that take turns at the interpreter wake each other thousands of times a second. On one CPU
that is cheap; to wake a thread on another one is an interrupt there, and caches that are cold: with
two exporters a fifth of all the CPU time, with three a quarter.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_LOOK_S = 1.0
_BUSY = 0.2  # of the time, below which the kernel may place the threads as it likes
_OTHERS = 0.25  # of the time of that CPU, from which on they are in the way
_LAST_CPU = 36  # in /proc/PID/stat behind the name (proc(5): field 39); 11 and 12 are its time
_BUSY_FIELDS = (0, 1, 2, 5, 6, 7)  # of a CPU in /proc/stat: all but idle and waiting for disks


class OneCpu:
    """Begins on one CPU; call `look` often, and `release` at the end.

    Where other work takes a quarter of that CPU the kernel chooses for a second, and it goes on
    where the kernel has put the busiest thread. A system that does not tell keeps its own way.
    """

    def __init__(
        self,
        *,
        proc: Path = Path("/proc"),
        monotonic: Callable[[], float] = time.monotonic,
        cpu_time: Callable[[], float] = time.process_time,
    ) -> None:
        self._proc, self._monotonic, self._cpu_time = proc, monotonic, cpu_time
        self._ticks = os.sysconf("SC_CLK_TCK")
        can_choose = hasattr(os, "sched_getaffinity")
        self._allowed = os.sched_getaffinity(0) if can_choose else set()
        self.cpu: int | None = None  # on which all threads are, None where the kernel chooses
        if len(self._allowed) > 1:
            self._choose()
        self._begin()

    def look(self) -> None:
        """About once a second: go on, let the kernel choose, or take what it has chosen."""
        since, used, taken = self._since
        passed = self._monotonic() - since
        if passed < _LOOK_S or len(self._allowed) < 2:
            return
        ours = self._cpu_time() - used
        is_busy = ours > _BUSY * passed
        if self.cpu is None:
            if is_busy:
                self._choose()
        elif not is_busy or self._busy_s(self.cpu) - taken - ours > _OTHERS * passed:
            self.release()
        self._begin()

    def release(self) -> None:
        """Let the kernel place the threads."""
        self._place(self._allowed)
        self.cpu = None

    def _choose(self) -> None:
        """Go where the thread that has worked most was last, if the system tells."""
        times = {}
        for task in self._tasks():
            with suppress(OSError, ValueError, IndexError):  # a thread may have ended
                fields = (task / "stat").read_text().rpartition(")")[2].split()
                times[int(fields[11]) + int(fields[12])] = int(fields[_LAST_CPU])
        cpu = times[max(times)] if times else -1
        if cpu in self._allowed and self._busy_s(cpu):
            self.cpu = cpu
            self._place({cpu})

    def _begin(self) -> None:
        taken = 0.0 if self.cpu is None else self._busy_s(self.cpu)
        self._since = self._monotonic(), self._cpu_time(), taken

    def _place(self, cpus: set[int]) -> None:
        for task in self._tasks():
            with suppress(OSError):  # it has ended, or a sandbox forbids it
                os.sched_setaffinity(int(task.name), cpus)

    def _tasks(self) -> list[Path]:
        try:
            return list((self._proc / "self" / "task").iterdir())
        except OSError:
            return []

    def _busy_s(self, cpu: int) -> float:
        """Return how long a CPU has been busy since the system began, 0 where nothing tells."""
        with suppress(OSError, ValueError, IndexError):
            for line in (self._proc / "stat").read_text().splitlines():
                name, *fields = line.split()
                if name == f"cpu{cpu}":
                    return sum(int(fields[at]) for at in _BUSY_FIELDS) / self._ticks
        return 0.0
