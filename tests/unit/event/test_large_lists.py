"""Large lists are read item by item, and put together again."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.event.splice.lists import parts_of, rewritten


def listing(items: list[bytes], *, kind: bytes = b"PodList") -> bytes:
    return b'{"kind":"%b","items":[%b],"metadata":{}}' % (kind, b",".join(items))


@given(
    changed=st.lists(st.booleans(), min_size=1, max_size=6),
    size=st.sampled_from([1, 400_000]),
    framed=st.booleans(),
)
def test_items_that_changed_are_put_back_in_their_places(
    changed: list[bool], size: int, framed: bool
) -> None:
    items = [b'{"n":%d,"pad":"%b"}' % (n, b"x" * size) for n in range(len(changed))]
    body = listing(items)
    parts = parts_of(body)
    assert parts is not None
    new = {old: b'{"n":"[redacted]"}' for old, so in zip(items, changed, strict=True) if so}
    frame = listing([], kind=b"[redacted]") if framed else parts.frame
    found = rewritten(body, parts, frame, lambda item: new.get(item, item))
    kind = b"[redacted]" if framed else b"PodList"
    assert found == listing([new.get(item, item) for item in items], kind=kind)
    assert (found is body) == (not framed and not any(changed))


def test_a_list_of_which_all_changes_is_in_memory_once_more() -> None:
    body = listing([b'{"n":%d,"pad":"%b"}' % (n, b"x" * 1000) for n in range(8000)])
    parts = parts_of(body)
    assert parts is not None
    tracemalloc.start()
    try:
        found = rewritten(body, parts, parts.frame, lambda item: item.replace(b"x", b"y"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == body.replace(b"x", b"y")
    assert peak < 1.5 * len(body)


@pytest.mark.parametrize(
    "body",
    [b'{"items":[]}', b'{"items": [1]}', b'{"items":[1, 2]}', b'{"a":"\\"items\\":["}', b"["],
)
def test_what_is_no_list_in_the_usual_form_is_not_taken_apart(body: bytes) -> None:
    assert parts_of(body) is None
