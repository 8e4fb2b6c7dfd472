"""The telemetry listener: /, /status.json, /livez, /readyz and /metrics, over HTTP.

It runs in a daemon thread of its own. The web framework is imported when it starts, so an agent
without an address does not pay for it. Nothing here changes anything: there is only GET.
"""

import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from k8s_audit_otlp.telemetry.health import Health, liveness, readiness
from k8s_audit_otlp.telemetry.metrics.prometheus import CONTENT_TYPE
from k8s_audit_otlp.telemetry.views import HealthView

if TYPE_CHECKING:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

T = TypeVar("T")

_STOP_S = 2.0  # a scrape that takes longer is cut off
_FRESH_S = 0.2  # an answer is given again so long: a thousand requests a second cost five


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
    listener = socket.create_server((host, int(port)), family=family)
    # Connections inherit it; without it each answer waits 40 ms for the client's acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


class Recent(Generic[T]):
    """A value that is made anew when it is old; whoever asks meanwhile waits for it."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = Lock()
        self._value: tuple[float, T] | None = None

    def __call__(self) -> T:
        with self._lock:
            if self._value is None or time.monotonic() - self._value[0] > _FRESH_S:
                value = self._make()
                self._value = time.monotonic(), value
            return self._value[1]


@dataclass(frozen=True, slots=True)
class Answers:
    """What the listener answers with.

    `life` touches no file: it is asked where a log on a dead mount must not hold up the answer.
    `health` is a `Recent` that metrics and status are made from, too.
    """

    metrics: Callable[[], str]
    health: Callable[[], HealthView]
    life: Callable[[], HealthView]
    status: Callable[[], Mapping[str, Any]]


class StatusServer:
    """Serves until `stop`."""

    def __init__(self, address: str, answers: Answers) -> None:
        self._address = address
        self._answers = answers
        self._server: uvicorn.Server | None = None
        self._thread: Thread | None = None

    def start(self) -> str:
        """Listen, and return the address. Raises as `bind` does."""
        import uvicorn  # noqa: PLC0415 - only who wants it pays for it

        from k8s_audit_otlp.telemetry.connections import BoundedProtocol  # noqa: PLC0415

        listener = bind(self._address)
        host, port = listener.getsockname()[:2]
        config = uvicorn.Config(
            self._application(),
            http=BoundedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
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
        from starlette.responses import JSONResponse, PlainTextResponse, Response  # noqa: PLC0415
        from starlette.routing import Route  # noqa: PLC0415

        from k8s_audit_otlp.telemetry.page import document  # noqa: PLC0415

        text, policy = document()
        headers = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}
        health = self._answers.health
        metrics, status = Recent(self._answers.metrics), Recent(self._answers.status)

        # In the loop itself: no crowd of other requests can keep a probe waiting for a thread.
        async def livez(_: "Request") -> "Response":
            return _answer(liveness(self._answers.life()))

        # Plain functions run in a pool: a log on a dead mount must not keep /livez from answering.
        def readyz(_: "Request") -> "Response":
            return _answer(readiness(health()))

        def scrape(_: "Request") -> "Response":
            return PlainTextResponse(metrics(), media_type=CONTENT_TYPE)

        def values(_: "Request") -> "Response":
            return JSONResponse(status(), headers=headers | {"cache-control": "no-store"})

        def page(_: "Request") -> "Response":
            own = headers | {"content-security-policy": policy}
            return Response(text, media_type="text/html; charset=utf-8", headers=own)

        paths = {
            "/": page,
            "/status.json": values,
            "/livez": livez,
            "/readyz": readyz,
            "/metrics": scrape,
        }
        application = Starlette(routes=[Route(path, of) for path, of in paths.items()])
        application.router.redirect_slashes = False  # it would lead to whatever Host says
        return application


def _answer(health: Health) -> "Response":
    from starlette.responses import JSONResponse  # noqa: PLC0415

    return JSONResponse(health.as_json(), 200 if health.good else 503)
