"""Delivery against made-up back ends: whatever they do, every record ends in exactly one place."""

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from k8s_audit_otlp.exporter.backoff import Backoff
from k8s_audit_otlp.exporter.delivery import DeliveryOptions
from k8s_audit_otlp.model import Delivered, Misconfigured, Outcome, Rejected, Retry, TooLarge
from k8s_audit_otlp.otlp.record import uid_of
from tests.kit.backends.backend import Backend
from tests.kit.backends.steps import Cut, Delay, Limit, Poison, ReceivedRequest, Refuse, Throttle
from tests.kit.senders import http_sender

REFUSALS = [
    Rejected("400"),
    Misconfigured("403"),
    Retry("500"),
    Retry("503", after_s=2.0),
    Retry("the connection broke"),
]
PASSING = [
    Retry("503"),
    Retry("429", after_s=3.0),
    Retry("no connection", reached=False),
    Misconfigured("401"),
]
FINAL = [Rejected("400"), TooLarge("413")]
WINDOW = st.tuples(st.integers(1, 40), st.integers(1, 30))


@st.composite
def scenarios(draw: Any) -> Any:
    """Draw batches, poison among them, a limit, and for which requests there is trouble."""
    sizes = draw(st.lists(st.integers(1, 60), min_size=1, max_size=6))
    total = sum(sizes)
    poison = draw(st.dictionaries(st.integers(0, total - 1), st.sampled_from(REFUSALS), max_size=6))
    limit = draw(st.none() | st.integers(1, 50))
    # A back end that says 400 now and then to anything cannot be told from one that means it.
    windows = draw(st.lists(st.tuples(WINDOW, st.sampled_from(PASSING)), max_size=3))
    windows += draw(st.lists(st.tuples(WINDOW, st.sampled_from(FINAL)), max_size=1))
    trouble = {
        number: outcome
        for (start, length), outcome in windows
        for number in range(start, start + length)
    }
    return sizes, poison, limit, trouble


def back_end(
    poison: dict[bytes, Outcome],
    limit: int | None,
    trouble: dict[int, Outcome],
) -> Callable[..., Any]:
    """Answer as the scenario says; `trouble` is by the number of the request."""
    number = 0

    def answer(asked: Any) -> Any:
        nonlocal number
        number += 1
        if (passing := trouble.get(number)) is not None:
            return passing
        if limit and len(asked) > limit:
            return TooLarge("413")
        bad = [poison[r] for r in asked if r in poison]
        return bad[0] if bad else Delivered()

    return answer


@settings(max_examples=75)
@given(scenario=scenarios())
def test_every_record_ends_in_exactly_one_place(harness_of: Any, scenario: Any) -> None:
    """Innocent records arrive once, poison goes to the dead letter, and the position moves on."""
    sizes, bad, limit, trouble = scenario
    names = [b"%05d" % i for i in range(sum(sizes))]
    poison = {names[i]: refusal for i, refusal in bad.items()}
    b = harness_of(back_end(poison, limit, trouble))
    at = 0
    for size in sizes:
        b.deliver(names[at : at + size])
        b.look_after(1)
        at += size
    for i in range(200):  # later traffic, for as long as it takes
        b.deliver([b"later %d" % i])
        b.look_after(1, every_s=30)
    accepted = Counter(r for r in b.sender.accepted if not r.startswith(b"later"))
    assert not b.stop.is_set()
    assert set(accepted.values()) <= {1}
    assert set(accepted) == set(names) - set(poison)
    assert Counter(r for r, _ in b.dead_letters.dead_lettered) == Counter(list(poison))
    assert len(b.delivery.quarantine) == 0
    assert b.offset == len(names) + 200
    assert b.tally.balance == 0
    assert b.gate.open


def test_four_senders_at_once_lose_nothing(
    harness: Callable[..., Any],
    backend: Backend,
    resource_scopes: dict[str, tuple[bytes, bytes]],
    record: Callable[..., Any],
) -> None:
    """Threads that share a delivery, against a back end in every kind of trouble."""
    sender = http_sender(backend.logs_url, resource_scopes, timeout="5s")
    fast = DeliveryOptions(Backoff(0.001, 0.002, randomization=0.0))
    b = harness(sender, options=fast)
    honest = Poison(b"poison-pill", otherwise=Limit(20_000))
    steps = [Throttle(429), Cut(), Refuse(503), Delay(0.005, honest)]

    def plan(request: ReceivedRequest) -> Any:
        if request.number % 7 == 0:
            return steps[request.number // 7 % len(steps)]
        return honest

    backend.plan = plan
    requests = []
    for n in range(40):
        records = [record(f"{n}-{i}", size=300) for i in range(50)]
        if n % 5 == 0:
            records[n % 50] = record(f"bad-{n}", body="poison-pill")
        requests.append(b.in_flight(records))
    todo = iter(requests)
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                in_flight = next(todo, None)
            if in_flight is None:
                return
            b.delivery.deliver(in_flight)
            b.delivery.retry_quarantined()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    b.look_after(20)
    assert {uid_of(r) for r, _ in b.dead_letters.dead_lettered} == {
        f"bad-{n}" for n in range(0, 40, 5)
    }
    assert len(backend.received.uids) == 40 * 50 - 8
    assert b.tally.balance == 0
    assert b.offset == 40 * 50
    sender.close()
