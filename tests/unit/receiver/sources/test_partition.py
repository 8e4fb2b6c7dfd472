"""Texts in pieces are put together over messages, and nothing is committed that has begun."""

import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.receiver.sources.partition import MOST_MESSAGES, MOST_S, Partition


def event(number: int, size: int = 200) -> bytes:
    body = {"kind": "Event", "auditID": f"id-{number}", "userAgent": "x" * size}
    return json.dumps(body).encode()


def docker(text: bytes, container: str = "c", *, more: bool = False) -> bytes:
    log = text.decode() + ("" if more else "\n")
    return json.dumps({"log": log, "stream": "stdout", "container_id": container}).encode()


def ids(lines: list[bytes]) -> list[str]:
    return [json.loads(line)["auditID"] for line in lines]


def test_what_has_begun_is_not_committed() -> None:
    """The events behind it are taken; the offset stays before its first piece."""
    partition, text = Partition(), event(1)
    assert partition.take(10, b"", docker(text[:90], more=True)) == []
    assert ids(partition.take(11, b"", docker(event(2), "other"))) == ["id-2"]
    assert partition.position == 10
    assert ids(partition.take(12, b"", docker(text[90:]))) == ["id-1"]
    assert partition.position == 13


def test_an_end_that_does_not_come_is_given_up() -> None:
    """After a while, or after many messages; it is told as torn."""
    for number, now in ((11, MOST_S), (10 + MOST_MESSAGES, 0.0)):
        partition = Partition()
        partition.take(10, b"", docker(event(1)[:90], more=True))
        assert partition.overdue(0.0) == []
        partition.take(number, b"", b"I0102 03:04:05 text")
        (torn,) = partition.overdue(now)
        assert torn == event(1)[:90] + b"\n"
        assert (partition.position, partition.left_out) == (number + 1, 1)


def test_pieces_of_one_key_belong_together() -> None:
    """Lines of containers may name nothing else."""
    partition, one, two = Partition(), event(1), event(2)
    lines: list[bytes] = []
    for offset, (key, text, sign) in enumerate(
        [(b"a", one[:50], "P"), (b"b", two[:70], "P"), (b"a", one[50:], "F"), (b"b", two[70:], "F")]
    ):
        line = f"2026-01-02T03:04:05Z stdout {sign} ".encode() + text
        lines += partition.take(offset, key, line)
    assert ids(lines) == ["id-1", "id-2"]


@given(
    cuts=st.lists(st.lists(st.integers(1, 200), max_size=3), min_size=1, max_size=5),
    kill=st.integers(0, 20),
)
def test_a_reader_that_is_killed_loses_nothing(cuts: list[list[int]], kill: int) -> None:
    """Another goes on from the last position, and gets all that is not there yet."""
    messages: list[bytes] = []
    for number, places in enumerate(cuts):
        text = event(number)
        edges = sorted({0, len(text), *(60 + at % 150 for at in places)})
        parts = [text[a:b] for a, b in pairwise(edges)]
        messages += [docker(p, more=n < len(parts) - 1) for n, p in enumerate(parts)]
    first, found = Partition(), []
    for offset, message in enumerate(messages[:kill]):
        found += first.take(offset, b"", message)
    second = Partition()
    start = first.position
    for offset, message in enumerate(messages[start:], start):
        found += second.take(offset, b"", message)
    assert set(ids(found)) == {f"id-{number}" for number in range(len(cuts))}
    assert max(start, second.position) == len(messages)


def test_what_is_no_message_is_passed() -> None:
    """Markers of transactions have offsets; a text that has begun before them still holds back."""
    partition, text = Partition(), event(1)
    partition.take(10, b"", event(2))
    partition.pass_to(12)
    assert partition.position == 12
    partition.pass_to(0)
    assert partition.position == 12
    partition.take(12, b"", docker(text[:90], more=True))
    partition.pass_to(14)
    assert partition.position == 12
    assert ids(partition.take(14, b"", docker(text[90:]))) == ["id-1"]
    assert partition.position == 15
