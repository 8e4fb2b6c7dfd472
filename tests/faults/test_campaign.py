"""A few seeds of the campaign in every test run, many when asked; each seed tells its own story."""

from pathlib import Path

import pytest
from click import UsageError

from tests.faults.campaign import run_all, update
from tests.faults.compare import disagreeing_receipts, twice_named, unexplained
from tests.faults.processes import GAP, RECEIPT, Totals
from tests.faults.scenario import run_scenario
from tests.kit.backends.received import Record

LONG = range(10_000, 10_200)
SECOND = 1_000_000_000


@pytest.mark.timeout(600)  # seconds; ten where nothing else runs
@pytest.mark.parametrize("seed", range(5))
def test_whatever_is_done_to_the_agent_no_event_is_lost(tmp_path: Path, seed: int) -> None:
    """Kills, a full disk, a bad back end, a storm of rotations: nothing is missing at the end.

    And of what arrived nothing looks as if somebody had changed it.
    """
    totals = run_scenario(tmp_path / "run", seed)
    assert not totals.wrong, totals


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_two_hundred_seeds_lose_nothing(tmp_path: Path) -> None:
    """The same with many seeds, two at a time."""
    assert not [t for t in run_all(tmp_path, LONG, None, 2) if t.wrong]


def test_a_missing_event_is_a_failure_unless_a_gap_covers_it() -> None:
    """What the campaign calls wrong: it must be able to fail."""
    assert not Totals(missing=3, unexplained=0).wrong
    assert Totals(missing=3, unexplained=1).wrong
    assert Totals(foreign=1).wrong
    assert not Totals(foreign=1, writer_kills=1).wrong
    assert Totals(slowest_term_s=5.0).wrong


def _notice(event: str, **attributes: object) -> Record:
    return Record("uid", event, "", attributes, {}, 0, 9 * SECOND, 9, "", "")


def test_a_receipt_must_equal_what_arrived() -> None:
    """The newest receipt of a segment counts; other notices do not."""

    def receipt(size: int, delivered: int, gaps: int = 0) -> Record:
        said = {"identity": "ab", "bytes": size, "delivered": delivered, "gaps": gaps}
        return _notice(RECEIPT, **{f"k8s.audit.segment.{k}": v for k, v in said.items()})

    notices = [_notice(GAP), receipt(10, 1), receipt(20, 2)]
    totals = Totals()
    assert disagreeing_receipts(notices, ["ab-0", "ab-a"], totals) == []
    assert totals.receipts == 1
    assert disagreeing_receipts(notices, ["ab-0"], totals) != []
    assert disagreeing_receipts([receipt(9, 1)], ["ab-0", "ab-a"], totals) != []
    assert disagreeing_receipts([receipt(9, 1, gaps=1)], ["ab-0", "ab-a"], totals) == []


def test_two_events_under_one_uid_are_a_failure() -> None:
    """An event that is repeated is none."""
    first = Record("ab-0", "", "", {"auditID": "1"}, {}, 1, 2, 9, "", "")
    again = first._replace(observed_ns=3)
    assert twice_named([first, again]) == []
    assert twice_named([first, again._replace(attributes={"auditID": "2"})]) != []
    assert twice_named([first, again._replace(time_ns=4)]) != []


def test_the_table_keeps_one_row_for_each_name(tmp_path: Path) -> None:
    """A campaign that is run again replaces its row and leaves the others."""
    readme = tmp_path / "README.md"
    readme.write_text("before\n\n<!-- totals -->\n\nafter\n")
    update(readme, "a", "| a | 1 |")
    update(readme, "b", "| b | 1 |")
    update(readme, "a", "| a | 2 |")
    text = readme.read_text()
    assert "| a | 2 |\n| b | 1 |\n\nafter" in text
    assert "| a | 1 |" not in text
    assert text.startswith("before")
    readme.write_text("no table")
    with pytest.raises(UsageError):
        update(readme, "a", "| a | 1 |")


def test_a_gap_explains_what_it_tells_of_and_no_more() -> None:
    """What was written between its two times; without an end, until it was told."""

    def gap(**times: int) -> Record:
        return _notice(GAP, **{f"k8s.audit.gap.{k}_ns": v * SECOND for k, v in times.items()})

    order, arrived = [(str(n), n * SECOND) for n in range(10)], {"0", "4", "5", "9"}
    assert unexplained(order, arrived, []) == 6
    assert unexplained(order, arrived, [gap(since=1, until=3)]) == 3
    assert unexplained(order, arrived, [gap(until=2)]) == 4
    assert unexplained(order, arrived, [gap(since=2)]) == 1
    assert unexplained(order, arrived, [gap(since=2)._replace(observed_ns=3 * SECOND)]) == 4
    assert unexplained(order, arrived, [gap(since=1, until=3), gap(since=5, until=9)]) == 0


def test_a_gap_that_is_told_although_nothing_was_deleted_is_a_failure() -> None:
    """A false alarm is a fault too."""
    assert Totals(gaps=1).wrong
    assert not Totals(gaps=1, deletes_early=1).wrong
