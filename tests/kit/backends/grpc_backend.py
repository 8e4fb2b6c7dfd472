"""The same back end over gRPC: steps and plans mean what they mean over HTTP.

Statuses are translated by the table below; below 100 they are gRPC's own codes. `Retry-After`
becomes a RetryInfo in grpc-status-details-bin. Steps that write raw HTTP have no meaning here.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from tests.kit.backends.intake import Intake, Plan
from tests.kit.backends.received import Keep, Received, leave_out
from tests.kit.backends.steps import ReceivedRequest

SERVICE = "opentelemetry.proto.collector.logs.v1.LogsService"
DEFAULT_MAX_MESSAGE_BYTES = 4 << 20  # grpc's own default, and so that of most back ends
WORKERS = 16  # more than an exporter has requests in flight

# what a back end that answers so over HTTP answers over gRPC
CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.UNIMPLEMENTED,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    502: grpc.StatusCode.UNAVAILABLE,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
    **{code.value[0]: code for code in grpc.StatusCode},
}


class GrpcBackend(Intake):
    """One OTLP/gRPC server on 127.0.0.1; may be stopped and started again on its port."""

    def __init__(
        self,
        plan: Plan = (),
        *,
        port: int = 0,
        keep: Keep = "records",
        uids_file: Path | None = None,
        credentials: Any = None,
        max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES,
    ) -> None:
        """Take `credentials` as grpc.ssl_server_credentials makes them; None is without TLS."""
        super().__init__(plan, keep, uids_file)
        self.port = port
        self._credentials = credentials
        self._max_message_bytes = max_message_bytes
        self._server: Any = None
        self._pool: ThreadPoolExecutor | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self._credentials else 'http'}://{self.target}"

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        self.closing.clear()
        self._pool = ThreadPoolExecutor(WORKERS, "grpc-backend")
        options = [("grpc.max_receive_message_length", self._max_message_bytes)]
        options += [("grpc.so_reuseport", 0)]
        self._server = grpc.server(self._pool, options=options)
        export = grpc.unary_unary_rpc_method_handler(self._export)  # bytes in, bytes out
        handler = grpc.method_handlers_generic_handler(SERVICE, {"Export": export})
        self._server.add_generic_rpc_handlers((handler,))
        if self._credentials:
            self.port = self._server.add_secure_port(self.target, self._credentials)
        else:
            self.port = self._server.add_insecure_port(self.target)
        self._server.start()

    def stop(self) -> None:
        """Refuse connections and end the calls that are open."""
        if self._pool is None:
            return
        self.closing.set()
        self._server.stop(grace=0).wait()
        self._pool.shutdown()
        self._pool = None

    def _export(self, body: bytes, context: Any) -> bytes:
        headers = {entry.key: entry.value for entry in context.invocation_metadata()}
        request = self.arrived(f"/{SERVICE}/Export", headers, len(body), body)
        exchange = GrpcExchange(self, request, context)
        try:
            self.step_for(request).respond(exchange)
        except (ValueError, IndexError) as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        if exchange.reply is None:
            context.abort(grpc.StatusCode.UNAVAILABLE, "the connection was cut")
        return exchange.reply or b""


class GrpcExchange:
    """What the steps of a plan answer on."""

    def __init__(self, backend: GrpcBackend, request: ReceivedRequest, context: Any) -> None:
        self.request = request
        self.reply: bytes | None = None
        self._received: Received = backend.received
        self._closing = backend.closing
        self._context = context

    def store(self, *, without: Callable[[int, bytes], bool] | None = None) -> int:
        body = self.request.body
        return self._received.add_body(leave_out(body, without) if without else body)

    def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        if status in {0, 200}:
            self.reply = body
            return
        code = CODES.get(status, grpc.StatusCode.UNKNOWN)
        retry_after = headers.get("Retry-After")
        if retry_after is not None:
            details = _throttling(code, float(retry_after))
            self._context.set_trailing_metadata((("grpc-status-details-bin", details),))
        self._context.abort(code, f"the plan refuses with {status}")

    def send(self, data: bytes) -> bool:
        raise ValueError(f"a raw HTTP answer of {len(data)} bytes cannot go over gRPC")

    def pause(self, seconds: float | None) -> bool:
        return not self._closing.wait(seconds)

    def hang_up(self, *, reset: bool = False) -> None:
        """End the call as its client sees a cut connection, whichever way it was cut."""
        del reset
        self.reply = None

    def half_close(self) -> None:
        raise ValueError("a gRPC connection cannot be half closed")


def _throttling(code: Any, seconds: float) -> bytes:
    delay = Duration(seconds=int(seconds), nanos=int(seconds % 1 * 1e9))
    status = Status(code=code.value[0], message="throttled by plan")
    status.details.add().Pack(RetryInfo(retry_delay=delay))
    data: bytes = status.SerializeToString()
    return data
