"""Connections of the telemetry listener: bounded in number, and none may stay without a request.

Who opens connections and says nothing must not keep a probe from being answered: a kubelet that
gets no answer kills an agent that is well.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

# kubelet, scrapers and browsers need a dozen; a probe among hundreds at once must not be the oldest
MAX_CONNECTIONS = 256
HEADER_S = 5.0  # for the whole head of a request, from the connection or from its first byte


class BoundedProtocol(H11Protocol):
    """One connection. One too many takes the place of the one that has been idle longest.

    Where all have requests that are not answered yet, the oldest gives way, never the new one.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._patience: asyncio.TimerHandle | None = None
        self.since = self.loop.time()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn narrows it too
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            others = (c for c in self.connections if isinstance(c, BoundedProtocol) and c != self)
            oldest = min(others, key=lambda c: (not c.idle, c.since))
            # it leaves in the next turn of the loop, and counts no more
            self.connections.discard(oldest)
            oldest.transport.abort()
        self._begin_patience()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_patience()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self.idle:
            self._end_patience()
        elif self._patience is None:
            self._begin_patience()

    @property
    def idle(self) -> bool:
        """No request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _begin_patience(self) -> None:
        self.since = self.loop.time()
        self._patience = self.loop.call_later(HEADER_S, self._give_up)

    def _end_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _give_up(self) -> None:
        self._patience = None
        if self.idle:
            self.transport.abort()
