"""What becomes of a batch when the back end says no, against scripted back ends."""

from collections.abc import Callable
from typing import Any

import pytest

from k8s_audit_otlp.model import Misconfigured, Outcome, Rejected, Retry, TooLarge
from tests.kit.delivery import DOWN, NO, OK, poison_answers, records


@pytest.mark.parametrize("place", [0, 1, 249, 250, 251, 498, 499])
def test_the_poison_record_alone_ends_in_the_dead_letter(
    harness: Callable[..., Any], place: int
) -> None:
    """One record in 500 that answers 400 is set aside, the others arrive, in <= 20 requests."""
    sent = records(500)
    b = harness(poison_answers({sent[place]}))
    b.deliver(sent)
    b.deliver(records(10, 500))
    b.look_after()
    assert b.dead_letters.dead_lettered == [(sent[place], "HTTP 400")]
    assert len(b.sender.accepted) == len(set(b.sender.accepted)) == 509
    assert len(b.sender.asked) - 1 <= 20  # the second batch is one request
    assert b.offset == 510
    assert b.tally.balance == 0
    assert (b.tally.delivered, b.tally.dead_lettered) == (509, 1)


def test_every_answer_is_told_with_what_was_asked_and_how_long_it_took(
    harness: Callable[..., Any],
) -> None:
    """Also of a record that is asked about once more: metrics and who watches live on it."""
    sent = records(4)
    poison = poison_answers({sent[2]})

    def answer(asked: tuple[bytes, ...]) -> Outcome:
        b.clock.advance(0.25)
        outcome: Outcome = poison(asked)
        return outcome

    b = harness(answer)
    b.deliver(sent)
    b.look_after()
    assert [told[1] for told in b.recorder.answers] == [list(asked) for asked in b.sender.asked]
    assert [told[0] for told in b.recorder.answers][:2] == [NO, OK]
    sizes = [sum(map(len, asked)) for asked in b.sender.asked]
    assert [told[2:] for told in b.recorder.answers] == [(size, 0.25) for size in sizes]


def test_two_poison_records_end_in_the_dead_letter_and_nothing_else(
    harness: Callable[..., Any],
) -> None:
    """Two searches in one batch."""
    sent = records(500)
    bad = {sent[100], sent[101]}
    b = harness(poison_answers(bad))
    b.deliver(sent)
    b.look_after()
    assert {r for r, _ in b.dead_letters.dead_lettered} == bad
    assert len(b.sender.accepted) == 498
    assert b.offset == 500


def test_what_is_delivered_is_not_delivered_twice_by_a_search(harness: Callable[..., Any]) -> None:
    """Acceptances while searching count once."""
    sent = records(64)
    b = harness(poison_answers({sent[5], sent[40]}))
    b.deliver(sent)
    assert len(b.sender.accepted) == len(set(b.sender.accepted)) == 62


@pytest.mark.parametrize("refusal", [NO, TooLarge("413"), Misconfigured("415"), DOWN])
def test_a_back_end_that_refuses_everything_costs_no_record(
    harness: Callable[..., Any], refusal: Outcome
) -> None:
    """A wrong encoding, a proxy, an age window: nothing goes to the dead letter, for a day."""
    b = harness(lambda _: refusal)
    start = b.clock.now
    b.when_waiting = lambda: b.clock.now > start + 86_400 and b.stop.set()
    b.deliver(records(500))
    assert b.stop.is_set()
    assert b.dead_letters.dead_lettered == []
    assert b.offset == 0
    assert len(b.waits) > 1000  # it backed off, and did not hammer
    assert len(b.sender.asked) < len(b.waits) + 100


def test_everything_is_delivered_once_the_back_end_takes_it_again(
    harness: Callable[..., Any],
) -> None:
    """After hours of refusal the records that were set aside go out like all others."""
    now_ok: list[int] = []
    b = harness(lambda _: OK if now_ok else NO)
    b.when_waiting = lambda: len(b.waits) == 200 and now_ok.append(1)  # type: ignore[func-returns-value] # a step of the lambda
    b.deliver(records(500))
    b.look_after(3, every_s=60)
    assert b.dead_letters.dead_lettered == []
    assert sorted(b.sender.accepted) == records(500)
    assert b.offset == 500


def test_refusal_that_begins_in_the_middle_costs_no_record(harness: Callable[..., Any]) -> None:
    """Between two batches the back end starts to refuse all: what it took before proves nothing."""
    b = harness(lambda asked: OK if asked[0] < records(1, 500)[0] else NO)
    b.deliver(records(500))
    b.when_waiting = lambda: len(b.waits) > 300 and b.stop.set()
    b.deliver(records(500, 500))
    b.stop.clear()
    b.look_after(50, every_s=60)
    assert b.dead_letters.dead_lettered == []


def test_an_acceptance_that_began_before_the_refusal_proves_nothing(
    harness: Callable[..., Any],
) -> None:
    """A slow answer of a request sent earlier must not condemn a record refused since."""
    b = harness(lambda _: NO)
    number = b.delivery.quarantine.begin()
    b.stop.clear()
    b.deliver(records(1))
    b.delivery.quarantine.accepted(number)
    b.look_after(10, every_s=60)
    assert b.dead_letters.dead_lettered == []


@pytest.mark.parametrize(
    "refusal", [Misconfigured("HTTP 403"), Retry("HTTP 500"), Retry("the connection broke")]
)
def test_a_record_that_trips_the_back_end_whatever_the_code_is_set_aside(
    harness: Callable[..., Any], refusal: Retry | Misconfigured
) -> None:
    """After five failures the batch is searched; the stream goes on; it is dead-lettered late."""
    sent = records(500)
    bad = sent[123]
    b = harness(poison_answers({bad}, refusal))
    b.deliver(sent)
    assert len(b.sender.accepted) == 499
    assert len(b.delivery.quarantine) == 1
    assert [len(a) for a in b.sender.asked[:6]] == [500] * 5 + [1]
    started = b.clock.now
    while b.clock.now < started + 850:
        b.deliver(records(1, int(b.clock.now)))
        b.look_after(1, every_s=10)
    assert b.dead_letters.dead_lettered == []
    for _ in range(10):
        b.deliver(records(1, int(b.clock.now)))
        b.look_after(1, every_s=10)
    assert [r for r, _ in b.dead_letters.dead_lettered] == [bad]
    assert b.tally.balance == 0


def test_a_record_that_crashes_the_back_end_is_found_although_it_is_down_in_between(
    harness: Callable[..., Any],
) -> None:
    """Each crash takes the back end away for two requests; the search goes on where it stood."""
    sent = records(100)
    state = {"down": 0}

    def answer(asked: Any) -> Any:
        if state["down"]:
            state["down"] -= 1
            return Retry("no connection", reached=False)
        if sent[31] in asked:
            state["down"] = 2
            return Retry("the connection broke")
        return OK

    b = harness(answer)
    b.deliver(sent)
    assert len(b.sender.accepted) == 99
    assert len(b.delivery.quarantine) == 1


def test_an_outage_of_hours_sets_little_aside_and_buries_nothing(
    harness: Callable[..., Any],
) -> None:
    """503 from a load balancer for hours, then back: all arrives, in few requests."""
    state = {"up": False}
    b = harness(lambda _: OK if state["up"] else DOWN)
    start = b.clock.now
    b.when_waiting = lambda: state.update(up=b.clock.now > start + 8 * 3600)
    b.deliver(records(500))
    b.look_after(3, every_s=60)
    assert sorted(b.sender.accepted) == records(500)
    assert b.recorder.apart == 0, "who was told that one waits is told that it has arrived"
    assert b.dead_letters.dead_lettered == []
    assert b.limit.bytes == 900_000  # an outage says nothing about sizes


@pytest.mark.parametrize("refusal", [NO, Misconfigured("HTTP 403"), Retry("HTTP 500")])
def test_poison_in_low_traffic_does_not_block_the_stream(
    harness: Callable[..., Any], refusal: Outcome
) -> None:
    """A batch of one poison record is set aside; the next batch goes out and proves it."""
    b = harness(poison_answers({b"bad"}, refusal))
    b.deliver([b"bad"])
    assert b.gate.open
    for i in range(200):
        b.deliver(records(1, i))
        b.look_after(1, every_s=10)
    assert [r for r, _ in b.dead_letters.dead_lettered] == [b"bad"]
    assert len(b.sender.accepted) == 200


@pytest.mark.parametrize("refusal", [NO, Misconfigured("HTTP 403")])
def test_many_poison_batches_in_a_row_do_not_block_the_stream(
    harness: Callable[..., Any], refusal: Misconfigured | Rejected
) -> None:
    """Thirty batches of one poison record each and nothing else: the next good one frees all."""
    bad = {b"bad %d" % i for i in range(30)}
    b = harness(poison_answers(bad, refusal))
    for one in sorted(bad):
        b.deliver([one])
    assert b.dead_letters.dead_lettered == []
    for i in range(300):
        b.deliver(records(1, i))
        b.look_after(1, every_s=10)
    assert {r for r, _ in b.dead_letters.dead_lettered} == bad


def test_a_batch_of_two_poison_records_does_not_block_the_stream(
    harness: Callable[..., Any],
) -> None:
    """Nothing in the batch can prove that the back end is up: both are set aside."""
    b = harness(poison_answers({b"bad 1", b"bad 2"}, Misconfigured("HTTP 403")))
    b.deliver([b"bad 1", b"bad 2"])
    assert len(b.delivery.quarantine) == 2
    assert b.dead_letters.dead_lettered == []


def test_the_ninth_refusal_in_a_row_waits(harness: Callable[..., Any]) -> None:
    """Eight records are set aside at once, then the exporter backs off between them."""
    b = harness(lambda _: NO)
    b.when_waiting = b.stop.set
    b.deliver(records(500))
    assert len(b.delivery.quarantine) == 8
    assert len(b.sender.asked) <= 20
    assert "every record is refused" in b.gate.last_error


def test_poison_at_the_very_end_of_the_log_is_buried_after_it_was_asked_about_again(
    harness: Callable[..., Any],
) -> None:
    """Nothing comes after it: what its own batch proved must do, so that --once can end."""
    sent = records(10)
    b = harness(poison_answers({sent[9]}))
    b.deliver(sent)
    assert b.dead_letters.dead_lettered == []
    b.look_after(30, every_s=1)
    assert [r for r, _ in b.dead_letters.dead_lettered] == [sent[9]]
    assert b.offset == 10


def test_more_poison_than_fits_aside_does_not_stop_the_trail(harness: Callable[..., Any]) -> None:
    """A client who trips a firewall all the time: the oldest go before their 15 minutes."""
    b = harness(lambda asked: Misconfigured("403") if any(b"bad" in r for r in asked) else OK)
    for i in range(80):
        b.deliver([b"bad %d" % i, *records(3, i * 3)])
        b.look_after(1, every_s=1)
    assert len(b.delivery.quarantine) <= 64
    assert len(b.sender.accepted) == 240
    assert len(b.dead_letters.dead_lettered) >= 16


def test_what_was_accepted_in_between_begins_the_waits_anew(harness: Callable[..., Any]) -> None:
    """The back end works: the next trouble is a new one."""
    answers = iter([DOWN, DOWN, TooLarge("HTTP 413"), OK, DOWN, OK])
    b = harness(lambda _: next(answers))
    b.deliver(records(4))
    assert b.waits[0] < b.waits[1]
    assert b.waits[2] == b.waits[0]
    assert len(b.sender.accepted) == 4
