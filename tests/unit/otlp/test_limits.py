"""Attributes leave within the limits of the back end, and still say what they said."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.otlp import wire
from k8s_audit_otlp.otlp.limits import UID, AttributeLimiter, AttributeLimits, Limits, cut_text

VALUES = st.one_of(
    st.text(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.lists(st.text())
)
PAIRS = st.lists(st.tuples(st.text(min_size=1), VALUES))


LIMITS = st.builds(
    AttributeLimits,
    name_bytes=st.integers(8, 64),
    value_bytes=st.integers(8, 64),
    list_items=st.integers(0, 4),
    lists_as_json=st.booleans(),
)


@given(PAIRS, LIMITS)
def test_every_attribute_keeps_the_limits(
    pairs: list[tuple[str, wire.Value]], limits: AttributeLimits
) -> None:
    """Names, texts and lists, whatever clients choose."""
    for key, value in AttributeLimiter(limits, "p.")(pairs):
        assert len(key.encode("utf-8", "replace")) <= limits.name_bytes
        assert not (limits.lists_as_json and isinstance(value, list))
        texts = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        assert all(len(t.encode("utf-8", "replace")) <= limits.value_bytes for t in texts)
        assert not isinstance(value, list) or len(value) <= (limits.list_items or len(value))


@given(st.text(), st.integers(1, 40))
def test_a_text_is_cut_between_characters(text: str, most: int) -> None:
    """What is left is the start of it."""
    cut = cut_text(text, most)
    assert text.startswith(cut)
    assert len(cut.encode("utf-8", "replace")) <= most
    assert cut == text or len(text.encode("utf-8", "replace")) > most


@given(st.lists(st.text()), st.integers(2, 60))
def test_a_list_as_text_is_valid_json(items: list[str], most: int) -> None:
    """Whole items from its start."""
    limiter = AttributeLimiter(AttributeLimits(value_bytes=most, lists_as_json=True), "p.")
    text = limiter.value(items)
    assert isinstance(text, str)
    kept = json.loads(text)
    assert kept == items[: len(kept)]
    assert len(text) <= most


def test_without_limits_nothing_changes() -> None:
    """The default costs nothing but the walk."""
    pairs: list[tuple[str, Any]] = [("a.b", "x"), ("n", 1), ("l", ["y"])]
    assert list(AttributeLimiter(AttributeLimits(), "p.")(pairs)) == pairs


def test_a_reserved_name_gets_the_prefix() -> None:
    """Where the prefixed name is taken, the record says the same already."""
    limits = AttributeLimits(reserved=frozenset({"status", "level"}))
    limiter = AttributeLimiter(limits, "k8s.audit.", taken={"k8s.audit.level"})
    pairs = [("status", "FAIL"), ("level", "Metadata"), ("verb", "get")]
    assert list(limiter(pairs)) == [("k8s.audit.status", "FAIL"), ("verb", "get")]
    assert limiter.names(["status", "level"]) == ["k8s.audit.status"]


def test_flat_names_keep_the_uid_readable() -> None:
    """It is read back from records, for dead letters."""
    limiter = AttributeLimiter(AttributeLimits(flat_names=True), "p.")
    assert limiter.name("k8s.audit.object_ref.name") == "k8s_audit_object_ref_name"
    assert limiter.name(UID) == UID


def test_names_that_become_one_are_sent_once() -> None:
    """A record with a name that is there twice is refused by some, and read anyhow by others."""
    limiter = AttributeLimiter(AttributeLimits(flat_names=True), "p.")
    assert list(limiter([("a.b", "x"), ("a_b", "y")])) == [("a_b", "x")]


def test_room_is_what_the_others_leave() -> None:
    """No limit is no bound."""
    assert AttributeLimits().room(50) is None
    assert AttributeLimits(count=64).room(50) == 14
    assert AttributeLimits(count=64).room(70) == 0


def test_requests_take_the_smaller_bound() -> None:
    """Of what is wanted and what is taken; 0 is no bound."""
    limits = Limits(request_bytes=100, request_records=10, max_age_s=5)
    assert (limits.request_size(50), limits.request_size(500)) == (50, 100)
    assert (limits.request_count(0), limits.request_count(5), limits.request_count(50)) == (
        10,
        5,
        10,
    )
    assert limits.oldest_ns(6 * 10**9) == 10**9
    none = Limits()
    assert (none.request_size(50), none.request_count(0), none.oldest_ns(10**18)) == (50, 0, 0)
