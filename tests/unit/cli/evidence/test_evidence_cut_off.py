"""Receipts and seals that are taken off the end of an export, beside an agent that was stopped."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from k8s_audit_otlp.evidence.chain import CHAIN, link
from k8s_audit_otlp.evidence.seal import SealKey
from k8s_audit_otlp.state.outbox import Chain, Notice
from tests.kit.agent import Fixture, exported
from tests.kit.backends.backend import Backend
from tests.kit.judged import UID, Row, Rows, is_event, is_receipt, judged, segment, with_key

NUMBER, AGENT, OPEN = CHAIN + "number", "k8s.audit.seal.agent", "k8s.audit.seal.open"
UNTIL = ("--to", "2100-01-01")
RAN_ON = "till the end of the range no other came"
STOPPED = "the agent was stopped then, as the seal says"


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Fixture, Path]]:
    """Return three sealed segments of an agent that was stopped after each, and the public key."""
    with Backend() as backend:
        made = Fixture(tmp_path_factory.mktemp("night"), backend)
        made.receiver = "resource: {k8s.cluster.name: prod, k8s.node.name: cp-1}"
        key = with_key(made)
        for n in range(3):
            segment(made, n)
        yield made, key


@pytest.fixture(scope="module")
def other_node(
    night: tuple[Fixture, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Rows, Path]]:
    """Return what a back end has of a node that began after that, and its key."""
    assert night
    with Backend() as backend:
        made = Fixture(tmp_path_factory.mktemp("node"), backend, seed=2)
        made.receiver = "resource: {k8s.cluster.name: prod, k8s.node.name: cp-2}"
        key = with_key(made)
        segment(made, 0)
        yield exported(backend), key


def is_seal(row: Row) -> bool:
    return "k8s.audit.seal.key" in row


def cut_off(rows: Rows, number: int, *, stopped: bool) -> Rows:
    """Take out links and seals after a number, all events since, and stops unless *stopped*.

    Of the file that was written then, the events stay that seals speak of already, and its first.
    """
    kept = [r for r in rows if int(r.get(NUMBER, 0)) <= number and (stopped or AGENT not in r)]
    receipted = {str(r["k8s.audit.segment.identity"]) for r in kept if is_receipt(r)}
    said = (each.split("/") for r in kept for each in str(r.get(OPEN, "")).split())
    told = {(identity, int(size)) for identity, size, *_ in said}

    def stays(uid: str) -> bool:
        identity, _, place = uid.partition("-")
        at = int(place.partition("-")[0], 16)
        return identity in receipted or any(
            identity == of and (at == 0 or at < size) for of, size in told
        )

    return [r for r in kept if not is_event(r) or stays(str(r[UID]))]


def test_receipts_and_seals_that_are_cut_off_are_found(night: tuple[Fixture, Path]) -> None:
    """Where the range has an end: without one, nothing says that more was due."""
    fixture, key = night
    kept = cut_off(exported(fixture.backend), 2, stopped=False)
    result = judged(fixture.folder, kept, "--key", str(key), *UNTIL)
    assert result.exit_code == 7, result.output
    assert RAN_ON in result.output
    assert judged(fixture.folder, kept, "--key", str(key)).exit_code == 0


def test_an_agent_that_was_stopped_is_no_alarm(night: tuple[Fixture, Path]) -> None:
    """Its last seal says so; that it did not run again is said to be unknown."""
    fixture, key = night
    kept = cut_off(exported(fixture.backend), 3, stopped=True)
    result = judged(fixture.folder, kept, "--key", str(key), *UNTIL)
    assert result.exit_code == 0, result.output
    assert STOPPED in result.output


def test_a_stop_cannot_be_put_into_another_seal(night: tuple[Fixture, Path]) -> None:
    fixture, key = night
    kept = cut_off(exported(fixture.backend), 2, stopped=False)
    for row in filter(is_seal, kept):
        row[AGENT] = "stopped"
    result = judged(fixture.folder, kept, "--key", str(key), *UNTIL)
    assert result.exit_code == 6, result.output
    assert "its key did not sign" in result.output


@pytest.mark.parametrize("words", [(), UNTIL])
def test_a_stop_after_which_events_came_is_none(
    night: tuple[Fixture, Path], words: tuple[str, ...]
) -> None:
    """Whoever ran the agent again had it seal at its start: that was taken out."""
    fixture, key = night
    rows = exported(fixture.backend)
    receipted = {str(r["k8s.audit.segment.identity"]) for r in rows if is_receipt(r)}
    newest = next(r for r in rows if is_event(r) and str(r[UID])[:16] not in receipted)
    kept = {"event.name", "body", "log.file.path", "k8s.node.name"}
    live = {name: value for name, value in newest.items() if name in kept}
    live[UID] = f"{str(newest[UID])[:16]}-ffff"
    hour = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S.000000Z")
    live["body"] = re.sub(r'("stageTimestamp":")[^"]+', rf"\g<1>{hour}", live["body"])
    result = judged(fixture.folder, [*rows, live], "--key", str(key), *words)
    assert result.exit_code == 7, result.output
    assert "the newest seal of its log is of" in result.output


@pytest.mark.parametrize(("minutes", "code"), [(170, 0), (30, 7)])
def test_a_seal_after_the_range_stands_for_none_in_it(
    night: tuple[Fixture, Path], minutes: int, code: int
) -> None:
    """It names what came later; seals of the range show that nothing is lacking at its end."""
    fixture, key = night
    rows = exported(fixture.backend)
    links = [Chain(r[CHAIN + "id"], r[NUMBER], r[CHAIN + "hash"]) for r in rows if is_receipt(r)]
    start = datetime.now(UTC)
    kept = cut_off(rows, 2, stopped=False)
    for after, chain in [(minutes, links[1]), (240, links[2])]:
        ns = int((start + timedelta(minutes=after)).timestamp() * 1e9)
        seal = SealKey.read(key.with_suffix("")).seal(chain, "log", "otlp_http", ns)
        kept.append({UID: seal.uid, "event.name": seal.event, **seal.attributes})
    words = ("--to", (start + timedelta(minutes=180)).isoformat())
    result = judged(fixture.folder, kept, "--key", str(key), *words)
    assert result.exit_code == code, result.output


def test_a_chain_that_ended_before_the_range_is_no_alarm(
    night: tuple[Fixture, Path], other_node: tuple[Rows, Path]
) -> None:
    """As that of a node that was taken away; it is named."""
    fixture, key = night
    kept = cut_off(exported(fixture.backend), 2, stopped=False)
    theirs, their_key = other_node
    first = next(r for r in theirs if is_receipt(r))["k8s.audit.segment.first_event_ns"]
    start = datetime.fromtimestamp(int(first) // 1000 / 1e6, UTC).isoformat()
    words = ("--key", str(key), "--key", str(their_key), "--from", start, *UNTIL)
    result = judged(fixture.folder, [*kept, *theirs], *words)
    assert result.exit_code == 0, result.output
    assert "the agent was killed then, or receipts and seals" in result.output


FIRST, LAST = "k8s.audit.segment.first_event_ns", "k8s.audit.segment.last_event_ns"


def time_of(event: Row) -> int:
    when = str(json.loads(event["body"])["stageTimestamp"])
    return int(datetime.fromisoformat(when).timestamp() * 1e9)


def moment(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, UTC).isoformat()


def test_a_range_that_begins_before_the_first_link_is_not_proven(
    night: tuple[Fixture, Path],
) -> None:
    """The oldest segment is gone without a trace: nothing shows whether it was of that time."""
    fixture, key = night
    rows = exported(fixture.backend)
    first = next(row for row in rows if is_receipt(row))
    identity = str(first["k8s.audit.segment.identity"])
    kept = [r for r in rows if r is not first and not str(r[UID]).startswith(identity)]
    words = ("--key", str(key), "--from")
    start = moment(int(first[FIRST]) - 10**9)
    assert judged(fixture.folder, rows, *words, start).exit_code == 0
    result = judged(fixture.folder, kept, *words, start)
    assert result.exit_code == 7, result.output
    assert "begins with number 2" in result.output


@pytest.mark.parametrize("ranged", [False, True])
def test_a_first_link_that_spoke_of_later_times_is_missed(
    night: tuple[Fixture, Path], *, ranged: bool
) -> None:
    """A gap may be told of before the receipts of what lies before it."""
    fixture, _ = night
    rows = exported(fixture.backend)
    told = [row for row in rows if is_receipt(row)]
    since, until = int(told[0][FIRST]), int(told[0][LAST])
    gap = {"k8s.audit.exporter": "otlp_http", "k8s.audit.gap.until_ns": until}
    chain, links = Chain("feed" * 4), list[Row]()
    for row in [
        {UID: "gap-otlp_http-0123456789abcdef-0-9", "event.name": "k8s.audit.gap", **gap},
        *told,
    ]:
        said = {name: value for name, value in row.items() if not name.startswith(CHAIN)}
        uid, event, body = said.pop(UID), said.pop("event.name"), said.pop("body", "")
        chain, linked = link(chain, Notice(uid, event, 1, 9, body, said))
        links.append({UID: uid, "event.name": event, "body": body, **linked.attributes})
    kept = [row for row in rows if is_event(row)]
    words = ("--from", moment(since + 10**3)) if ranged else ()
    assert judged(fixture.folder, [*links, *kept], *words).exit_code == 5
    result = judged(fixture.folder, [*links[1:], *kept], *words)
    assert result.exit_code == 7, result.output
    text = "begins with number 2, and says that links before it speak of times up to"
    assert f"{text} {moment(until)[:19]}" in result.output


def test_a_range_that_begins_within_a_segment_is_no_alarm(night: tuple[Fixture, Path]) -> None:
    """As an export of that time has it: receipts are of the time of their last event."""
    fixture, key = night
    rows = exported(fixture.backend)
    second = [row for row in rows if is_receipt(row)][1]
    start = (int(second[FIRST]) + int(second[LAST])) // 2
    kept = [r for r in rows if not is_receipt(r) or int(r[LAST]) >= start]
    kept = [r for r in kept if not is_event(r) or time_of(r) >= start]
    result = judged(fixture.folder, kept, "--key", str(key), "--from", moment(start))
    assert result.exit_code == 0, result.output
    assert "reaches beyond the range" in result.output
