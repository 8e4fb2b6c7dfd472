"""A clock that was set back while a chain went on: named, no alarm, and no cover for a cut."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import Result

from k8s_audit_otlp.evidence.chain import begin, link
from k8s_audit_otlp.evidence.seal import SealKey, make_key
from k8s_audit_otlp.state.content_hash import VERSION, Content
from k8s_audit_otlp.state.outbox import Chain, Notice, Value
from tests.kit.judged import UID, Row, judged

NOON = int(datetime(2026, 1, 2, 12, tzinfo=UTC).timestamp())
HOUR = 3600
SEGMENT = "k8s.audit.segment."
BACK = "its times go back from"


class History:
    """What an agent leaves whose clock is told; seconds are counted from noon."""

    def __init__(self, folder: Path) -> None:
        make_key(folder / "key")
        self.folder, self.key = folder, SealKey.read(folder / "key")
        self.chain: Chain | None = None
        self.rows: list[Row] = []

    def receipt(self, at: int) -> None:
        now_ns, number = (NOON + at) * 10**9, len(self.rows)
        said: dict[str, Value] = {
            "identity": f"{number:016x}",
            "number": 1,
            "bytes": 9,
            "delivered": 0,
            "gaps": 0,
        }
        times = {"first_event_ns": now_ns - 2, "last_event_ns": now_ns - 1, "told_ns": now_ns}
        attributes: dict[str, Value] = {
            SEGMENT + name: value for name, value in {**said, **times}.items()
        }
        attributes |= {"k8s.audit.exporter": "siem", SEGMENT + "content.version": VERSION}
        attributes[SEGMENT + "content.hash"] = Content().finished().hex()
        notice = Notice(f"receipt-{number:016x}-1", "k8s.audit.segment", now_ns, 9, "", attributes)
        self.chain, linked = link(self.chain or begin(notice.uid, "log", "siem", now_ns), notice)
        self._add(linked)

    def seal(self, at: int, *, stops: bool = False) -> None:
        assert self.chain
        self._add(self.key.seal(self.chain, "log", "siem", (NOON + at) * 10**9, stops=stops))

    def _add(self, notice: Notice) -> None:
        node = {"k8s.cluster.name": "prod", "k8s.node.name": "cp-1"}
        named = {UID: notice.uid, "event.name": notice.event, "body": notice.body}
        self.rows.append({**node, **named, **notice.attributes})

    def judged(self, *more: str) -> Result:
        return judged(self.folder, self.rows, "--key", str(self.folder / "key.pub"), *more)


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path)


@pytest.mark.parametrize(
    ("receipts", "told"),
    [
        pytest.param([0, 600, 1200], 0, id="right"),
        pytest.param([0, -30, 600], 0, id="kept right"),
        pytest.param([0, -HOUR, -HOUR + 600], 1, id="set back"),
        pytest.param([0, HOUR, 600, 1200, 2 * HOUR], 1, id="ahead for a while"),
        pytest.param([0, -HOUR, -2 * HOUR], 2, id="set back twice"),
    ],
)
def test_a_clock_that_was_set_back_is_named_and_no_alarm(
    history: History, receipts: Iterable[int], told: int
) -> None:
    for at in receipts:
        history.receipt(at)
        history.seal(at + 1)
    result = history.judged()
    assert (result.exit_code, result.output.count(BACK)) == (0, told), result.output


def test_a_clock_that_was_set_back_between_two_seals_is_named(history: History) -> None:
    history.receipt(0)
    for at in (1, 600, 30, 630):
        history.seal(at)
    history.receipt(700)
    history.seal(701)
    assert history.judged().output.count(BACK) == 0  # nobody can order seals of one link
    history.seal(-HOUR)
    history.receipt(-HOUR + 10)
    history.seal(-HOUR + 11)
    assert history.judged().output.count(BACK) == 1


def test_a_stop_under_a_clock_that_was_ahead_covers_no_later_cut(history: History) -> None:
    """Later is what has the higher number, whatever the clock said: there the agent ran."""
    history.receipt(HOUR)
    history.seal(HOUR + 1, stops=True)
    history.receipt(0)
    history.seal(1)
    until = ("--to", "2026-01-02T15:00:00Z")
    result = history.judged(*until)
    assert result.exit_code == 7, result.output
    assert "of 2026-01-02T12:00:01" in result.output
    history.seal(2, stops=True)
    assert history.judged(*until).exit_code == 0
