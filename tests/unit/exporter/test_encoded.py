"""Blocks are encoded once for all exporters that map alike."""

from threading import Barrier, Thread

from k8s_audit_otlp.exporter.encoded import EncodedBlocks
from k8s_audit_otlp.model import Block, EncodedBlock, Span


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


def test_a_shortened_line_ends_where_it_ends_on_disk() -> None:
    """Its block stands for more bytes than it holds."""
    blocks = EncodedBlocks(Counting(), sharers=1)
    assert blocks.encode(_block(0, 1000, data=b"short\n")).ends == [1000]
    assert blocks.encode(_block(0, 6, data=b"short\n")).ends == [6]


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
