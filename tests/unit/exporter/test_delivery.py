"""What becomes of a batch when the back end says no, against scripted back ends."""

from collections.abc import Callable
from typing import Any

import pytest

from k8s_audit_otlp.exporter.backoff import Backoff
from k8s_audit_otlp.exporter.delivery import DeliveryOptions
from k8s_audit_otlp.model import Delivered, Misconfigured, Outcome, Rejected, Retry, TooLarge

OK = Delivered()
NO = Rejected("HTTP 400")
DOWN = Retry("HTTP 503")
LARGE = TooLarge("HTTP 413")


def records(number: int, start: int = 0) -> list[bytes]:
    return [b"record %06d" % i for i in range(start, start + number)]


def poison_answers(bad: set[bytes], refusal: Outcome = NO) -> Callable[..., Any]:
    """Refuse each request with a record of *bad* in it."""
    return lambda asked: refusal if bad & set(asked) else OK


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
    assert b.letters.dead_lettered == [(sent[place], "HTTP 400")]
    assert len(b.sender.accepted) == len(set(b.sender.accepted)) == 509
    assert len(b.sender.asked) - 1 <= 20  # the second batch is one request
    assert b.offset == 510
    assert b.tally.balance == 0
    assert (b.tally.delivered, b.tally.dead_lettered) == (509, 1)


def test_two_poison_records_end_in_the_dead_letter_and_nothing_else(
    harness: Callable[..., Any],
) -> None:
    """Two searches in one batch."""
    sent = records(500)
    bad = {sent[100], sent[101]}
    b = harness(poison_answers(bad))
    b.deliver(sent)
    b.look_after()
    assert {r for r, _ in b.letters.dead_lettered} == bad
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
    assert b.letters.dead_lettered == []
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
    assert b.letters.dead_lettered == []
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
    assert b.letters.dead_lettered == []


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
    assert b.letters.dead_lettered == []


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
    assert b.letters.dead_lettered == []
    for _ in range(10):
        b.deliver(records(1, int(b.clock.now)))
        b.look_after(1, every_s=10)
    assert [r for r, _ in b.letters.dead_lettered] == [bad]
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
    assert b.letters.dead_lettered == []
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
    assert [r for r, _ in b.letters.dead_lettered] == [b"bad"]
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
    assert b.letters.dead_lettered == []
    for i in range(300):
        b.deliver(records(1, i))
        b.look_after(1, every_s=10)
    assert {r for r, _ in b.letters.dead_lettered} == bad


def test_a_batch_of_two_poison_records_does_not_block_the_stream(
    harness: Callable[..., Any],
) -> None:
    """Nothing in the batch can prove that the back end is up: both are set aside."""
    b = harness(poison_answers({b"bad 1", b"bad 2"}, Misconfigured("HTTP 403")))
    b.deliver([b"bad 1", b"bad 2"])
    assert len(b.delivery.quarantine) == 2
    assert b.letters.dead_lettered == []


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
    assert b.letters.dead_lettered == []
    b.look_after(30, every_s=1)
    assert [r for r, _ in b.letters.dead_lettered] == [sent[9]]
    assert b.offset == 10


def test_more_poison_than_fits_aside_does_not_stop_the_trail(harness: Callable[..., Any]) -> None:
    """A client who trips a firewall all the time: the oldest go before their 15 minutes."""
    b = harness(lambda asked: Misconfigured("403") if any(b"bad" in r for r in asked) else OK)
    for i in range(80):
        b.deliver([b"bad %d" % i, *records(3, i * 3)])
        b.look_after(1, every_s=1)
    assert len(b.delivery.quarantine) <= 64
    assert len(b.sender.accepted) == 240
    assert len(b.letters.dead_lettered) >= 16


# -- limits -----------------------------------------------------------------------------------


def limited(most: int, refusal: TooLarge | Retry = LARGE) -> Callable[..., Any]:
    return lambda asked: refusal if sum(map(len, asked)) > most else OK


def test_a_request_over_the_limit_is_split_and_the_limit_learned(
    harness: Callable[..., Any],
) -> None:
    """After a 413 everything arrives in smaller requests, and the next batches are smaller."""
    sent = [bytes(1000) + b"%d" % i for i in range(900)]
    b = harness(limited(300_000))
    b.deliver(sent)
    assert sorted(b.sender.accepted) == sorted(sent)
    assert 150_000 <= b.limit.bytes <= 300_000
    assert len(b.sender.asked) <= 8


def test_a_learned_limit_recovers_slowly_and_stays_close_to_what_is_accepted(
    harness: Callable[..., Any],
) -> None:
    """The limit is tried again by little; a refusal then costs little."""
    b = harness(limited(300_000))
    b.limit.too_large(900_000)
    b.limit.too_large(450_000)
    sizes = []
    for _ in range(3000):
        count = b.limit.bytes // 1000
        b.deliver([bytes(1000)] * count)
        sizes.append(b.limit.bytes)
    assert min(sizes) > 200_000
    assert max(sizes[-1000:]) > 270_000
    refused = len([a for a in b.sender.asked if sum(map(len, a)) > 300_000])
    assert refused <= 3000 / 200 + 2


def test_a_limit_that_is_reported_as_throttling_is_found_too(harness: Callable[..., Any]) -> None:
    """Data Prepper asks to wait, for ever, when a request is too large."""
    b = harness(limited(5000, Retry("RESOURCE_EXHAUSTED", after_s=1.0)))
    sent = [bytes(100) + b"%03d" % i for i in range(200)]
    b.deliver(sent)
    assert sorted(b.sender.accepted) == sorted(sent)
    assert len(b.delivery.quarantine) == 0
    assert b.limit.bytes < 900_000


def test_a_single_record_over_the_limit_is_made_smaller_before_it_is_given_up(
    harness: Callable[..., Any],
) -> None:
    """Shrinking comes first; the dead letter is for what cannot get smaller."""
    b = harness(limited(2000), split_record=lambda r: r[: len(r) // 2] if len(r) > 3000 else None)
    b.deliver([bytes(10_000), *records(3)])
    assert len(b.sender.accepted) == 3
    assert 2500 in [len(asked[0]) for asked in b.sender.asked]
    b.look_after()
    assert [len(r) for r, _ in b.letters.dead_lettered] == [10_000]


def test_a_record_made_smaller_is_delivered_as_one(harness: Callable[..., Any]) -> None:
    """Half of it is better than none."""
    b = harness(limited(6000), split_record=lambda r: r[: len(r) // 2])
    b.deliver([*records(3), bytes(10_000), *records(3, 3)])
    assert max(map(len, b.sender.accepted)) == 5000
    assert (b.tally.delivered, b.tally.balance, b.letters.dead_lettered) == (7, 0, [])


def test_a_record_that_may_crash_the_back_end_is_asked_about_seldom(
    harness: Callable[..., Any],
) -> None:
    """Each question can be a crash: a dozen in 15 minutes at most."""
    sent = records(100)
    b = harness(poison_answers({sent[7]}, Retry("the connection broke")))
    b.deliver(sent)
    before = len(b.sender.asked)
    for i in range(900):
        b.deliver(records(1, 1000 + i))
        b.look_after(1, every_s=1)
    alone = [asked for asked in b.sender.asked[before:] if asked == (sent[7],)]
    assert 3 <= len(alone) <= 12
    assert b.letters.dead_lettered == []
    b.deliver(records(1, 5000))
    b.look_after(2, every_s=1)
    assert [r for r, _ in b.letters.dead_lettered] == [sent[7]]


def test_one_record_that_is_too_large_teaches_nothing_about_requests(
    harness: Callable[..., Any],
) -> None:
    """A limit on records is no limit on requests."""
    sent = [bytes(1000) + b"%d" % i for i in range(500)]
    b = harness(lambda asked: TooLarge("413") if any(len(r) > 50_000 for r in asked) else OK)
    b.deliver([*sent[:250], bytes(60_000), *sent[250:]])
    assert len(b.sender.accepted) == 500
    assert b.limit.bytes >= 250_000


# -- waiting ----------------------------------------------------------------------------------


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
    assert [r for r, _ in b.letters.dead_lettered] == records(3)
    assert b.letters.dead_lettered[0][1].startswith("max_elapsed_time: HTTP 503")
    assert b.offset == 3


# -- partial success --------------------------------------------------------------------------


def test_a_partial_success_is_settled_and_what_was_refused_is_written_down(
    harness: Callable[..., Any],
) -> None:
    """It is not sent again (the specification forbids it) and not counted as delivered."""
    b = harness(lambda _: Delivered(2, "too old"))
    b.deliver(records(10))
    assert len(b.sender.asked) == 1
    assert b.letters.refused == [(2, 10, "too old")]
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
    assert [r for r, _ in b.letters.dead_lettered] == [sent[9]]
    assert (b.tally.delivered, b.tally.dead_lettered, b.tally.balance) == (63, 1, 0)


# -- the dead letter --------------------------------------------------------------------------


def test_a_full_dead_letter_stalls_the_exporter_until_there_is_room(
    harness: Callable[..., Any],
) -> None:
    """Nothing settles that is not written down."""
    b = harness(lambda _: Delivered(1, "no"))
    b.letters.room = False
    seen = []

    def later() -> None:
        seen.append((b.gate.open, b.gate.stalled, b.offset))
        b.letters.room = len(seen) >= 3

    b.when_waiting = later
    b.deliver(records(4))
    assert [s[0] for s in seen] == [False] * 3
    assert "dead letter is full" in seen[0][1]
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
    flight = b.flight(sent)
    freed = []
    flight.on_freed = freed.append
    size = flight.size
    b.delivery.deliver(flight)
    assert flight.batch.records == ()
    assert flight.size == len(sent[50]) == size - freed[0]


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
