"""A command at a terminal of some width: what it writes, and how it ends when interrupted."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import IO

_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07]*\x07|[()][A-Z0-9])")


class Terminal:
    """Runs `k8s-audit-otlp ARGUMENTS` with a pseudo-terminal as its three streams."""

    def __init__(
        self,
        arguments: Sequence[str],
        columns: int,
        rows: int = 24,
        more: Mapping[str, str] = MappingProxyType({}),
        stdout: IO[str] | None = None,
    ) -> None:
        """*more*: variables of its environment. *stdout*: in the place of the terminal."""
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        env = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
        command = [sys.executable, "-m", "k8s_audit_otlp", *arguments]
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=stdout or slave, stderr=slave, start_new_session=True,
            env={**env, "TERM": "xterm-256color", **more},
        )  # fmt: skip
        os.close(slave)
        self._written = b""

    def read(self, seconds: float = 60.0, until: str = "") -> str:
        """Read until the command has ended, or has written *until*."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not (until and until in self.text):
            if not select.select([self._master], [], [], 0.1)[0]:
                continue
            try:
                data = os.read(self._master, 65536)
            except OSError:  # the other end is closed
                break
            if not data:
                break
            self._written += data
        return self.text

    @property
    def text(self) -> str:
        """What was written, without colours and movements of the cursor."""
        return _ESCAPES.sub("", self.raw).replace("\r\n", "\n")

    @property
    def raw(self) -> str:
        return self._written.decode(errors="replace")

    @property
    def is_coloured(self) -> bool:
        return re.search(r"\x1b\[[0-9;]*3[0-7]", self.raw) is not None

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in re.split(r"[\r\n]", self.text)]

    def interrupt(self) -> float:
        """Press Ctrl-C; return after how many seconds the command has ended."""
        begin = time.monotonic()
        os.killpg(self.process.pid, signal.SIGINT)
        self.read(60.0)
        self.process.wait(60)
        return time.monotonic() - begin

    def resize(self, columns: int, rows: int = 24) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._master)
