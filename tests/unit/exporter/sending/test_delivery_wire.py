"""Delivery over a real socket: poison, limits, crashes and throttling, request by request."""

from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

import pytest

from k8s_audit_otlp.exporter.backoff import Backoff
from k8s_audit_otlp.exporter.delivery import DeliveryOptions
from k8s_audit_otlp.otlp.record import uid_of
from tests.kit.backend import Backend
from tests.kit.grpc_backend import GrpcBackend
from tests.kit.senders import grpc_sender, http_sender
from tests.kit.steps import (
    Accept,
    Cut,
    Limit,
    PartialSuccess,
    Poison,
    ReceivedRequest,
    Refuse,
    Throttle,
)

FAST = DeliveryOptions(Backoff(0.001, 0.002, randomization=0.0))


@pytest.fixture(params=["http", "grpc"])
def wire(
    request: pytest.FixtureRequest, resource_scopes: dict[str, tuple[bytes, bytes]]
) -> Iterator[tuple[Any, ...]]:
    """Return a back end and a sender to it, over either transport."""
    if request.param == "http":
        with Backend() as backend:
            sender = http_sender(backend.logs_url, resource_scopes, timeout="5s")
            yield backend, sender
            sender.close()
    else:
        with GrpcBackend(max_message_bytes=64 << 20) as backend:
            over_grpc = grpc_sender(backend.target, resource_scopes)
            yield backend, over_grpc
            over_grpc.close()


def uids(records: Iterator[Any]) -> set[str]:
    return {uid_of(record) for record in records}


def make(record: Callable[..., Any], number: int, poison: set[int] | tuple[()] = ()) -> list[bytes]:
    bodies = dict.fromkeys(poison, "poison-pill")
    return [record(f"u{i}", body=bodies.get(i, "")) for i in range(number)]


@pytest.mark.parametrize("place", [0, 250, 499])
def test_a_poison_record_costs_at_most_20_requests(
    wire: tuple[Any, ...],
    harness: Callable[..., Any],
    record: Callable[..., Any],
    place: int,
) -> None:
    """From the first refusal to the dead letter, over HTTP and gRPC."""
    backend, sender = wire
    backend.plan = [Poison(b"poison-pill")]
    b = harness(sender, options=FAST)
    b.deliver(make(record, 500, {place}))
    b.look_after(30)
    assert uids(r for r, _ in b.letters.dead_lettered) == {f"u{place}"}
    assert len(backend.received.uids) == 499
    assert backend.received.duplicates == 0
    assert backend.requests_total <= 20


def test_two_poison_records_are_both_found(
    wire: tuple[Any, ...],
    harness: Callable[..., Any],
    record: Callable[..., Any],
) -> None:
    """And nothing else."""
    backend, sender = wire
    backend.plan = [Poison(b"poison-pill")]
    b = harness(sender, options=FAST)
    b.deliver(make(record, 500, {7, 431}))
    b.look_after(30)
    assert uids(r for r, _ in b.letters.dead_lettered) == {"u7", "u431"}
    assert len(backend.received.uids) == 498


@pytest.mark.parametrize("status", [403, 500])
def test_a_record_that_makes_the_back_end_fail_is_set_aside(
    wire: tuple[Any, ...],
    harness: Callable[..., Any],
    record: Callable[..., Any],
    status: int,
) -> None:
    """403 from a firewall, 500 from a crash: the others arrive, it waits its 15 minutes."""
    backend, sender = wire
    backend.plan = [Poison(b"poison-pill", status)]
    b = harness(sender, options=FAST)
    b.deliver(make(record, 100, {42}))
    assert len(backend.received.uids) == 99
    assert len(b.delivery.quarantine) == 1
    b.clock.advance(901)
    for i in range(3):
        b.deliver([record(f"later{i}")])
        b.look_after(2)
    assert uids(r for r, _ in b.letters.dead_lettered) == {"u42"}


def test_a_record_that_cuts_the_connection_is_set_aside(
    wire: tuple[Any, ...],
    harness: Callable[..., Any],
    record: Callable[..., Any],
) -> None:
    """The back end dies of it, or something before it hangs up."""
    backend, sender = wire
    backend.plan = lambda r: Cut() if b"poison-pill" in r.body else Accept()
    b = harness(sender, options=FAST)
    b.deliver(make(record, 100, {0}))
    assert len(backend.received.uids) == 99
    assert len(b.delivery.quarantine) == 1


def test_a_limit_is_learned(
    wire: tuple[Any, ...],
    harness: Callable[..., Any],
    record: Callable[..., Any],
) -> None:
    """413 or RESOURCE_EXHAUSTED: everything arrives, and the limit is known afterwards."""
    backend, sender = wire
    backend.plan = [Limit(50_000)]
    b = harness(sender, options=FAST)
    b.deliver([record(f"u{i}", size=1000) for i in range(200)])
    assert len(backend.received.uids) == 200
    assert backend.received.duplicates == 0
    assert b.limit.bytes <= 60_000
    assert b.letters.dead_lettered == []


def test_throttling_is_waited_out(
    wire: tuple[Any, ...],
    harness: Callable[..., Any],
    record: Callable[..., Any],
) -> None:
    """Retry-After or RetryInfo is a lower bound of the wait."""
    backend, sender = wire
    backend.plan = [Throttle(429, 7), Accept()]
    b = harness(sender, options=FAST)
    b.deliver(make(record, 5))
    assert len(backend.received.uids) == 5
    assert 7 <= b.waits[0] <= 7.7


def test_a_partial_success_is_settled_with_what_was_refused(
    wire: tuple[Any, ...],
    harness: Callable[..., Any],
    record: Callable[..., Any],
) -> None:
    """One request, no repeat."""
    backend, sender = wire
    backend.plan = [PartialSuccess(2, "too old")]
    b = harness(sender, options=FAST)
    b.deliver(make(record, 10))
    assert backend.requests_total == 1
    assert (b.tally.delivered, b.tally.refused) == (8, 2)
    assert b.letters.refused == [(2, 10, "too old")]


def test_a_back_end_that_refuses_everything_keeps_everything(
    wire: tuple[Any, ...],
    harness: Callable[..., Any],
    record: Callable[..., Any],
) -> None:
    """A wrong encoding, say; when it is mended all arrives."""
    backend, sender = wire
    backend.plan = [Refuse(400)]
    b = harness(sender, options=FAST)

    def mend() -> None:
        if len(b.waits) == 40:
            backend.plan = [Accept()]

    b.when_waiting = mend
    b.deliver(make(record, 100))
    b.look_after(3, every_s=60)
    assert b.letters.dead_lettered == []
    assert len(backend.received.uids) == 100
    assert b.offset == 100


def test_an_outage_in_the_middle_loses_nothing(
    harness: Callable[..., Any],
    record: Callable[..., Any],
    backend: Backend,
    resource_scopes: dict[str, tuple[bytes, bytes]],
) -> None:
    """The back end is stopped and started while a batch is searched."""
    sender = http_sender(backend.logs_url, resource_scopes, timeout="2s")
    backend.plan = [Poison(b"poison-pill")]
    b = harness(sender, options=FAST)
    asked = Event()

    def answer(request: ReceivedRequest) -> Any:
        if request.number == 6 and not asked.is_set():
            asked.set()
            return Cut()
        return Poison(b"poison-pill")

    backend.plan = answer
    b.deliver(make(record, 200, {150}))
    b.look_after(30)
    assert uids(r for r, _ in b.letters.dead_lettered) == {"u150"}
    assert len(backend.received.uids) == 199
    sender.close()
