"""Runs a command and prints its CPU seconds and peak memory, as the kernel accounts for them.

    python -S -E tests/bench/launch.py RESULT COMMAND [ARG ...]

A process of its own, and a small one: what a child inherits of its parent's memory before it
becomes another program counts in its peak. SIGTERM is handed on.
"""

import os
import signal
import sys


def main() -> None:
    result, command = sys.argv[1], sys.argv[2:]
    child = os.fork()
    if child == 0:
        os.execvp(command[0], command)  # noqa: S606 - the command that is measured
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    _, status, usage = os.wait4(child, 0)
    with open(result, "w") as file:  # noqa: PTH123 - pathlib would be most of this process
        code = os.waitstatus_to_exitcode(status)
        file.write(f"{code} {usage.ru_utime + usage.ru_stime:.4f} {usage.ru_maxrss}\n")


if __name__ == "__main__":
    main()
