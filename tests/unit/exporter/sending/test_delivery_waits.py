"""How long a delivery waits, what a partial success and a full dead letter do to it."""

from collections.abc import Callable
from typing import Any

import pytest

from k8s_audit_otlp.exporter.backoff import Backoff
from k8s_audit_otlp.exporter.delivery import DeliveryOptions
from k8s_audit_otlp.model import Delivered, Misconfigured, Retry
from tests.kit.delivery import DOWN, OK, poison_answers, records


def test_a_throttled_batch_waits_as_long_as_the_server_asks(harness: Callable[..., Any]) -> None:
    """Retry-After is a lower bound, with jitter on top of it."""
    answers = [Retry("429", after_s=17.0), OK]
    b = harness(lambda _: answers.pop(0))
    b.deliver(records(5))
    assert len(b.waits) == 1
    assert 17.0 <= b.waits[0] <= 17.0 * 1.1


def test_waits_grow_to_the_longest_and_stay_there(harness: Callable[..., Any]) -> None:
    """Back-off as configured, for ever."""
    state = {"up": False}
    b = harness(lambda _: OK if state["up"] else Retry("no connection", reached=False))
    b.when_waiting = lambda: state.update(up=len(b.waits) >= 12)
    b.deliver(records(5))
    assert b.waits[:5] == pytest.approx([5, 7.5, 11.25, 16.875, 25.3125])
    assert b.waits[5:] == [30.0] * 7


def test_nothing_new_is_let_through_while_a_request_waits(harness: Callable[..., Any]) -> None:
    """The gate is closed during back-off and open after it."""
    answers, seen = [DOWN, OK], []
    b = harness(lambda _: answers.pop(0))
    b.when_waiting = lambda: seen.append(b.gate.open)
    b.deliver(records(2))
    assert seen == [False]
    assert b.gate.open


def test_what_a_server_cannot_reach_is_never_suspected(harness: Callable[..., Any]) -> None:
    """No connection for days says nothing about records."""
    state = {"up": False}
    b = harness(lambda _: OK if state["up"] else Retry("no connection", reached=False))
    b.when_waiting = lambda: state.update(up=len(b.waits) >= 500)
    b.deliver(records(50))
    assert {len(a) for a in b.sender.asked} == {50}
    assert len(b.delivery.quarantine) == 0


def test_max_elapsed_time_means_dead_letter_and_never_the_floor(
    harness: Callable[..., Any],
) -> None:
    """What is given up is written down, and settles."""
    options = DeliveryOptions(Backoff(randomization=0.0), max_elapsed_s=60)
    b = harness(lambda _: DOWN, options=options)
    b.deliver(records(3))
    assert [r for r, _ in b.dead_letters.dead_lettered] == records(3)
    assert b.dead_letters.dead_lettered[0][1].startswith("max_elapsed_time: HTTP 503")
    assert b.offset == 3


def test_a_partial_success_is_settled_and_what_was_refused_is_written_down(
    harness: Callable[..., Any],
) -> None:
    """It is not sent again (the specification forbids it) and not counted as delivered."""
    b = harness(lambda _: Delivered(2, "too old"))
    b.deliver(records(10))
    assert len(b.sender.asked) == 1
    assert b.dead_letters.refused == [(2, 10, "too old")]
    assert (b.tally.delivered, b.tally.refused, b.tally.balance) == (8, 2, 0)


def test_a_partial_success_that_refuses_more_than_was_sent_refuses_what_was_sent(
    harness: Callable[..., Any],
) -> None:
    """A lying count does not break the balance."""
    b = harness(lambda _: Delivered(10**9, ""))
    b.deliver(records(10))
    assert (b.tally.delivered, b.tally.refused, b.tally.balance) == (0, 10, 0)


def test_bisecting_a_partial_success_finds_the_record(harness: Callable[..., Any]) -> None:
    """Opt-in: at the price of repeats the refused record itself is found."""
    sent = records(64)
    options = DeliveryOptions(Backoff(randomization=0.0), bisect_partial=True)
    b = harness(lambda asked: Delivered(1, "bad") if sent[9] in asked else OK, options=options)
    b.deliver(sent)
    b.look_after()
    assert [r for r, _ in b.dead_letters.dead_lettered] == [sent[9]]
    assert (b.tally.delivered, b.tally.dead_lettered, b.tally.balance) == (63, 1, 0)


def test_a_full_dead_letter_stalls_the_exporter_until_there_is_room(
    harness: Callable[..., Any],
) -> None:
    """Nothing settles that is not written down."""
    b = harness(lambda _: Delivered(1, "no"))
    b.dead_letters.room = False
    seen = []

    def later() -> None:
        seen.append((b.gate.open, b.gate.stalled, b.offset))
        b.dead_letters.room = len(seen) >= 3

    b.when_waiting = later
    b.deliver(records(4))
    assert [s[0] for s in seen] == [False] * 3
    assert "dead letter takes nothing: a.jsonl: full at 1500 bytes; make room" in seen[0][1]
    assert b.recorder.stalls == [s[1] for s in seen]  # else no line of the log says why
    assert [s[2] for s in seen] == [0, 0, 0]
    assert b.offset == 4
    assert b.gate.open


def test_a_stop_leaves_what_is_undecided_unsettled(harness: Callable[..., Any]) -> None:
    """A restart sends it again."""
    b = harness(lambda _: DOWN)
    b.when_waiting = b.stop.set
    b.deliver(records(4))
    assert b.offset == 0
    assert b.settled == []


def test_a_batch_whose_last_record_waits_is_freed(harness: Callable[..., Any]) -> None:
    """A record may wait for minutes: its neighbours do not hold memory meanwhile."""
    sent = records(100)
    b = harness(poison_answers({sent[50]}))
    in_flight = b.in_flight(sent)
    freed: list[int] = []
    in_flight.on_freed = freed.append
    size = in_flight.size
    b.delivery.deliver(in_flight)
    assert in_flight.batch.records == ()
    assert in_flight.size == len(sent[50]) == size - freed[0]


def test_a_wrong_setting_is_waited_for_long_from_the_first_time(
    harness: Callable[..., Any],
) -> None:
    """A wrong key is not mended within a second; a passing fault may be."""
    for answer, wait in ((Misconfigured("HTTP 401"), 25.6), (DOWN, 1.0)):
        answers = [answer, OK]
        options = DeliveryOptions(Backoff(1.0, 30.0, 1.5, 0.0))
        h = harness(lambda _, left=answers: left.pop(0), options=options)
        h.deliver(records(1))
        assert h.waits == [pytest.approx(wait, abs=0.1)]


def test_a_connection_that_fails_says_nothing_of_the_record_that_was_set_aside(
    harness: Callable[..., Any],
) -> None:
    """However often it fails, and whatever gets through in between, nobody has refused it."""
    sent, unreached = records(10), Retry("no connection", reached=False)
    answers = [Retry("HTTP 500")]
    b = harness(lambda asked: answers[0] if sent[3] in asked else Delivered())
    b.deliver(sent)
    assert len(b.sender.accepted) == 9
    answers[0] = unreached
    for number in range(60):
        b.deliver(records(1, 100 + number))
        b.look_after(1, every_s=60)
    assert b.dead_letters.dead_lettered == []
    answers[0] = Retry("HTTP 500")
    for number in range(60):
        b.deliver(records(1, 200 + number))
        b.look_after(1, every_s=60)
    assert [record for record, _ in b.dead_letters.dead_lettered] == [sent[3]]
