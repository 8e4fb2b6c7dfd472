"""The same plans over gRPC."""

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from grpc._channel import _InactiveRpcError, _UnaryUnaryMultiCallable
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from tests.kit.backends.grpc_backend import SERVICE, GrpcBackend
from tests.kit.backends.steps import (
    Accept,
    Cut,
    Hang,
    PartialSuccess,
    Poison,
    Refuse,
    Throttle,
)


@pytest.fixture
def grpc_backend() -> Iterator[GrpcBackend]:
    with GrpcBackend(max_message_bytes=4096) as running:
        yield running


@pytest.fixture
def export(grpc_backend: GrpcBackend) -> Iterator[_UnaryUnaryMultiCallable]:
    with grpc.insecure_channel(grpc_backend.target) as channel:
        yield channel.unary_unary(f"/{SERVICE}/Export")


def _failure(
    export: _UnaryUnaryMultiCallable, body: bytes, timeout: float = 5
) -> _InactiveRpcError:
    with pytest.raises(grpc.RpcError) as caught:
        export(body, timeout=timeout)
    return caught.value


def test_records_arrive_packed_or_not(
    grpc_backend: GrpcBackend, export: _UnaryUnaryMultiCallable, export_request: Callable[..., Any]
) -> None:
    """Both are the same records; metadata is there as headers."""
    assert export(export_request("a"), metadata=(("x-key", "k"),), timeout=60) == b""
    export(export_request("b"), compression=grpc.Compression.Gzip, timeout=60)
    assert set(grpc_backend.received.uids) == {"a", "b"}
    assert grpc_backend.requests[0].headers["x-key"] == "k"


def test_throttling_carries_retry_info(
    grpc_backend: GrpcBackend, export: _UnaryUnaryMultiCallable, export_request: Callable[..., Any]
) -> None:
    """RESOURCE_EXHAUSTED with RetryInfo asks to come back; without it, it does not."""
    grpc_backend.plan = [Throttle(429, retry_after=1.5), Refuse(413), Accept()]
    failure = _failure(export, export_request("a"))
    assert failure.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    (detail,) = Status.FromString(
        dict(failure.trailing_metadata())["grpc-status-details-bin"]
    ).details
    info = RetryInfo()
    assert detail.Unpack(info)
    assert info.retry_delay.ToMilliseconds() == 1500
    failure = _failure(export, export_request("a"))
    assert failure.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "grpc-status-details-bin" not in dict(failure.trailing_metadata())
    export(export_request("a"), timeout=60)
    assert grpc_backend.received.uids == {"a": 1}


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code.value[0]], ids=str)
def test_every_code_can_be_had_by_its_number(
    grpc_backend: GrpcBackend,
    export: _UnaryUnaryMultiCallable,
    export_request: Callable[..., Any],
    code: grpc.StatusCode,
) -> None:
    """A refusal under 100 is gRPC's own status."""
    grpc_backend.plan = [Refuse(code.value[0])]
    assert _failure(export, export_request("a")).code() == code


def test_poison_and_partial_success(
    grpc_backend: GrpcBackend, export: _UnaryUnaryMultiCallable, export_request: Callable[..., Any]
) -> None:
    """Content decides as it does over HTTP."""
    grpc_backend.plan = [Poison(b"id-evil"), PartialSuccess(needle=b"id-b")]
    failure = _failure(export, export_request("evil"))
    assert failure.code() == grpc.StatusCode.INVALID_ARGUMENT
    reply = ExportLogsServiceResponse.FromString(export(export_request("a", "b"), timeout=60))
    assert reply.partial_success.rejected_log_records == 1
    assert grpc_backend.received.uids == {"a": 1}


def test_a_cut_call_may_have_stored(
    grpc_backend: GrpcBackend, export: _UnaryUnaryMultiCallable, export_request: Callable[..., Any]
) -> None:
    """The client sees UNAVAILABLE; the records are there all the same."""
    grpc_backend.plan = [Cut(accepted=True)]
    assert _failure(export, export_request("a")).code() == grpc.StatusCode.UNAVAILABLE
    assert grpc_backend.received.uids == {"a": 1}


def test_a_hanging_call_ends_by_its_deadline(
    grpc_backend: GrpcBackend, export: _UnaryUnaryMultiCallable, export_request: Callable[..., Any]
) -> None:
    """The client's deadline passes, and closing the back end does not wait."""
    grpc_backend.plan = [Hang()]
    failure = _failure(export, export_request("a"), timeout=0.2)
    assert failure.code() == grpc.StatusCode.DEADLINE_EXCEEDED


def test_too_large_a_message_never_reaches_the_plan(
    grpc_backend: GrpcBackend, export: _UnaryUnaryMultiCallable, export_request: Callable[..., Any]
) -> None:
    """The server's own limit answers RESOURCE_EXHAUSTED without RetryInfo."""
    failure = _failure(export, export_request(*map(str, range(200))))
    assert failure.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert grpc_backend.requests_total == 0


def test_stopped_and_started_on_the_same_port(
    grpc_backend: GrpcBackend, export: _UnaryUnaryMultiCallable, export_request: Callable[..., Any]
) -> None:
    """An outage, then the same address again."""
    grpc_backend.stop()
    assert _failure(export, export_request("a")).code() == grpc.StatusCode.UNAVAILABLE
    grpc_backend.start()
    export(export_request("a"), timeout=60, wait_for_ready=True)
    assert grpc_backend.received.uids == {"a": 1}
