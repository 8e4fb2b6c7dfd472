"""The machine lost its power: the log's end and the state's last second are gone together."""

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from k8s_audit_otlp.state.ledger import Tally
from tests.conftest import ManualClock
from tests.kit.log.log_files import append, rotate
from tests.kit.log.lumberjack import compress_in_place

UP = 2_000_000  # microseconds: the machine came up then


def stored(receiver: Any, *, up_since_ns: int = 0) -> Any:
    """Return a process that ended where *receiver* is now."""
    state, places = receiver.log.state(), receiver.ledger.places()
    state.up_since_ns = up_since_ns
    log = SimpleNamespace(close=lambda: None, state=state.copy)
    return SimpleNamespace(log=log, ledger=SimpleNamespace(places=lambda: places))


def send(receiver: Any) -> dict[bytes, str]:
    """Settle all there is; return the uid of each line."""
    sent: dict[bytes, str] = {}
    receiver.log.scan()
    while (segment := receiver.log.next_segment(receiver.ledger)) is not None:
        offset = receiver.ledger.next_offset(segment.seq)
        read = receiver.reader.read(segment, offset)
        if read is None:
            break
        receiver.ledger.settle(receiver.ledger.open(read.span), Tally())
        if hasattr(read, "reason"):
            receiver.gaps.append((read.reason, read.since_ns // 1000, read.until_ns // 1000))
            continue
        for line in read.data.splitlines(keepends=True):
            sent[line] = f"{read.identity}-{offset:x}"
            offset += len(line)
    return sent


@pytest.fixture
def up_since_ns(clock: ManualClock) -> int:
    clock.advance(9)
    return int(clock.now - 9) * 10**9 + UP * 1000


@pytest.mark.parametrize("kept", [1, 2, 3])
@pytest.mark.parametrize("stands", ["live", "unwritten", "rotated", "packed"])
@pytest.mark.parametrize("known", [True, False])
def test_no_uid_names_two_events(
    receive: Callable[..., Any],
    live: Path,
    event: Callable[..., Any],
    up_since_ns: int,
    kept: int,
    stands: str,
    *,
    known: bool,
) -> None:
    """What stands where sent lines were is another segment; what was not lost keeps its uid.

    *kept*: lines that are left of three, of which the state knows one as sent. *known*: it knows
    the file at all.
    """
    append(live, event(0))
    first = receive()
    if not known:
        first.log.scan()
        first_state = stored(first, up_since_ns=up_since_ns)
        rotate(live, 0)
    old = [event(n) for n in (1, 2, 3)]
    append(live, old[0])
    sent = send(first)
    if known:
        first_state = stored(first, up_since_ns=up_since_ns)
    append(live, *old[1:])
    sent |= send(first)
    first.log.close()
    data = live.read_bytes()
    os.truncate(live, len(data) - sum(map(len, old[kept:])))
    new = [event(UP + n) for n in (1, 2, 3)]
    if stands != "unwritten":
        append(live, *new)
    if stands in ("rotated", "packed"):
        backup = rotate(live, UP // 1000)
        append(live, event(UP + 9))
        if stands == "packed":
            compress_in_place(backup)
    again: list[Any] = []
    for _ in range(2):  # killed before it had stored anything
        second = receive(first_state)
        got = send(second)
        if stands == "unwritten":
            append(live, *(new if not again else []))
            got |= send(second)
        again.append(got)
        assert [reason for reason, _, _ in second.gaps] == ["unseen"]
        second.log.close()
    assert set(new) <= got.keys()
    names = {uid: line for line, uid in sent.items()}
    assert [line for line, uid in got.items() if names.get(uid, line) != line] == []
    assert all(got[line] == sent[line] for line in old[:kept] if line in got)
    third = receive(second)
    assert (send(third), third.gaps) == ({}, [])
    append(live, event(UP + 100))
    assert list(send(third)) == [event(UP + 100)]
    assert third.gaps == []


@pytest.mark.parametrize("written", [True, False])
def test_a_machine_that_comes_up_twice_is_told_of_twice(
    receive: Callable[..., Any],
    live: Path,
    event: Callable[..., Any],
    up_since_ns: int,
    *,
    written: bool,
) -> None:
    """Unless nothing was written in between: then nothing can be lost."""
    append(live, event(0))
    first = receive()
    sent = send(first)
    second = receive(stored(first, up_since_ns=up_since_ns))
    send(second)
    on_disk = stored(second, up_since_ns=up_since_ns + 10_000)
    if written:
        append(live, event(UP + 1), event(UP + 2))
        sent |= send(second)
        os.truncate(live, len(event(0) + event(UP + 1)))
    append(live, event(UP + 11))
    third = receive(on_disk)
    got = send(third)
    expected = [event(UP + 1)] if written else []
    assert [line for line in got if got[line] in sent.values()] == expected
    assert len(third.gaps) == written
    fourth = receive(third)
    assert (send(fourth), fourth.gaps) == ({}, [])


def test_the_gap_lies_between_the_last_event_before_and_the_first_one_after(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any], up_since_ns: int
) -> None:
    """And nothing is told where the agent was stopped, or nothing was written before."""
    append(live, event(5))
    first = receive()
    send(first)
    append(live, event(UP + 7))
    second = receive(stored(first, up_since_ns=up_since_ns))
    assert list(send(second)) == [event(UP + 7)]
    start = up_since_ns // 1000 - UP
    assert second.gaps == [("unseen", start + 5, start + UP + 7)]
    (gap,) = [s.state for s in second.log.segments() if s.state.lost]
    assert "nobody had stopped the agent before" in gap.detail
    third = receive(stored(first))
    assert list(send(third)) == [event(UP + 7)]
    assert third.gaps == []
