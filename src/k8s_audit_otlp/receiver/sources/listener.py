"""A listening socket that bounds how many connections are open, those in a handshake included.

Each costs memory before it has said who it is (over TLS some 256 KiB). Where there are too many,
the oldest that was never trusted gives way, so that silent ones keep no apiserver out.
"""

import socket
from contextlib import suppress
from typing import Self

MOST_CONNECTIONS = 512
_SILENT_S = 30

Address = tuple[str, int]


class _KnownConnection(socket.socket):
    """A connection that its listener knows of until it is closed."""

    listener: "Listener"
    address: Address

    def close(self) -> None:
        self.listener.forget(self)
        super().close()


class Listener(socket.socket):
    """Accepts for one event loop; used by its thread alone."""

    def __init__(self, family: int, *, most: int = MOST_CONNECTIONS) -> None:
        super().__init__(family, socket.SOCK_STREAM)
        self._most = most
        self._open: dict[Address, _KnownConnection] = {}
        self._untrusted: dict[Address, _KnownConnection] = {}  # oldest first

    @classmethod
    def at(cls, endpoint: str, *, most: int = MOST_CONNECTIONS) -> Self:
        """Listen at `host:port`; an empty host is every interface, as in Go.

        Raise OSError where the address is taken or not of this host.
        """
        host, _, port = endpoint.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        made = cls(socket.AF_INET6 if ":" in host else socket.AF_INET, most=most)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if made.family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            # Connections inherit it; else an answer waits 40 ms for the client's acknowledgement.
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.bind((host, int(port)))
            if hasattr(socket, "TCP_DEFER_ACCEPT"):  # who says nothing is left to the kernel
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, _SILENT_S)
            made.listen(256)
        except OSError:
            made.close()
            raise
        return made

    @property
    def endpoint(self) -> str:
        """Where it listens, as `host:port`."""
        host, port = self.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def accept(self) -> tuple[socket.socket, Address]:
        """Return the next connection.

        Raise BlockingIOError where there is none, or none that there is room for.
        """
        plain, found = super().accept()
        address: Address = found[0], found[1]
        if len(self._open) >= self._most:
            if not self._untrusted:
                plain.close()
                raise BlockingIOError
            self._turn_away(next(iter(self._untrusted.values())))
        connection = _KnownConnection(plain.family, plain.type, plain.proto, plain.detach())
        connection.listener, connection.address = self, address
        self._open[address] = self._untrusted[address] = connection
        return connection, found

    def trust(self, address: Address) -> None:
        """Note that the client at this address has shown that it may send."""
        self._untrusted.pop(address, None)

    def forget(self, connection: _KnownConnection) -> None:
        """Count a connection no more: it is closed."""
        for known in (self._open, self._untrusted):
            if known.get(connection.address) is connection:
                del known[connection.address]

    def _turn_away(self, connection: _KnownConnection) -> None:
        """End a connection; who reads from it sees its end, and closes it."""
        self.forget(connection)
        with suppress(OSError):  # it has ended by itself
            connection.shutdown(socket.SHUT_RDWR)
