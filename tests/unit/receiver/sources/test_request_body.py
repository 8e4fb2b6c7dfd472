"""A body of a request within bounds: of itself, of what it unpacks to, of all bodies together."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence

import pytest

from k8s_audit_otlp.receiver.sources.request_body import (
    BodyBudget,
    BodyError,
    BodyReader,
    check_length,
    pass_over,
)

GZIP = {"content-encoding": "gzip"}
TEXT = b"0123456789" * 10


async def arriving(chunks: Sequence[bytes], pause_s: float = 0.0) -> AsyncIterator[bytes]:
    for chunk in chunks:
        await asyncio.sleep(pause_s)
        yield chunk


def read(
    chunks: Sequence[bytes],
    headers: Mapping[str, str],
    *,
    most: int = 1000,
    budget: BodyBudget | None = None,
) -> bytes:
    reader = BodyReader(budget or BodyBudget(10_000), most, headers)
    return bytes(asyncio.run(reader.read(arriving(chunks))))


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_body_is_read_in_whatever_pieces_it_comes(size: int) -> None:
    """Plain, packed, and packed as several members one behind the other."""
    packed = gzip.compress(TEXT) + gzip.compress(b"") + gzip.compress(b"end")
    for data, headers, whole in ((TEXT, {}, TEXT), (packed, GZIP, TEXT + b"end")):
        chunks = [data[at : at + size] for at in range(0, len(data), size)]
        assert read(chunks, headers) == whole


@pytest.mark.parametrize(
    ("chunks", "headers", "status", "said"),
    [
        ([TEXT * 11], {}, 413, "over 1000 bytes"),
        ([], {"content-length": "1001"}, 413, "over 1000 bytes"),
        ([gzip.compress(TEXT * 11)], GZIP, 413, "over 1000 bytes"),
        ([gzip.compress(b"")] * 60, GZIP, 413, "over 1000 bytes"),  # packed, it is
        ([TEXT], GZIP, 400, "no gzip"),
        ([gzip.compress(TEXT)[:-1]], GZIP, 400, "cut short"),
        ([], GZIP, 400, "cut short"),
        ([zlib.compress(TEXT)], {"content-encoding": "deflate"}, 415, "gzip or none"),
    ],
)
def test_what_is_not_taken_says_why(
    chunks: Sequence[bytes], headers: Mapping[str, str], status: int, said: str
) -> None:
    """The status is what the apiserver goes by."""
    with pytest.raises(BodyError, match=said) as caught:
        read(chunks, headers)
    assert caught.value.status == status


def test_members_that_fill_nothing_are_bounded() -> None:
    """They cost time, and no limit in bytes meets them soon."""
    with pytest.raises(BodyError, match="over 1000 members"):
        read([gzip.compress(b"") * 1001], GZIP, most=1 << 20)
    assert read([gzip.compress(b"") * 1000], GZIP, most=1 << 20) == b""


def test_bodies_share_a_budget_until_they_are_released() -> None:
    """One that finds it full is asked to come again: nothing is wrong with it."""
    budget = BodyBudget(150)
    first = BodyReader(budget, 1000, {})
    asyncio.run(first.read(arriving([TEXT])))
    second = BodyReader(budget, 1000, {})
    with pytest.raises(BodyError, match="try again") as caught:
        asyncio.run(second.read(arriving([TEXT[:50], TEXT[:1]])))
    assert caught.value.status == 429
    second.release()
    second.release()
    assert read([TEXT[:50]], {}, budget=budget) == TEXT[:50]
    first.release()
    assert read([TEXT], {}, budget=budget) == TEXT


def test_a_length_that_is_said_in_two_ways_is_refused() -> None:
    check_length({"content-length": "1"})
    check_length({"transfer-encoding": "chunked"})
    with pytest.raises(BodyError, match="one of them"):
        check_length({"content-length": "1", "transfer-encoding": "chunked"})


def test_what_is_passed_over_has_an_end() -> None:
    """In bytes and in seconds: who sends for ever is not read for ever."""
    chunks = arriving([TEXT] * 10)

    async def left() -> int:
        await pass_over(chunks, 250, 60.0)
        return len([chunk async for chunk in chunks])

    assert asyncio.run(left()) == 7
    asyncio.run(pass_over(arriving([TEXT] * 10, pause_s=60.0), 1 << 20, 0.01))
