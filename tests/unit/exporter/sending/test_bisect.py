"""The search for a refused record, against a plain model of a back end."""

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.exporter.bisect import Bisect
from k8s_audit_otlp.exporter.retry_decisions import Next


def run(size: int, poison: set[int], *, most: Any = None) -> tuple[Any, ...]:
    """Play a search to its end; return (accepted, found, requests)."""
    records = [b"%d" % i for i in range(size)]
    bad = {records[i] for i in poison}
    search, accepted, found, requests = Bisect(records), [], [], 0
    while search.left:
        part = search.part
        requests += 1
        if most and len(part) > most:
            search.choose(Next.FEWER, 0)
        elif not bad & set(part):
            accepted += part
            search.choose(Next.REST, 0)
        elif len(part) > 1:
            search.choose(Next.HALF, 1000)
        else:
            found += part
            search.choose(Next.SET_ASIDE, 0)
    return accepted, found, requests


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1)))))
def test_every_record_is_accepted_or_found_and_none_is_both(case: Any) -> None:
    """Whatever is poison, exactly that is found and exactly the rest is accepted, once."""
    size, poison = case
    accepted, found, _ = run(size, poison)
    assert sorted(found, key=int) == [b"%d" % i for i in sorted(poison)]
    assert sorted(accepted, key=int) == [b"%d" % i for i in range(size) if i not in poison]


def test_one_poison_record_among_500_costs_at_most_13_requests_wherever_it_is() -> None:
    """The dozen that the module promises, for each place."""
    assert max(run(500, {place})[2] for place in range(500)) <= 13


def test_two_poison_records_among_500_cost_at_most_26_requests() -> None:
    """Two searches, wherever they are."""
    pairs = [{a, b} for a in range(0, 500, 23) for b in range(a + 1, 500, 29)]
    assert max(run(500, pair)[2] for pair in pairs) <= 26


@given(st.integers(1, 300), st.integers(1, 300))
def test_a_limit_on_records_is_found_and_kept_to(size: int, most: Any) -> None:
    """Parts that are too large get smaller and stay so; everything is accepted."""
    accepted, found, requests = run(size, set(), most=most)
    assert (len(accepted), found) == (size, [])
    assert requests <= 10 + 2 * (size // most + 1)


def test_a_request_whose_parts_all_pass_is_reported_with_its_size() -> None:
    """What was refused as a whole and accepted in parts was too much at once."""
    cleared: list[int] = []
    search = Bisect([b"a", b"b", b"c", b"d"], cleared.append)
    search.choose(Next.HALF, 4711)
    search.choose(Next.REST, 2000)
    assert cleared == []
    assert search.part == [b"c"]
    search.choose(Next.REST, 1000)
    search.choose(Next.REST, 1000)
    assert cleared == [4711]


def test_single_records_are_asked_from_all_over_the_batch() -> None:
    """Neighbours share a fault: eight questions in a row go to eight distant places."""
    search = Bisect([b"%d" % i for i in range(500)])
    asked = []
    for _ in range(8):
        search.choose(Next.PROBE, 0)
        asked.append(int(search.part[0]))
    asked.sort()
    assert min(b - a for a, b in pairwise(asked)) > 20


def test_asking_single_records_reaches_every_one() -> None:
    """No record is skipped for ever."""
    search, seen = Bisect([b"%d" % i for i in range(50)]), set()
    for _ in range(150):
        search.choose(Next.PROBE, 0)
        seen |= set(search.part)
    assert len(seen) == 50


def test_a_record_that_was_too_large_makes_no_later_request_small() -> None:
    """It was the record and not the request: the others leave together again."""
    search = Bisect([b"%d" % i for i in range(8)])
    for _ in range(3):
        search.choose(Next.FEWER, 0)
    assert len(search.part) == 1
    search.choose(Next.SET_ASIDE, 0)
    search.choose(Next.REST, 0)
    assert len(search.part) == 6
