"""Tells systemd how the service is (Type=notify). Without systemd it does nothing.

freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

import os
import socket
import time
from collections.abc import Callable, Mapping

_LOOK_S = 5.0
_PATIENCE_S = 0.1  # with a manager that takes nothing: the commit loop must come round


class ServiceManager:
    """Writes to the socket that systemd names in the environment."""

    def __init__(
        self, env: Mapping[str, str], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        address = env.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._monotonic = monotonic
        usec = env.get("WATCHDOG_USEC", "")
        mine = env.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self._beat_s = int(usec) / 2e6 if usec.isdecimal() and mine else 0.0
        self._beaten = float("-inf")
        self._stops = False
        self._looked = float("-inf")
        self._said = ""

    def ready(self, status: str) -> None:
        self._tell(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Say once that it ends; requests in flight may still take a while."""
        if not self._stops:
            self._stops = True
            self._tell("STOPPING=1\nSTATUS=stopping")

    def status(self, text: Callable[[], str]) -> None:
        """Say how it is, every few seconds where it has changed."""
        now = self._monotonic()
        if not self._address or self._stops or now - self._looked < _LOOK_S:
            return
        self._looked, before, self._said = now, self._said, text()
        if self._said != before:
            self._tell(f"STATUS={self._said}")

    def beat(self) -> None:
        """Show that the commit loop comes round, as often as systemd wants to see it."""
        now = self._monotonic()
        if self._beat_s and now - self._beaten >= self._beat_s:
            self._beaten = now
            self._tell("WATCHDOG=1")

    def _tell(self, text: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.settimeout(_PATIENCE_S)
                out.connect(self._address)
                out.send(text.encode())
        except OSError:
            return  # a service manager that is gone, or hangs, is no reason to stop
