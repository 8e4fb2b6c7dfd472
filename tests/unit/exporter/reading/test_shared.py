"""Blocks are encoded, and requests made, once for all exporters that are alike."""

from collections.abc import Sequence
from threading import Barrier, Thread

from k8s_audit_otlp.exporter.shared import EncodedBlocks, Requests, SharingSender, SingleFlightCache
from k8s_audit_otlp.model import Block, Delivered, EncodedBlock, Outcome, Span
from k8s_audit_otlp.transport.sender import ExportRequest


def _block(start: int, size: int = 10, *, data: bytes | None = None) -> Block:
    span = Span(1, start, start + size)
    return Block(span, "abc", "audit.log", bytes(size) if data is None else data, 0)


class Counting:
    """Encodes a block as one record of 100 bytes, and counts."""

    def __init__(self) -> None:
        self.calls: list[Span] = []

    def __call__(self, block: Block) -> EncodedBlock:
        self.calls.append(block.span)
        return EncodedBlock(block.span, [bytes(100)], [block.span.start + len(block.data)])


def test_who_shares_finds_what_another_one_encoded() -> None:
    """By its place, whoever read it."""
    encode = Counting()
    blocks = EncodedBlocks(encode, sharers=2)
    assert blocks.encode(_block(0)) is blocks.encode(_block(0))
    blocks.encode(_block(10))
    assert len(encode.calls) == 2


def test_a_single_exporter_keeps_nothing() -> None:
    """There is nobody else to want it."""
    encode = Counting()
    blocks = EncodedBlocks(encode, sharers=1)
    blocks.encode(_block(0))
    blocks.encode(_block(0))
    assert len(encode.calls) == 2


def test_what_is_kept_is_bounded_in_bytes() -> None:
    """The oldest goes first, the newest always stays."""
    encode = Counting()
    blocks = EncodedBlocks(encode, sharers=2, cache_bytes=250)
    for start in (0, 10, 20):
        blocks.encode(_block(start))
    blocks.encode(_block(20))
    blocks.encode(_block(10))
    assert len(encode.calls) == 3
    blocks.encode(_block(0))
    assert len(encode.calls) == 4


def test_threads_that_come_at_once_wait_for_the_first() -> None:
    """One of them encodes."""
    encode, barrier = Counting(), Barrier(4)
    blocks = EncodedBlocks(encode, sharers=4)

    def work() -> None:
        barrier.wait()
        for start in range(0, 500, 10):
            blocks.encode(_block(start))

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(encode.calls) == 50


def test_an_encoder_that_raises_leaves_nobody_waiting() -> None:
    """The next one tries again."""
    failing = [True]

    def encode(block: Block) -> EncodedBlock:
        if failing.pop():
            raise ZeroDivisionError
        return EncodedBlock(block.span, [], [])

    blocks = EncodedBlocks(encode, sharers=2)
    failing.insert(0, False)
    try:
        blocks.encode(_block(0))
    except ZeroDivisionError:
        assert blocks.encode(_block(0)).records == []
    else:
        raise AssertionError("the error was swallowed")


class Joining:
    """A sender whose requests are the records one behind the other; it counts what it made."""

    def __init__(self) -> None:
        self.made: list[bytes] = []
        self.sent: list[ExportRequest] = []

    def prepare(self, receiver: str, records: Sequence[bytes]) -> ExportRequest:
        body = b"".join(records)
        self.made.append(body)
        return ExportRequest(body, len(body), receiver)

    def send(self, request: ExportRequest) -> Outcome:
        self.sent.append(request)
        return Delivered()

    def close(self) -> None:
        """Nothing is open."""


def _two() -> tuple[Joining, Joining, SharingSender, SharingSender]:
    one, other = Joining(), Joining()
    requests: Requests = SingleFlightCache(2, 1 << 20)
    return one, other, SharingSender(one, requests), SharingSender(other, requests)


def test_a_request_of_the_same_records_is_taken_over_and_sent_by_each() -> None:
    one, other, first, second = _two()
    request = first.prepare("k8s_audit", [b"a", b"b", b"c"])
    assert second.prepare("k8s_audit", [b"a", b"b", b"c"]) is request
    first.send(request)
    second.send(request)
    assert other.made == []
    assert one.sent == other.sent == [request]


def test_a_request_of_other_records_is_made_anew() -> None:
    """Whatever the ends are alike, or the receiver whose resource stands before them."""
    _, other, first, second = _two()
    first.prepare("k8s_audit", [b"a", b"b", b"c"])
    assert second.prepare("k8s_audit", [b"a", b"x", b"c"]).body == b"axc"
    first.prepare("k8s_audit", [b"a", b"b"])
    assert second.prepare("other", [b"a", b"b"]).receiver == "other"
    assert other.made == [b"axc", b"ab"]


def test_what_every_exporter_has_had_is_kept_no_longer() -> None:
    """A batch that is made again is made by whoever wants it."""
    one, other, first, second = _two()
    for sender in (first, second, second):
        sender.prepare("k8s_audit", [b"a"])
    assert (one.made, other.made) == ([b"a"], [b"a"])
