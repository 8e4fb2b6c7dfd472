"""Tells systemd how the service is (Type=notify). Without systemd it does nothing.

freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

import os
import socket
import time
from collections.abc import Callable, Mapping

_LOOK_S = 5.0
_TIMEOUT_S = 0.1  # with a manager that takes nothing: the commit loop must come round


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
        self._watchdog_s = int(usec) / 1e6 if usec.isdecimal() and mine else 0.0
        self._beaten = float("-inf")
        self._stops = False
        self._looked = float("-inf")
        self._last_status = ""

    def ready(self, status: str) -> None:
        self._last_status, self._looked = status, float("-inf")
        self._tell(f"READY=1\nSTATUS={status}{self._watchdog()}")

    def reloading(self, drain_s: float = 0.0) -> None:
        """Say that another configuration is taken up once requests have had *drain_s* to end."""
        now = time.monotonic_ns() // 1000
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={now}{self._watchdog(drain_s)}")

    def stopping(self, drain_s: float = 0.0) -> None:
        """Say once that it ends; requests in flight may still take *drain_s*."""
        if not self._stops:
            self._stops = True
            self._tell(f"STOPPING=1\nSTATUS=stopping{self._watchdog(drain_s)}")

    def status(self, text: Callable[[], str]) -> None:
        """Send STATUS= where it has changed, at most every few seconds."""
        now = self._monotonic()
        if not self._address or self._stops or now - self._looked < _LOOK_S:
            return
        self._looked, before, self._last_status = now, self._last_status, text()
        if self._last_status != before:
            self._tell(f"STATUS={self._last_status}")

    def beat(self) -> None:
        """Show that the commit loop comes round, as often as systemd wants to see it."""
        now = self._monotonic()
        if self._watchdog_s and now - self._beaten >= self._watchdog_s / 2:
            self._beaten = now
            self._tell("WATCHDOG=1")

    def _watchdog(self, drain_s: float = 0.0) -> str:
        """Beat, and let the next one come later by *drain_s*: nothing beats during a drain."""
        if not self._watchdog_s:
            return ""
        return f"\nWATCHDOG_USEC={round((drain_s + self._watchdog_s) * 1e6)}\nWATCHDOG=1"

    def _tell(self, text: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.settimeout(_TIMEOUT_S)
                out.connect(self._address)
                out.send(text.encode())
        except OSError:
            return  # a service manager that is gone, or hangs, is no reason to stop
