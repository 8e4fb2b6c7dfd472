"""What a back end would not show goes to the dead letter; the rest is delivered."""

from collections.abc import Callable
from typing import Any

import pytest

from k8s_audit_otlp.exporter.backoff import Backoff
from k8s_audit_otlp.exporter.delivery import Delivery, DeliveryOptions
from k8s_audit_otlp.exporter.in_flight import InFlight
from k8s_audit_otlp.exporter.learned_limits import AgeWindow, window_of
from k8s_audit_otlp.model import Batch, Delivered, Span
from k8s_audit_otlp.otlp.limits import Limits
from k8s_audit_otlp.otlp.record import encode_record
from k8s_audit_otlp.state.content_hash import entry_of
from tests.kit.delivery import Harness

HOUR = 3600 * 10**9
NOW = 1_767_323_200 * 10**9
LIMITS = Limits(max_age_s=18 * 3600)


def at(age_h: float, number: int = 0) -> bytes:
    return encode_record(NOW - int(age_h * HOUR), NOW, 9, "", f"{number}", {})


def batch_of(records: list[bytes], first_ns: int = 0, last_ns: int = 0) -> Batch:
    return Batch("r", Span(1, 0, 100), records, first_ns=first_ns, last_ns=last_ns)


def test_only_what_is_too_old_is_taken_out() -> None:
    """The order of the others stays; an event without a time is not old."""
    untimed = encode_record(0, NOW, 9, "", "", {})
    batch = batch_of([at(19), at(17), untimed, at(18.1), at(1)])
    batch, old = AgeWindow(LIMITS, now_ns=lambda: NOW).split(batch)
    assert old == [at(19), at(18.1)]
    assert batch.records == [at(17), untimed, at(1)]


def test_a_young_batch_is_not_looked_through() -> None:
    """The time of its first event tells."""
    records = [at(1, n) for n in range(3)]
    batch = batch_of(records, NOW - HOUR)
    assert AgeWindow(LIMITS, now_ns=lambda: NOW).split(batch) == (batch, ())
    assert batch.records is records


def test_a_batch_is_looked_through_where_its_first_event_is_little_younger() -> None:
    """Events are only about in the order of their times."""
    batch = batch_of([at(17.9), at(18.01)], NOW - int(17.9 * HOUR))
    assert AgeWindow(LIMITS, now_ns=lambda: NOW).split(batch)[1] == [at(18.01)]


def test_what_is_too_far_ahead_is_taken_out_as_well() -> None:
    """As by an apiserver whose clock is wrong; the last event of the batch tells."""
    limits = Limits(max_age_s=18 * 3600, max_ahead_s=48 * 3600)
    records = [at(1), at(-47), at(-49), at(-9000)]
    young = batch_of(records[:2], NOW - HOUR, NOW + 47 * HOUR)
    assert AgeWindow(limits, now_ns=lambda: NOW).split(young) == (young, ())
    batch = batch_of(records, NOW - HOUR, NOW + 9000 * HOUR)
    left, ahead = AgeWindow(limits, now_ns=lambda: NOW).split(batch)
    assert (left.records, ahead) == (records[:2], records[2:])
    assert AgeWindow(LIMITS, now_ns=lambda: NOW).split(batch) == (batch, ())


@pytest.mark.parametrize(
    ("limits", "choice", "looks"),
    [(LIMITS, "dead_letter", True), (LIMITS, "send", False), (Limits(), "dead_letter", False)],
)
def test_it_is_a_choice_and_needs_a_window(limits: Limits, choice: Any, looks: bool) -> None:
    """Otherwise everything is sent, at no cost."""
    assert (window_of(limits, choice) is not None) == looks


@pytest.fixture
def windowed(harness: Callable[..., Any]) -> Harness:
    """Put a window before a delivery to a back end that takes everything."""
    b: Harness = harness(lambda _: Delivered())
    b.delivery = Delivery(
        b.sender, b.gate, b.limit, b.dead_letters, b.recorder, DeliveryOptions(Backoff()),
        stop=b.stop, wait=b._wait, window=AgeWindow(LIMITS, now_ns=lambda: NOW),
    )  # fmt: skip
    return b


def test_the_old_are_dead_lettered_and_the_young_delivered(windowed: Harness) -> None:
    """The position passes both, and each is counted for what became of it."""
    in_flight = windowed.deliver([at(20), at(1), at(19), at(2)])
    assert (windowed.sender.accepted, in_flight.too_old) == ([at(1), at(2)], ())
    assert windowed.dead_letters.dead_lettered == [
        (record, "older than the 64800 s that the back end takes") for record in (at(20), at(19))
    ]
    assert (windowed.tally.delivered, windowed.tally.dead_lettered) == (2, 2)
    assert windowed.offset == 4


def test_a_batch_of_old_records_settles_without_a_request(windowed: Harness) -> None:
    """There is nothing to ask."""
    windowed.deliver([at(20), at(19)])
    assert (windowed.sender.asked, windowed.sender.prepared) == ([], {})
    assert windowed.offset == 2


def test_of_the_old_no_receipt_says_that_they_were_delivered(windowed: Harness) -> None:
    """The digests of the others stay, in their order."""
    records = [at(20), at(1), at(19), at(2)]
    entries = [entry_of(number, b"u", b"") for number in range(4)]
    batch = Batch("k8s_audit", Span(1, 0, 4), records, digests=b"".join(entries))
    in_flight = InFlight(batch, lambda *_: None, 0)
    windowed.delivery.prepare(in_flight)
    windowed.delivery.deliver(in_flight)
    assert in_flight.digests() == entries[1] + entries[3]


def test_nothing_settles_before_the_dead_letter_is_written(windowed: Harness) -> None:
    """A full dead letter stalls; when the agent stops meanwhile, the position stays."""
    windowed.dead_letters.room = False
    windowed.when_waiting = windowed.stop.set
    windowed.deliver([at(20), at(1)])
    assert windowed.offset == 0
    assert not windowed.sender.asked
