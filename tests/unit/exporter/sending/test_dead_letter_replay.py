"""Dead letters sent once more: what leaves the file, what stays, and when it gives up."""

import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.exporter.backoff import Backoff
from k8s_audit_otlp.exporter.batcher import BatchLimits
from k8s_audit_otlp.exporter.dead_letter import DeadLetterFile, read_entries
from k8s_audit_otlp.exporter.dead_letter_replay import Replay, ReplayRunningError
from k8s_audit_otlp.otlp.record import uid_of
from k8s_audit_otlp.transport.http import HttpSender
from tests.kit.backends.backend import Backend
from tests.kit.backends.steps import Accept, Limit, PartialSuccess, Poison, Refuse, Throttle
from tests.kit.senders import http_sender


@pytest.fixture
def dead_letters(tmp_path: Path, harness: Callable[..., Any], record: Callable[..., Any]) -> Any:
    """Make a dead letter with records of these uids."""
    file = DeadLetterFile(tmp_path / "dead-letter", "otlp_http", uid_of=uid_of)
    in_flight = harness(lambda _: None).in_flight([b"x"])

    def made(*uids: Any, **rest: Any) -> Any:
        file.dead_letter(in_flight, [record(uid, **rest) for uid in uids], "HTTP 400")
        return file.path

    dead_letter: Any = made
    dead_letter.file, dead_letter.in_flight = file, in_flight
    return dead_letter


@pytest.fixture
def replay(
    backend: Backend, resource_scopes: dict[str, tuple[bytes, bytes]]
) -> Iterator[Callable[..., Any]]:
    made: list[HttpSender] = []
    waits: list[float] = []

    def make(path: Path, receivers: Any = ("k8s_audit",), **limits: Any) -> Any:
        sender = http_sender(backend.logs_url, resource_scopes, timeout="5s")
        made.append(sender)
        backoff = Backoff(randomization=0.0)
        return Replay(path, sender, receivers, BatchLimits(**limits), backoff, wait=waits.append)

    replaying: Any = make
    replaying.waits = waits
    yield replaying
    for sender in made:
        sender.close()


def left(path: Path) -> list[Any]:
    return [letter.uid for letter in read_entries(path)]


def test_accepted_records_leave_the_file(replay: Any, dead_letters: Any, backend: Backend) -> None:
    """All of them, in requests within the limits."""
    path = dead_letters(*(f"u{i}" for i in range(25)))
    result = replay(path, max_records=10).run()
    assert (result.accepted, result.refused, result.stopped) == (25, 0, "")
    assert set(backend.received.uids) == {f"u{i}" for i in range(25)}
    assert backend.requests_total == 3
    assert left(path) == []


def test_what_is_refused_again_stays(replay: Any, dead_letters: Any, backend: Backend) -> None:
    """The others go, whatever they share a request with."""
    backend.plan = [Poison(b"poison-pill")]
    path = dead_letters("a", "b")
    dead_letters("bad", body="poison-pill")
    dead_letters("c", "d")
    result = replay(path).run()
    assert (result.accepted, result.refused) == (4, 1)
    assert "HTTP 400" in result.why
    assert left(path) == ["bad"]


def test_a_limit_of_the_back_end_is_kept_to(
    replay: Any, dead_letters: Any, backend: Backend
) -> None:
    """413 splits."""
    backend.plan = [Limit(3000)]
    path = dead_letters(*(f"u{i}" for i in range(20)), size=1000)
    assert replay(path).run().accepted == 20


def test_a_partial_success_is_no_acceptance(
    replay: Any, dead_letters: Any, backend: Backend
) -> None:
    """What may have been refused is kept until it is known."""
    backend.plan = [PartialSuccess(1, "no"), Accept(), PartialSuccess(1, "no")]
    path = dead_letters("a", "b")
    result = replay(path).run()
    assert (result.accepted, result.refused) == (1, 1)
    assert left(path) == ["b"]


def test_a_back_end_that_refuses_everything_ends_it(
    replay: Any, dead_letters: Any, backend: Backend
) -> None:
    """Eight in a row, and the file is as it was."""
    backend.plan = [Refuse(400)]
    path = dead_letters(*(f"u{i}" for i in range(300)))
    before = path.read_bytes()
    result = replay(path).run()
    assert result.stopped.startswith("every record is refused")
    assert path.read_bytes() == before
    assert backend.requests_total < 30


def test_a_wrong_key_ends_it_at_once(replay: Any, dead_letters: Any, backend: Backend) -> None:
    """There is nothing to wait for."""
    backend.plan = [Refuse(401)]
    path = dead_letters("a")
    assert ": HTTP 401" in replay(path).run().stopped
    assert backend.requests_total == 1
    assert left(path) == ["a"]


def test_throttling_is_waited_out_for_a_while(
    replay: Any, dead_letters: Any, backend: Backend
) -> None:
    """Then the command ends; what was accepted is removed."""
    backend.plan = [Accept(), Throttle(429, 7), Accept(), Throttle(503)]
    path = dead_letters("a", "b", "c")
    result = replay(path, max_records=1).run()
    assert result.accepted == 2
    assert "HTTP 503" in result.stopped
    assert replay.waits[0] == pytest.approx(7.35)
    assert left(path) == ["c"]


def test_letters_without_a_record_or_a_receiver_stay(
    replay: Any, dead_letters: Any, backend: Backend
) -> None:
    """They cannot be sent, and are counted."""
    path = dead_letters("a")
    file, in_flight = dead_letters.file, dead_letters.in_flight
    file.note_refused(in_flight, [b"\x12\x00", b"\x12\x00"], 1, "partial")
    result = replay(path, receivers=()).run()
    assert (result.accepted, result.without_record, result.without_receiver) == (0, 1, 1)
    assert len(list(read_entries(path))) == 2
    assert backend.requests_total == 0


def test_what_the_agent_appends_meanwhile_stays(
    replay: Any, dead_letters: Any, backend: Backend
) -> None:
    """The file changes only by what was sent."""
    path = dead_letters("a", "b")

    def appending(_request: Any) -> Any:
        dead_letters("late")
        return Accept()

    backend.plan = appending
    replay(path).run()
    assert left(path) == ["late"]


def test_two_replays_at_a_time_are_refused(replay: Any, dead_letters: Any) -> None:
    """Each record would be sent twice."""
    path = dead_letters("a")
    fd = os.open(path.with_suffix(".replay"), os.O_RDWR | os.O_CREAT)
    fcntl.flock(fd, fcntl.LOCK_EX)
    with pytest.raises(ReplayRunningError, match="under way"):
        replay(path).run()
    os.close(fd)
    assert left(path) == ["a"]
