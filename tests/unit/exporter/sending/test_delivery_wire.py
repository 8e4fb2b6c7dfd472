"""Delivery over a real socket: poison, limits, crashes and throttling, request by request."""

from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

import pytest

from k8s_audit_otlp.exporter.backoff import Backoff
from k8s_audit_otlp.exporter.delivery import DeliveryOptions
from k8s_audit_otlp.otlp.record import uid_of
from tests.kit.backends.backend import Backend
from tests.kit.backends.grpc_backend import GrpcBackend
from tests.kit.backends.steps import (
    Accept,
    Cut,
    Limit,
    PartialSuccess,
    Poison,
    ReceivedRequest,
    Refuse,
    Throttle,
)
from tests.kit.senders import grpc_sender, http_sender

FAST = DeliveryOptions(Backoff(0.001, 0.002, randomization=0.0))


Make = Callable[..., Any]
Wire = Callable[[Any], Any]


@pytest.fixture(params=["http", "grpc"])
def wire(
    request: pytest.FixtureRequest,
    harness: Callable[..., Any],
    resource_scopes: dict[str, tuple[bytes, bytes]],
) -> Iterator[Wire]:
    """Give a harness that delivers to a back end with a plan, over either transport."""
    over_http = request.param == "http"
    with Backend() if over_http else GrpcBackend(max_message_bytes=64 << 20) as backend:
        if isinstance(backend, Backend):
            sender: Any = http_sender(backend.logs_url, resource_scopes, timeout="5s")
        else:
            sender = grpc_sender(backend.target, resource_scopes)

        def planned(plan: Any) -> Any:
            backend.plan, made = plan, harness(sender, options=FAST)
            made.backend = backend
            return made

        yield planned
        sender.close()


def uids(records: Iterator[Any]) -> set[str]:
    return {uid_of(record) for record in records}


def make(record: Make, number: int, poison: set[int] | tuple[()] = ()) -> list[bytes]:
    bodies = dict.fromkeys(poison, "poison-pill")
    return [record(f"u{i}", body=bodies.get(i, "")) for i in range(number)]


@pytest.mark.parametrize("place", [0, 250, 499])
def test_a_poison_record_costs_at_most_20_requests(wire: Wire, record: Make, place: int) -> None:
    """From the first refusal to the dead letter, over HTTP and gRPC."""
    b = wire([Poison(b"poison-pill")])
    b.deliver(make(record, 500, {place}))
    b.look_after(30)
    assert uids(r for r, _ in b.dead_letters.dead_lettered) == {f"u{place}"}
    assert len(b.backend.received.uids) == 499
    assert b.backend.received.duplicates == 0
    assert b.backend.requests_total <= 20


def test_two_poison_records_are_both_found(wire: Wire, record: Make) -> None:
    """And nothing else."""
    b = wire([Poison(b"poison-pill")])
    b.deliver(make(record, 500, {7, 431}))
    b.look_after(30)
    assert uids(r for r, _ in b.dead_letters.dead_lettered) == {"u7", "u431"}
    assert len(b.backend.received.uids) == 498


@pytest.mark.parametrize("status", [403, 500])
def test_a_record_that_makes_the_back_end_fail_is_set_aside(
    wire: Wire, record: Make, status: int
) -> None:
    """403 from a firewall, 500 from a crash: the others arrive, it waits its 15 minutes."""
    b = wire([Poison(b"poison-pill", status)])
    b.deliver(make(record, 100, {42}))
    assert len(b.backend.received.uids) == 99
    assert len(b.delivery.quarantine) == 1
    b.clock.advance(901)
    for i in range(3):
        b.deliver([record(f"later{i}")])
        b.look_after(2)
    assert uids(r for r, _ in b.dead_letters.dead_lettered) == {"u42"}


def test_a_record_that_cuts_the_connection_is_set_aside(wire: Wire, record: Make) -> None:
    """The back end dies of it, or something before it hangs up."""
    b = wire(lambda r: Cut() if b"poison-pill" in r.body else Accept())
    b.deliver(make(record, 100, {0}))
    assert len(b.backend.received.uids) == 99
    assert len(b.delivery.quarantine) == 1


def test_a_limit_is_learned(wire: Wire, record: Make) -> None:
    """413 or RESOURCE_EXHAUSTED: everything arrives, and the limit is known afterwards."""
    b = wire([Limit(50_000)])
    b.deliver([record(f"u{i}", size=1000) for i in range(200)])
    assert len(b.backend.received.uids) == 200
    assert b.backend.received.duplicates == 0
    assert b.limit.bytes <= 60_000
    assert b.dead_letters.dead_lettered == []


def test_throttling_is_waited_out(wire: Wire, record: Make) -> None:
    """Retry-After or RetryInfo is a lower bound of the wait."""
    b = wire([Throttle(429, 7), Accept()])
    b.deliver(make(record, 5))
    assert len(b.backend.received.uids) == 5
    assert 7 <= b.waits[0] <= 7.7


def test_a_partial_success_is_settled_with_what_was_refused(wire: Wire, record: Make) -> None:
    """One request, no repeat."""
    b = wire([PartialSuccess(2, "too old")])
    b.deliver(make(record, 10))
    assert b.backend.requests_total == 1
    assert (b.tally.delivered, b.tally.refused) == (8, 2)
    assert b.dead_letters.refused == [(2, 10, "too old")]


def test_a_back_end_that_refuses_everything_keeps_everything(wire: Wire, record: Make) -> None:
    """A wrong encoding, say; when it is mended all arrives."""
    b = wire([Refuse(400)])

    def mend() -> None:
        if len(b.waits) == 40:
            b.backend.plan = [Accept()]

    b.when_waiting = mend
    b.deliver(make(record, 100))
    b.look_after(3, every_s=60)
    assert b.dead_letters.dead_lettered == []
    assert len(b.backend.received.uids) == 100
    assert b.offset == 100


def test_an_outage_in_the_middle_loses_nothing(wire: Wire, record: Make) -> None:
    """The back end is stopped and started while a batch is searched."""
    asked = Event()

    def answer(request: ReceivedRequest) -> Any:
        if request.number == 6 and not asked.is_set():
            asked.set()
            return Cut()
        return Poison(b"poison-pill")

    b = wire(answer)
    b.deliver(make(record, 200, {150}))
    b.look_after(30)
    assert uids(r for r, _ in b.dead_letters.dead_lettered) == {"u150"}
    assert len(b.backend.received.uids) == 199
