"""The table of heavy hitters is exact while it can be, bounded always, and knows its error."""

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.tools.heaviest import Heaviest

adds = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 1000)), max_size=200)


@given(adds, st.integers(1, 20))
def test_no_sum_is_too_high_nor_lower_than_the_error_says(found: Any, most: Any) -> None:
    """Held against a plain counter, with a table that is too small for the keys."""
    table, plain = Heaviest[int](most), Counter[int]()
    for key, size in found:
        table.add(key, size, None)
        plain[key] += size
    assert len(table) <= most
    kept = {key: sums.log_bytes for key, sums in table.top(most)}
    for key, size in plain.items():
        assert size - table.error <= kept.get(key, 0) <= size


@given(adds)
def test_with_room_for_every_key_everything_is_exact(found: Any) -> None:
    """No error, and events are counted too."""
    table = Heaviest[int](31)
    for key, size in found:
        table.add(key, size, 2 * size if key % 2 else None)
    assert table.error == 0
    for key, sums in table.top(31):
        sizes = [size for other, size in found if other == key]
        sent = [2 * size for size in sizes] if key % 2 else []
        assert sums == (len(sizes), sum(sizes), len(sent), sum(sent))


def test_what_would_be_sent_comes_first() -> None:
    """A large key that the policy drops costs nothing."""
    table = Heaviest[str](10)
    table.add("dropped", 1000, None)
    table.add("sent", 10, 20)
    assert [key for key, _ in table.top(2)] == ["sent", "dropped"]
