"""What is too large for a back end is split, and its limit is learned."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from k8s_audit_otlp.exporter.backoff import Backoff
from k8s_audit_otlp.exporter.delivery import DeliveryOptions
from k8s_audit_otlp.exporter.in_flight import InFlight
from k8s_audit_otlp.model import Retry, TooLarge
from k8s_audit_otlp.otlp.record import entry_of_record
from tests.kit.delivery import LARGE, OK, make_record, poison_answers, records


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
    assert [len(r) for r, _ in b.dead_letters.dead_lettered] == [10_000]


def test_a_record_made_smaller_is_delivered_as_one(harness: Callable[..., Any]) -> None:
    """Half of it is better than none."""
    b = harness(limited(6000), split_record=lambda r: r[: len(r) // 2])
    b.deliver([*records(3), bytes(10_000), *records(3, 3)])
    assert max(map(len, b.sender.accepted)) == 5000
    assert (b.tally.delivered, b.tally.balance, b.dead_letters.dead_lettered) == (7, 0, [])


def test_a_receipt_is_of_the_record_that_was_delivered(harness: Callable[..., Any]) -> None:
    """Evidence would say of one made smaller that somebody had changed it."""
    whole, smaller = make_record("u-1", size=9000), make_record("u-1", size=100)
    b = harness(limited(6000), split_record=lambda _: smaller)
    batch = replace(b.in_flight([whole]).batch, digests=entry_of_record(whole))
    in_flight = InFlight(batch, lambda *_: None, 0)
    b.delivery.deliver(in_flight)
    assert b.sender.accepted == [smaller]
    assert in_flight.digests() == entry_of_record(smaller)
    assert in_flight.digests() != entry_of_record(whole)


def test_what_is_given_up_in_a_smaller_form_is_kept_whole(harness: Callable[..., Any]) -> None:
    """The dead letter holds the record as it was, whatever of it was sent."""
    options = DeliveryOptions(Backoff(randomization=0.0), max_elapsed_s=60)
    answers = iter([LARGE, *[Retry("no connection", reached=False)] * 100])
    halves = {"split_record": lambda r: r[: len(r) // 2]}
    b = harness(lambda _: next(answers), options=options, **halves)
    b.deliver([bytes(1000)])
    assert [len(record) for record, _ in b.dead_letters.dead_lettered] == [1000]


def test_what_an_outage_sets_aside_in_a_smaller_form_is_sent_in_it(
    harness: Callable[..., Any],
) -> None:
    """As it was it would be refused for ever."""
    down = True

    def answer(asked: Any) -> Any:
        return LARGE if len(asked[0]) > 600 else Retry("HTTP 503") if down else OK

    b = harness(answer, split_record=lambda r: r[: len(r) // 2])
    b.deliver([bytes(1000)])
    assert len(b.delivery.quarantine) == 1
    down = False
    for n in range(5):
        b.deliver(records(1, n))
        b.look_after(every_s=30.0)
    assert [len(record) for record in b.sender.accepted if len(record) > 100] == [500]
    assert (b.tally.delivered, b.tally.balance, b.dead_letters.dead_lettered) == (6, 0, [])


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
    assert b.dead_letters.dead_lettered == []
    b.deliver(records(1, 5000))
    b.look_after(2, every_s=1)
    assert [r for r, _ in b.dead_letters.dead_lettered] == [sent[7]]


def test_one_record_that_is_too_large_teaches_nothing_about_requests(
    harness: Callable[..., Any],
) -> None:
    """A limit on records is no limit on requests."""
    sent = [bytes(1000) + b"%d" % i for i in range(500)]
    b = harness(lambda asked: TooLarge("413") if any(len(r) > 50_000 for r in asked) else OK)
    b.deliver([*sent[:250], bytes(60_000), *sent[250:]])
    assert len(b.sender.accepted) == 500
    assert b.limit.bytes >= 250_000
