"""The audit webhook: `POST /audit[/<cluster>]`. 200 means that the events are on disk.

An apiserver sends what is not answered with 200 five times, within some 81 s, then drops it
(apiserver_audit_error_total). So: 429 and 503 for what passes, 4xx for what never will.
"""

import asyncio
import gc
import hmac
import time
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime

import msgspec
from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from k8s_audit_otlp.config.sources import AuditWebhook
from k8s_audit_otlp.receiver.sources.buffer_risk import BufferRisk
from k8s_audit_otlp.receiver.sources.http_server import HttpServer
from k8s_audit_otlp.receiver.sources.request_body import (
    BodyBudget,
    BodyError,
    BodyReader,
    check_length,
    pass_over,
)
from k8s_audit_otlp.receiver.spool.event_list import NoEventsError, lines_of
from k8s_audit_otlp.receiver.spool.segment_files import SpoolFullError
from k8s_audit_otlp.receiver.spool.spool import Spool

RETRY_AFTER_S = 5
_MOST_APPENDS = 8  # threads that decode and wait for the disk
_ROOM_BESIDE = 32 << 20  # bytes of other bodies that may be there beside the longest
_LONG_BODY = 4 << 20  # bytes; of longer ones one is decoded at a time, as its lines are a copy
_RISK_S = 60.0  # for so long it is told
_READ_OF_STRANGERS = 1 << 20  # bytes
_PASS_OVER_S = 5.0
_CLOSING = frozenset({400, 401, 403, 408, 413})  # what comes behind them may be no request
_REFUSALS = (BodyError, NoEventsError, SpoolFullError, TimeoutError, ClientDisconnect)
# A refusal closes its connection, whose buffers lie in cycles; the agent looks for these seldom.
_COLLECT_EVERY = 16


class _Stamp(msgspec.Struct, rename="camel"):
    stage_timestamp: datetime | None = None


_stamp = msgspec.json.Decoder(_Stamp).decode


class WebhookSource(HttpServer):
    """Answers the requests at one endpoint.

    `answers` counts them by their status; `risks` says for which cluster the buffer of the
    apiserver was at risk within the last minute.
    """

    left_out, lag, lost, on_record = 0, None, (), 0  # what holds no event is refused

    def __init__(
        self,
        name: str,
        spools: Mapping[str, Spool],
        block: AuditWebhook,
        *,
        token: Callable[[], str] | None = None,
        **server: float,
    ) -> None:
        """*spools* by cluster, '' where there is one only; *server*: its timeouts."""
        super().__init__(name, block, **server)
        self._spools = spools
        self._token = token
        self._client_names = frozenset(block.client_names)
        self._clusters = {name: frozenset(of.client_names) for name, of in block.clusters.items()}
        self._budget = BodyBudget(
            block.max_request_body_size + min(block.max_request_body_size, _ROOM_BESIDE)
        )
        self._appending = CapacityLimiter(_MOST_APPENDS)
        self._appending_long = CapacityLimiter(1)
        self._risks = {cluster: BufferRisk() for cluster in spools}
        self._at_risk: dict[str, tuple[str, float]] = {}  # by cluster: why, and when it was seen
        self.application = Starlette(
            routes=[
                Route("/audit", self._answer, methods=["POST"]),
                Route("/audit/{cluster}", self._answer, methods=["POST"]),
            ],
            exception_handlers={404: self._no_such_place, 405: self._no_such_place},
        )
        self.application.router.redirect_slashes = False  # no client is sent anywhere

    async def _no_such_place(self, _: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 404
        headers = {"Connection": "close"} | ({"Allow": "POST"} if status == 405 else {})
        self.answers[str(status)] += 1
        return PlainTextResponse("POST events to /audit or /audit/CLUSTER\n", status, headers)

    @property
    def risks(self) -> dict[str, str]:
        now = time.monotonic()
        seen = list(self._at_risk.items())  # at once: the server may add a cluster meanwhile
        return {cluster: why for cluster, (why, at) in seen if now - at < _RISK_S}

    async def _answer(self, request: Request) -> Response:
        chunks = request.stream()
        status, why = 200, ""
        try:
            await self._take(request, chunks)
        except _REFUSALS as refusal:
            status, why = self._why(refusal)
        self.answers[str(status)] += 1
        if status == 200:
            return Response(status_code=200)
        if self.answers[str(status)] % _COLLECT_EVERY == 0:
            gc.collect(1)
        if "expect" not in request.headers:
            strange = status in (401, 403)
            most = _READ_OF_STRANGERS if strange else self._block.max_request_body_size
            await pass_over(chunks, most, min(_PASS_OVER_S, self._block.read_timeout_s))
        self.warn(f"{status}", f"a request is refused with {status}: {why}")
        headers = {"Connection": "close"} if status in _CLOSING else {}
        if status in (429, 503):
            headers["Retry-After"] = str(RETRY_AFTER_S)
        return PlainTextResponse(why + "\n", status, headers)

    def _why(self, refusal: Exception) -> tuple[int, str]:
        """Return the status and the words for a request that is not taken."""
        match refusal:
            case BodyError():
                return refusal.status, str(refusal)
            case SpoolFullError():
                return 503, str(refusal)
            case TimeoutError():
                return 408, f"the request took over {self._block.read_timeout_s:g} s"
            case ClientDisconnect():
                return 400, "the client went away"
            case _:
                return 400, str(refusal)

    async def _take(self, request: Request, chunks: AsyncIterator[bytes]) -> None:
        check_length(request.headers)
        cluster = self._cluster_of(request)
        body = BodyReader(self._budget, self._block.max_request_body_size, request.headers)
        try:
            async with asyncio.timeout(self._block.read_timeout_s):
                data = await body.read(chunks)
            limiter = self._appending_long if len(data) > _LONG_BODY else self._appending
            appended = await to_thread.run_sync(self._append, cluster, data, limiter=limiter)
            del data
        finally:
            body.release()
        if isinstance(appended, BodyError):
            raise BodyError(appended.status, str(appended))
        self.trust(request.client)
        if appended:
            self._look_at_buffer(cluster, *appended)

    def _append(self, cluster: str, data: bytearray) -> tuple[int, float | None] | BodyError | None:
        """Write the events of a body; return how many, and how old the last is, or why not.

        Runs in a thread.

        What is raised through a future holds its frames, the body with them, until the collector
        of cycles comes by: that is seldom here.
        """
        try:
            lines = lines_of(data)
            if not lines:
                return None
            self._spools[cluster].append(lines)
        except _REFUSALS as refusal:
            return BodyError(*self._why(refusal))
        return len(lines), self._age_s(lines.last)

    def _age_s(self, event: bytes | msgspec.Raw) -> float | None:
        try:
            when = _stamp(event).stage_timestamp
            return (datetime.now(UTC) - when).total_seconds() if when else None
        except (msgspec.MsgspecError, TypeError):  # no time, or one without a zone
            return None

    def _look_at_buffer(self, cluster: str, events: int, age: float | None) -> None:
        now = time.monotonic()
        if warning := self._risks[cluster].note(events, age, now):
            self._at_risk[cluster] = warning, now
            self.warn(f"risk {cluster}", f"{cluster or 'the cluster'}: {warning}")

    # -- who sends ---------------------------------------------------------------------------

    def _cluster_of(self, request: Request) -> str:
        """Return whose events these are.

        Raise BodyError where the client may not send, or it is not said for which cluster.
        """
        if self._token is not None:
            shown = request.headers.get("authorization", "").encode()
            try:
                token = self._token().strip().encode()
            except OSError as error:
                why = f"the bearer token cannot be read: {error.strerror or error}"
                raise BodyError(503, why) from None
            if not hmac.compare_digest(shown, b"Bearer " + token):
                raise BodyError(401, "the bearer token is missing or wrong")
        names = self.names_of(request.client)
        if self._client_names and not self._client_names & names:
            raise BodyError(403, "the name of the client certificate is not in client_names")
        asked = request.path_params.get("cluster", "")
        if not self._clusters:
            if asked:
                raise BodyError(404, "no clusters are configured; send to /audit")
            return ""
        return self._configured_cluster(asked, names)

    def _configured_cluster(self, asked: str, names: frozenset[str]) -> str:
        clusters = self._clusters
        if not asked:
            asked = next((name for name, of in clusters.items() if of & names), "")
            if not asked:
                raise BodyError(404, "which cluster? send to /audit/CLUSTER")
        if asked not in clusters:
            raise BodyError(404, f"the cluster {asked[:64]!r} is not configured")
        if not clusters[asked] & names and (
            clusters[asked] or any(of & names for of in clusters.values())
        ):
            raise BodyError(403, "the client certificate is not one of this cluster")
        return asked
