"""Blocks for several readers: each is read once, as many are kept as fit."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from k8s_audit_otlp.model import Block, Span
from k8s_audit_otlp.receiver.block_cache import BlockCache


def block(offset: int, size: int = 100) -> Block:
    return Block(Span(1, offset, offset + size), "id", "audit.log", b"x" * size, 1)


def must_not_be_read() -> Block:
    raise AssertionError


def test_the_newest_are_kept() -> None:
    """Whoever lags reads past the cache."""
    cache = BlockCache(250)
    for offset in (0, 100, 200):
        cache.get(1, offset, lambda offset=offset: block(offset))  # type: ignore[misc] # a default for each
    assert cache.get(1, 200, must_not_be_read) == block(200)
    assert cache.get(1, 100, must_not_be_read) == block(100)
    with pytest.raises(AssertionError):
        cache.get(1, 0, must_not_be_read)


def test_what_is_larger_than_the_cache_is_not_kept() -> None:
    """It would take the place of all others."""
    cache = BlockCache(250)
    cache.get(1, 0, lambda: block(0))
    cache.get(1, 100, lambda: block(100, 251))
    assert cache.get(1, 0, must_not_be_read) == block(0)


def test_nothing_found_is_asked_for_again() -> None:
    """Something may have come meanwhile."""
    cache = BlockCache(250)
    assert cache.get(1, 0, lambda: None) is None
    assert cache.get(1, 0, lambda: block(0)) == block(0)


def test_who_comes_while_a_block_is_read_waits_for_it() -> None:
    """Two exporters at one place would else both read it; one at another place does not wait."""
    cache, begun, go_on = BlockCache(250), Event(), Event()

    def slow() -> Block:
        begun.set()
        assert go_on.wait(30)
        return block(0)

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(cache.get, 1, 0, slow)
        assert begun.wait(30)
        others = [pool.submit(cache.get, 1, 0, must_not_be_read) for _ in range(3)]
        assert cache.get(1, 100, lambda: block(100)) == block(100)
        go_on.set()
        assert {id(one.result()) for one in [first, *others]} == {id(first.result())}


def test_after_a_failure_the_next_one_reads() -> None:
    """A disk may have failed for one of them alone."""
    cache = BlockCache(250)
    with pytest.raises(AssertionError):
        cache.get(1, 0, must_not_be_read)
    assert cache.get(1, 0, lambda: block(0)) == block(0)
