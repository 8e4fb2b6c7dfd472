"""An exporter that fails in a way that nobody foresaw begins again, and is not silent about it."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import enumerate as enumerate_threads

import pytest

from k8s_audit_otlp.exporter.reasons import describe
from k8s_audit_otlp.exporter.safe_mode import FallbackEncoder
from k8s_audit_otlp.exporter.shared import EncodedBlocks
from k8s_audit_otlp.model import Block, Span
from k8s_audit_otlp.state.outbox import Notice
from tests.unit.exporter.running_consumer import (
    SECRET,
    FailingDelivery,
    QueuedBehind,
    Running,
    SettingAside,
    StoppedInBackOff,
    UnforeseenError,
    encode,
)

Start = Callable[[int], Running]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Running] = []

    def begin(failures: int) -> Running:
        started.append(Running(tmp_path, FailingDelivery(failures)))
        return started[-1]

    yield begin
    for one in started:
        one.close()


def test_what_a_failed_sender_had_is_sent_again_and_nothing_is_lost(
    start: Start, wait_for: Callable[..., None]
) -> None:
    running = start(5)
    wait_for(lambda: running.done)
    assert set(running.delivery.taken) == set(running.lines)
    assert running.ledger.place(1).tally.delivered == len(running.lines)
    wait_for(lambda: repr(running.budget) == f"<Budget 0/{1 << 20}>")
    assert running.gate.open


def test_a_notice_that_a_failed_sender_had_is_sent_again(
    tmp_path: Path, wait_for: Callable[..., None]
) -> None:
    """And gives back no bytes of the budget, as it took none."""
    notice = Notice("of a gap", "k8s.audit.gap", 1, 9, "body")
    running = Running(tmp_path, FailingDelivery(5), [notice])
    try:
        wait_for(lambda: running.done and not len(running.outbox))
        assert running.delivery.taken[b"of a gap"] == 1
        wait_for(lambda: repr(running.budget) == f"<Budget 0/{1 << 20}>")
    finally:
        running.close()


def test_what_could_not_be_made_a_request_is_read_again_and_its_memory_given_back(
    tmp_path: Path, wait_for: Callable[..., None]
) -> None:
    running = Running(tmp_path, FailingDelivery(0, unprepared=3))
    try:
        wait_for(lambda: running.done)
        assert set(running.delivery.taken) == set(running.lines)
        assert len(running.waits) == 3
        wait_for(lambda: repr(running.budget) == f"<Budget 0/{1 << 20}>")
    finally:
        running.close()


@pytest.mark.parametrize("fails_with", [1, 2], ids=["its own request", "a later one"])
def test_what_was_set_aside_is_not_asked_about_twice_after_a_failure(
    tmp_path: Path, wait_for: Callable[..., None], fails_with: int
) -> None:
    """It is read and sent again with the rest; what it held of the memory is given back."""
    delivery = SettingAside(fails_with)
    running = Running(tmp_path, delivery)
    try:
        wait_for(lambda: running.done)
        assert len(delivery.quarantine) == 0
        assert set(delivery.taken) == set(running.lines)
        wait_for(lambda: repr(running.budget) == f"<Budget 0/{1 << 20}>")
    finally:
        running.close()


def test_it_is_said_without_the_text_of_the_error_and_waits_longer_each_time(
    start: Start, wait_for: Callable[..., None]
) -> None:
    """Errors quote events, and events hold secrets."""
    running = start(9)
    wait_for(lambda: running.done)
    assert running.said
    assert set(running.said) == {"unforeseen UnforeseenError at consumer.py:" + of_line(running)}
    assert running.waits[:2] == [1.0, 2.0]  # anew from the start once something was taken


def test_the_wait_before_it_begins_again_starts_anew_once_something_was_settled(
    tmp_path: Path, wait_for: Callable[..., None]
) -> None:
    delivery = FailingDelivery(1)
    running = Running(tmp_path, delivery)
    try:
        wait_for(lambda: running.done)
        delivery.failures = 1
        with running.path.open("ab") as file:
            file.write(running.lines[0])
        running.log.scan()
        wait_for(lambda: running.done)
        assert running.waits == [1.0, 1.0]
    finally:
        running.close()


def test_who_is_stopped_while_it_waits_does_not_begin_again(
    tmp_path: Path, wait_for: Callable[..., None]
) -> None:
    """What was under way is the next start's; that it failed stays said until the end."""
    running = StoppedInBackOff(tmp_path, FailingDelivery(9))
    try:
        wait_for(lambda: running.stop.is_set() and not reads())
        assert "begins again where it was" in running.gate.stalled
        assert running.ledger.rewinds == 0
        assert len(running.waits) == 1
    finally:
        running.close()


def test_what_no_sender_had_taken_yet_is_made_again_and_its_memory_given_back(
    tmp_path: Path, wait_for: Callable[..., None]
) -> None:
    """It waited in the queue when another request failed, and is counted no longer."""
    delivery = QueuedBehind()
    running = Running(tmp_path, delivery, consumers=2, alone=False)
    try:
        wait_for(lambda: running.waits and running.gate.open)
        delivery.go_on.set()
        wait_for(lambda: running.done)
        assert delivery.taken == Counter(running.lines)
        wait_for(lambda: repr(running.budget) == f"<Budget 0/{1 << 20}>")
        wait_for(lambda: running.consumer.sending == 0)
    finally:
        delivery.go_on.set()
        running.close()


def reads() -> bool:
    return "read siem" in {thread.name for thread in enumerate_threads()}


def of_line(running: Running) -> str:
    return running.said[0].rpartition(":")[2]


def block(lines: Sequence[bytes]) -> Block:
    data = b"".join(lines)
    return Block(Span(1, 0, len(data)), "0123456789abcdef", "audit.log", data, 7)


GOOD = b'{"auditID":"1"}\n'
IN_A_BODY = (
    b'{"kind":"Event","auditID":"2","requestObject":{"a":"poison"},'
    b'"requestReceivedTimestamp":"t","stageTimestamp":"t"}\n'
)
WHOLLY = b'{"auditID":"poison"}\n'


@pytest.mark.parametrize("consumers", [1, 3])
def test_a_log_with_much_to_send_lets_another_have_its_turn(
    tmp_path: Path, wait_for: Callable[..., None], consumers: int
) -> None:
    """However few requests may be under way."""
    quiet = tmp_path / "quiet.log"
    quiet.write_bytes(b"quiet\n" * 4)
    running = Running(tmp_path, FailingDelivery(0), consumers=consumers, alone=False, other=quiet)
    try:
        wait_for(lambda: running.done and running.delivery.taken[b"quiet\n"])
        assert list(running.delivery.taken).index(b"quiet\n") <= 8  # after two requests
    finally:
        running.close()


@pytest.mark.parametrize(
    ("answer_s", "alone", "by_reader"),
    [(0.001, True, 9), (0.04, True, 1), (0.006, True, 1), (0.001, False, 0)],
)
def test_the_thread_that_reads_sends_to_a_back_end_that_answers_at_once(
    tmp_path: Path, wait_for: Callable[..., None], answer_s: float, alone: bool, by_reader: int
) -> None:
    """Others get their requests from the senders; the second request tells how soon it answers.

    So do all where there are several exporters.
    """
    delivery = FailingDelivery(0)
    running = Running(tmp_path, delivery, answer_s=answer_s, alone=alone)
    try:
        wait_for(lambda: running.done)
        assert Counter(delivery.threads) == Counter(read=by_reader, send=10 - by_reader)
    finally:
        running.close()


def test_a_line_that_cannot_be_encoded_costs_its_bodies_and_no_other_line() -> None:
    """And one that cannot even be encoded without them is one unparsable record."""
    said: list[str] = []
    forgiving = EncodedBlocks(FallbackEncoder(encode, said.append), sharers=1)
    whole = block([GOOD, IN_A_BODY, WHOLLY, GOOD])
    encoded = forgiving.encode(whole)
    assert encoded.records[0] == encoded.records[3] == GOOD
    assert b"poison" not in b"".join(encoded.records)
    assert b'"auditID":"2"' in encoded.records[1]
    assert encoded.records[2] == b"\x01"
    ends = [len(GOOD), len(GOOD + IN_A_BODY), len(GOOD + IN_A_BODY + WHOLLY), len(whole.data)]
    assert list(encoded.ends) == ends
    assert encoded.lines == 4
    assert len(said) == 3  # one line twice
    assert [why.split()[2] for why in said] == [
        f"0123456789abcdef-{offset:x}" for offset in (ends[0], ends[1], ends[1])
    ]
    assert not any(SECRET in why for why in said)


def test_the_description_of_a_failure_quotes_nothing() -> None:
    with pytest.raises(UnforeseenError) as raised:
        encode(block([WHOLLY]))
    assert describe(raised.value) == "unforeseen UnforeseenError"


def test_who_has_more_to_send_waits_for_nothing(
    tmp_path: Path, wait_for: Callable[..., None]
) -> None:
    """Only an exporter that has nothing left, or no sender free, is idle."""
    running = Running(tmp_path, FailingDelivery(0), consumers=20)
    wait_for(lambda: running.done)
    running.close()
    assert running.consumer.wake.while_busy == 0  # type: ignore[attr-defined] # one of ours
