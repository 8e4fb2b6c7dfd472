"""The telemetry listener: /, /status.json, /livez, /readyz and /metrics, over HTTP.

It runs in a daemon thread of its own. Imported when it starts, so an agent without an address does
not pay for the web framework. Nothing here changes anything: there is only GET.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from k8s_audit_otlp.receiver.sources.http_server import HttpServer, ServerOptions
from k8s_audit_otlp.telemetry.health import Health, Recent, liveness, readiness
from k8s_audit_otlp.telemetry.metrics.prometheus import CONTENT_TYPE
from k8s_audit_otlp.telemetry.pace import PacedSelector
from k8s_audit_otlp.telemetry.page import document
from k8s_audit_otlp.telemetry.views import HealthView

_HEADER_S = 5.0  # who says nothing must not keep a probe out: an agent that is well would be killed
_STOP_S = 1.0  # a scrape that takes longer is cut off


@dataclass(frozen=True, slots=True)
class Answers:
    """What the listener answers with.

    `life` touches no file: it is asked where a log on a dead mount must not hold up the answer.
    The others are asked a few times a second at most, however often the listener is.
    """

    metrics: Callable[[], str]
    health: Callable[[], HealthView]
    life: Callable[[], HealthView]
    status: Callable[[], Mapping[str, Any]]


class StatusServer(HttpServer):
    """Serves until `stop`, at a pace that leaves the interpreter to the delivery."""

    selector = PacedSelector

    def __init__(self, address: str, answers: Answers) -> None:
        """Listen at `host:port` once started."""
        options = ServerOptions(
            endpoint=address,
            header_timeout_s=_HEADER_S,
            idle_timeout_s=_HEADER_S,
            stop_timeout_s=_STOP_S,
        )
        super().__init__("status", options)
        self.application = _application(answers)


def _application(answers: Answers) -> Starlette:
    text, policy = document()
    headers = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}
    health = answers.health

    # In the loop itself: no crowd of other requests can keep a probe waiting for a thread.
    async def page(_: Request) -> Response:
        own = headers | {"content-security-policy": policy}
        return Response(text, media_type="text/html; charset=utf-8", headers=own)

    async def livez(_: Request) -> Response:
        return _answer(liveness(answers.life()))

    def readyz() -> Response:
        return _answer(readiness(health()))

    def scrape() -> Response:
        return PlainTextResponse(answers.metrics(), media_type=CONTENT_TYPE)

    def values() -> Response:
        return JSONResponse(answers.status(), headers=headers | {"cache-control": "no-store"})

    paths = {
        "/": page,
        "/status.json": _kept(values),
        "/livez": livez,
        "/readyz": _kept(readyz),
        "/metrics": _kept(scrape),
    }
    application = Starlette(routes=[Route(path, of) for path, of in paths.items()])
    application.router.redirect_slashes = False  # it would lead to whatever Host says
    return application


def _kept(make: Callable[[], Response]) -> Callable[[Request], Awaitable[Response]]:
    """Answer with what was made of late, or make it in a pool: a log on a dead mount may hang."""
    recent = Recent(make)

    async def answer(_: Request) -> Response:
        fresh = recent.fresh
        return await run_in_threadpool(recent) if fresh is None else fresh

    return answer


def _answer(health: Health) -> Response:
    return JSONResponse(health.as_json(), 200 if health.good else 503)
