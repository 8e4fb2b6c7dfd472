"""The gRPC transport against a real back end: the table of answers, TLS, metadata, limits."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from k8s_audit_otlp.config.exporters import OtlpGrpc
from k8s_audit_otlp.config.extensions import BearerToken
from k8s_audit_otlp.model import Delivered, Misconfigured, Rejected, Retry, TooLarge
from k8s_audit_otlp.transport.credentials import FreshCredentials
from k8s_audit_otlp.transport.grpc import address_of, channel_settings, retry_info_s
from tests.kit.backends.grpc_backend import SERVICE, GrpcBackend
from tests.kit.backends.steps import (
    Accept,
    Cut,
    Hang,
    Limit,
    PartialSuccess,
    Refuse,
    Throttle,
)
from tests.kit.senders import read_from
from tests.unit.transport.grpc.grpc_sender import grpc_backend, post, sender

__all__ = ["grpc_backend", "sender"]

CODE = {code.name: code.value[0] for code in grpc.StatusCode}


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_records_arrive_with_their_resource(
    sender: Callable[..., Any],
    grpc_backend: GrpcBackend,
    record: Callable[..., Any],
    compression: str,
) -> None:
    """One call carries the resource and every record."""
    assert post(sender(compression=compression), record, "a", "b") == Delivered()
    assert [r.uid for r in grpc_backend.received.records] == ["a", "b"]
    assert grpc_backend.received.records[0].resource == {"service.name": "k8s-audit"}
    assert "k8s-audit-otlp/" in grpc_backend.requests[0].headers["user-agent"]


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_the_library_packs_in_time_of_its_own(sender: Any, record: Any, compression: str) -> None:
    """On a busy node packing takes as long as the back end has to answer."""
    left_s = []

    def export(_request: bytes, context: Any) -> bytes:
        left_s.append(context.time_remaining())
        return b""

    handler = grpc.method_handlers_generic_handler(
        SERVICE, {"Export": grpc.unary_unary_rpc_method_handler(export)}
    )
    settings = [("grpc.max_receive_message_length", -1)]
    server = grpc.server(ThreadPoolExecutor(1), [handler], options=settings)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    one = sender(f"127.0.0.1:{port}", compression=compression, timeout="5s")
    assert post(one, record, "a" * 5_000_000) == Delivered()
    server.stop(None)
    assert (left_s[0] > 5) is (compression == "gzip")


def test_metadata_that_the_back_end_quotes_is_masked(
    sender: Any, grpc_backend: Any, record: Any
) -> None:
    """In an error and in a partial success."""
    one = sender(headers={"x-api-key": "plan refuses", "x-b": "Odd KEYecho"})
    for step, said in (
        (Refuse(CODE["INVALID_ARGUMENT"]), "the REDACTED with 3"),
        (PartialSuccess(1, "invalid Odd KEYecho and KEYecho"), "invalid REDACTED and REDACTED"),
    ):
        grpc_backend.plan = [step]
        assert said in str(post(one, record))


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        ("CANCELLED DEADLINE_EXCEEDED ABORTED OUT_OF_RANGE UNAVAILABLE DATA_LOSS", Retry),
        ("UNKNOWN INTERNAL", Retry),
        ("INVALID_ARGUMENT", Rejected),
        ("RESOURCE_EXHAUSTED", TooLarge),
        ("UNAUTHENTICATED PERMISSION_DENIED UNIMPLEMENTED NOT_FOUND", Misconfigured),
        ("FAILED_PRECONDITION ALREADY_EXISTS", Misconfigured),
    ],
)
def test_each_code_means_what_its_row_says(
    sender: Callable[..., Any],
    grpc_backend: GrpcBackend,
    record: Callable[..., Any],
    names: str,
    kind: type,
) -> None:
    """The table of answers, met on a socket."""
    s = sender()
    for name in names.split():
        grpc_backend.plan = [Refuse(CODE[name])]
        outcome = post(s, record)
        assert type(outcome) is kind, name
        assert not isinstance(outcome, Delivered)
        assert f"gRPC {name}: the plan refuses" in outcome.why
        assert not isinstance(outcome, Retry) or outcome.reached


@pytest.mark.parametrize("status", [429, 503])
def test_retry_info_says_how_long_to_wait(
    sender: Callable[..., Any], grpc_backend: GrpcBackend, record: Callable[..., Any], status: int
) -> None:
    """RESOURCE_EXHAUSTED with it is back-pressure; any retried code may carry it."""
    grpc_backend.plan = [Throttle(status, 2.5)]
    outcome = post(sender(), record)
    assert isinstance(outcome, Retry)
    assert outcome.after_s == 2.5


def test_a_partial_success_says_how_many_were_refused_and_why(
    sender: Callable[..., Any], grpc_backend: GrpcBackend, record: Callable[..., Any]
) -> None:
    """OK is no delivery of what was refused."""
    grpc_backend.plan = [PartialSuccess(2, "too old"), PartialSuccess(0)]
    s = sender()
    assert post(s, record, "a", "b", "c") == Delivered(2, "too old")
    assert post(s, record, "d") == Delivered()


def test_a_message_over_the_servers_limit_is_too_large(
    sender: Callable[..., Any], grpc_backend: GrpcBackend, record: Callable[..., Any]
) -> None:
    """The library's own refusal at 4 MiB, and a back end's."""
    s = sender(compression="none")
    assert isinstance(s.send(s.prepare("k8s_audit", [record("a", size=5 << 20)])), TooLarge)
    grpc_backend.plan = [Limit(100, 413)]
    assert isinstance(post(s, record), TooLarge)


def test_a_cut_call_may_have_reached_the_back_end(
    sender: Callable[..., Any], grpc_backend: GrpcBackend, record: Callable[..., Any]
) -> None:
    """UNAVAILABLE from a server is not the same as no server."""
    grpc_backend.plan = [Cut()]
    outcome = post(sender(), record)
    assert isinstance(outcome, Retry)
    assert outcome.reached


def test_nothing_listens_is_not_the_records_fault(
    sender: Callable[..., Any], grpc_backend: GrpcBackend, record: Callable[..., Any]
) -> None:
    """`reached` is false, so that an outage is never searched for poison."""
    target = grpc_backend.target
    grpc_backend.stop()
    outcome = post(sender(target), record)
    assert isinstance(outcome, Retry)
    assert ": no connection: gRPC UNAVAILABLE: " in outcome.why
    assert not outcome.reached


def test_it_connects_again_soon_after_an_outage(
    sender: Callable[..., Any], grpc_backend: GrpcBackend, record: Callable[..., Any]
) -> None:
    """The channel's own back-off does not add minutes to ours."""
    s = sender()
    assert post(s, record) == Delivered()
    grpc_backend.stop()
    for _ in range(3):
        assert isinstance(post(s, record), Retry)
    grpc_backend.start()
    end = time.monotonic() + 60
    while not isinstance(post(s, record), Delivered):
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_call_ends_at_its_deadline(
    sender: Callable[..., Any], grpc_backend: GrpcBackend, record: Callable[..., Any]
) -> None:
    """And may be sent again."""
    grpc_backend.plan = [Hang()]
    started = time.monotonic()
    outcome = post(sender(timeout="0.4s"), record)
    assert isinstance(outcome, Retry)
    assert time.monotonic() - started < 30


def test_headers_become_metadata_in_lower_case(
    sender: Callable[..., Any],
    grpc_backend: GrpcBackend,
    record: Callable[..., Any],
    tmp_path: Path,
) -> None:
    """Read anew for every call; credentials as well."""
    token = tmp_path / "token"
    token.write_text("one")
    shows = FreshCredentials(BearerToken(filename=str(token)).headers)
    s = sender(headers={"X-Scope-OrgID": "tenant"}, credentials=shows)
    post(s, record)
    token.write_text("two")
    post(s, record)
    assert grpc_backend.requests[0].headers["x-scope-orgid"] == "tenant"
    shown = [r.headers["authorization"] for r in grpc_backend.requests]
    assert shown == ["Bearer one", "Bearer two"]


def test_a_header_that_metadata_cannot_carry_is_not_sent(
    sender: Callable[..., Any],
    grpc_backend: GrpcBackend,
    record: Callable[..., Any],
    tmp_path: Path,
) -> None:
    """And its value is not told."""
    s = sender(headers={"X-Key": read_from(tmp_path / "key")})
    (tmp_path / "key").write_text("s3cret\ns3cret")
    outcome = post(s, record)
    assert outcome == Misconfigured("the header X-Key holds a sign that gRPC cannot carry")
    assert grpc_backend.requests_total == 0


def test_nothing_secret_reaches_an_outcome(
    sender: Callable[..., Any], grpc_backend: GrpcBackend, record: Callable[..., Any]
) -> None:
    """Not the metadata, whatever goes wrong."""
    s = sender(headers={"x-key": "s3cret"}, timeout="0.5s")
    told = [repr(s), repr(s._exporter)]
    for step in (Refuse(401), Refuse(400), Cut(), Hang()):
        grpc_backend.plan = [step]
        told.append(repr(post(s, record)))
    grpc_backend.stop()
    told.append(repr(post(s, record)))
    assert all("s3cret" not in text for text in told)


@pytest.mark.parametrize(
    ("target", "address"),
    [
        ("collector:4317", "collector:4317"),
        ("http://collector:4317", "collector:4317"),
        ("https://collector", "collector:443"),
        ("HTTPS://collector:4317/", "collector:4317"),
        ("http://[::1]:4317", "[::1]:4317"),
        ("dns:///collector:4317", "dns:///collector:4317"),
        ("unix:/run/otel.sock", "unix:/run/otel.sock"),
    ],
)
def test_endpoints_have_a_scheme_or_none(target: str, address: str) -> None:
    """The scheme says whether there is TLS; gRPC resolves the rest."""
    assert address_of(target) == address


@pytest.mark.parametrize("details", [b"", b"\xff\xff", "text", None])
def test_details_that_cannot_be_read_are_no_retry_info(details: bytes | str | None) -> None:
    """Garbage in a trailer is passed over."""
    assert retry_info_s([("grpc-status-details-bin", details)]) is None


def test_keepalive_and_authority_do_not_disturb_a_call(
    sender: Callable[..., Any], record: Callable[..., Any]
) -> None:
    """Their settings are accepted by the library."""
    s = sender(
        keepalive={"time": "10s", "permit_without_stream": True},
        authority="logs.test",
        user_agent="fleet/1",
    )
    assert post(s, record) == Delivered()


def test_an_idle_connection_is_pinged_where_a_time_is_given() -> None:
    """0 is none, as it is without the block."""
    told = []
    for keepalive in (None, {"time": "0s"}, {"time": "10s"}):
        block = OtlpGrpc.model_validate({"endpoint": "collector:4317", "keepalive": keepalive})
        told.append(dict(channel_settings(block)).get("grpc.keepalive_time_ms"))
    assert told == [None, None, 10_000]


def test_accepting_goes_on_after_a_refusal(
    sender: Callable[..., Any], grpc_backend: GrpcBackend, record: Callable[..., Any]
) -> None:
    """The channel survives errors."""
    grpc_backend.plan = [Refuse(400), Accept()]
    s = sender()
    assert isinstance(post(s, record), Rejected)
    assert post(s, record) == Delivered()
