"""An address in, one HTTP listener out: /livez, /readyz and /metrics.

It runs in a daemon thread of its own. The web framework is imported when it starts, so an agent
without an address does not pay for it. Nothing here changes anything: there is only GET.
"""

import socket
from collections.abc import Callable
from threading import Thread
from typing import TYPE_CHECKING

from k8s_audit_otlp.telemetry.health import Health, liveness, readiness
from k8s_audit_otlp.telemetry.metrics import CONTENT_TYPE
from k8s_audit_otlp.telemetry.views import HealthView

if TYPE_CHECKING:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

_STOP_S = 2.0  # a scrape that takes longer is cut off
_MOST_REQUESTS = 32  # at the same time; more are answered with 503


def bind(address: str) -> socket.socket:
    """Listen at `host:port`. An empty host is every interface, as in Go; port 0 is any free one.

    Raises:
        OSError: the address is taken or not of this host.
        ValueError: it is no address.

    """
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal():
        raise ValueError(f"{address!r} is no address; write host:port such as 127.0.0.1:9464")
    host = host.removeprefix("[").removesuffix("]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, int(port)), family=family)


class StatusServer:
    """Serves until `stop`."""

    def __init__(
        self, address: str, metrics: Callable[[], str], health: Callable[[], HealthView]
    ) -> None:
        self._address = address
        self._metrics = metrics
        self._health = health
        self._server: uvicorn.Server | None = None
        self._thread: Thread | None = None

    def start(self) -> str:
        """Listen, and return the address. Raises as `bind` does."""
        import uvicorn  # noqa: PLC0415 - only who wants it pays for it

        listener = bind(self._address)
        host, port = listener.getsockname()[:2]
        config = uvicorn.Config(
            self._application(),
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            limit_concurrency=_MOST_REQUESTS,
            timeout_graceful_shutdown=1,
        )
        self._server = server = uvicorn.Server(config)
        self._thread = Thread(target=server.run, args=([listener],), name="status", daemon=True)
        self._thread.start()
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def stop(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(_STOP_S)

    def _application(self) -> "Starlette":
        from starlette.applications import Starlette  # noqa: PLC0415
        from starlette.responses import PlainTextResponse  # noqa: PLC0415
        from starlette.routing import Route  # noqa: PLC0415

        # Plain functions run in a pool: a log on a dead mount must not keep /livez from answering.
        def livez(_: "Request") -> "Response":
            return _answer(liveness(self._health()))

        def readyz(_: "Request") -> "Response":
            return _answer(readiness(self._health()))

        def metrics(_: "Request") -> "Response":
            return PlainTextResponse(self._metrics(), media_type=CONTENT_TYPE)

        return Starlette(
            routes=[Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)]
        )


def _answer(health: Health) -> "Response":
    from starlette.responses import JSONResponse  # noqa: PLC0415

    return JSONResponse(health.as_json(), 200 if health.good else 503)
