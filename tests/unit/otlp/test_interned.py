"""What is remembered is bounded, and the same as what is made anew."""

from k8s_audit_otlp.otlp.interned import MAX_BYTES, MAX_ENTRIES, MAX_ENTRY_BYTES, Interned


def test_what_is_in_use_survives_a_flood_of_unique_values() -> None:
    """Otherwise a client could make every other event slow."""
    built = []
    interned = Interned(lambda key: built.append(key) or b"x")  # type: ignore[func-returns-value] # then the value
    for n in range(3 * MAX_ENTRIES):
        assert interned["hot"] == b"x"
        assert interned[f"unique {n}"] == b"x"
    assert built.count("hot") == 1
    assert len(interned) + len(interned._old) <= 2 * MAX_ENTRIES


def test_long_values_are_not_kept() -> None:
    """They are built each time, and hold no memory."""
    interned = Interned(lambda key: key * 2)
    for _ in range(2):
        assert interned["k" * MAX_ENTRY_BYTES] == "k" * 2 * MAX_ENTRY_BYTES
    assert not interned
    assert interned.held_bytes == 0


def test_the_bytes_held_are_bounded() -> None:
    """Also where there are few entries."""
    interned = Interned(lambda key: key)
    for n in range(4 * MAX_ENTRIES):
        assert interned[f"{n:1500}"]
    assert interned.held_bytes <= MAX_BYTES
    assert sum(map(len, interned)) <= MAX_BYTES
