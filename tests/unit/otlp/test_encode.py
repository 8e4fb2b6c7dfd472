"""Blocks of lines become records, as a plain reading of the JSON says they must."""

import json
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8s_audit_otlp.event.processor import Shrinker
from k8s_audit_otlp.event.stages import Dropped, Transformed
from k8s_audit_otlp.otlp import interned
from k8s_audit_otlp.otlp.encode import Encoder, PythonEncoder
from k8s_audit_otlp.otlp.mapping import MappingOptions
from tests.kit import reference, strategies
from tests.kit.strategies import FILE, IDENTITY, OBSERVED, blocks_of, line_of, read


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(strategies.events, st.booleans()), max_size=5),
    st.sampled_from(["default", "plain", "semconv"]),
    st.sampled_from([0, 15, 16_000, 70_000, 2**21 - 3, 2**40]),
)
def test_every_event_maps_as_the_plain_reference_does(
    events: Any, profile: Any, start: Any
) -> None:
    """Whatever the event, the official messages read what the reference computes."""
    lines = [json.dumps(event, ensure_ascii=escaped).encode() for event, escaped in events]
    encoded = Encoder(MappingOptions(profile=profile)).encode_block(blocks_of(lines, start))
    wanted, offset, ends = [], start, []
    for line in lines:
        place = (IDENTITY, offset, FILE, OBSERVED)
        wanted.append(reference.from_line(line, place, profile))
        offset += len(line) + 1
        ends.append(offset)
    got = read(encoded)
    assert list(encoded.ends) == ends
    for one, other in zip(got, wanted, strict=True):
        faults = one["attributes"].pop("k8s.audit.parse_error", None)
        if faults:  # an unreadable time is named, and looks at severity alone
            other["severity"] = max(other["severity"], 13)
            other["severity_text"] = {13: "WARN", 17: "ERROR", 18: "ERROR"}[other["severity"]]
        assert one == other


def test_the_last_line_of_a_segment_may_lack_its_newline(block: Callable[..., Any]) -> None:
    """The place after it is the end of the block, not one byte further."""
    line = line_of()
    encoded = Encoder().encode_block(block(line + b"\n" + line))
    assert (list(encoded.ends), encoded.lines) == ([len(line) + 1, 2 * len(line) + 1], 2)


def test_an_event_whose_bodies_were_not_read_says_so(block: Callable[..., Any]) -> None:
    """Its line was too long; its record stands for all of it."""
    whole = block(line_of(level="RequestResponse") + b"\n")
    start = whole.span.start
    encoded = Encoder().encode_block(
        replace(whole, span=whole.span._replace(end=start + 9_000_000))
    )
    [record] = read(encoded)
    assert (list(encoded.ends), encoded.lines) == ([start + 9_000_000], 1)
    assert record["attributes"]["k8s.audit.truncated"] is True
    assert record["attributes"]["k8s.audit.truncation.original_bytes"] == 9_000_000
    assert "requestObject" in record["attributes"]["k8s.audit.truncation.removed"]


def test_a_long_line_that_cannot_be_read_says_how_long_it_was(block: Callable[..., Any]) -> None:
    """Not how much of it was kept."""
    line = line_of()
    for seen, at in ((b'{"kind":"Ev', 0), (line + b'{"kind":"Ev', len(line))):
        whole = block(seen + b"\n")
        start = whole.span.start
        encoded = Encoder().encode_block(
            replace(whole, span=whole.span._replace(end=start + 9_000_000))
        )
        assert read(encoded)[-1]["body"] == f"[unparsable, {9_000_000 - at} bytes removed]"


def test_the_first_and_the_last_time_of_a_block_are_told() -> None:
    """They come from the first and the last event that has a time."""
    late = line_of(stageTimestamp="2026-01-02T04:00:00.000000Z")
    untimed = b'{"kind":"Event","auditID":"x"}'
    encoded = Encoder().encode_block(blocks_of([untimed, line_of(), late, untimed]))
    assert encoded.first_ns == 1_767_323_046_000_001_000
    assert encoded.last_ns == 1_767_326_400_000_000_000


def test_a_code_that_is_none_is_left_out_and_named() -> None:
    """A code that no int64 holds would break the wire."""
    line = line_of(responseStatus={"code": 10**30})
    [record] = read(Encoder().encode_block(blocks_of([line])))
    assert record["attributes"]["k8s.audit.parse_error"] == "responseStatus.code"
    assert "responseCode" not in record["attributes"]


def test_a_body_is_utf8_whatever_was_in_the_line() -> None:
    """A byte that is no UTF-8 becomes U+FFFD, in its line only."""
    good = line_of(userAgent="é")
    bad = line_of()[:-1] + b',"requestObject":{"x":"\xff"}}'
    first, second = read(Encoder().encode_block(blocks_of([good, bad])))
    assert first["body"] == good.decode()
    assert second["body"] == bad.decode("utf-8", "replace")


def test_unique_values_leave_the_caches_bounded() -> None:
    """A client that makes every value unique neither fills memory nor evicts other groups."""
    encoder = Encoder()
    encoder.encode_block(blocks_of([line_of(objectRef={"resource": "pods"})]))
    for size in (10, 3000):
        for n in range(6):
            encoder.encode_block(
                blocks_of(
                    line_of(
                        userAgent=f"{n}-{i}" + "x" * size,
                        verb=f"v{n}-{i}",
                        sourceIPs=[f"{n}-{i}"] * 3,
                        annotations={f"k8s.io/{n}-{i}": "y" * size},
                        objectRef={"resource": "pods", "name": f"{n}-{i}" + "z" * size},
                    )
                    for i in range(1000)
                )
            )
    holders = (vars(encoder._records), vars(encoder._fast))
    caches = [c for held in holders for c in held.values() if isinstance(c, interned.Interned)]
    assert all(len(cache) <= interned.MAX_ENTRIES for cache in caches)
    assert all(cache.held_bytes <= interned.MAX_BYTES for cache in caches)
    assert len(encoder._records.objects) == 1


def test_an_event_that_a_stage_drops_leaves_only_its_rule() -> None:
    """Its place is told with the rule, so that the position can pass it."""
    encoder = Encoder(transform=lambda event, _: Dropped("rule 1") if event.verb == "x" else None)
    lines = [line_of(verb="x"), line_of(verb="y")]
    encoded = encoder.encode_block(blocks_of(lines))
    assert list(encoded.dropped) == [(len(lines[0]) + 1, "rule 1")]
    assert [record["attributes"]["verb"] for record in read(encoded)] == ["y"]


@pytest.mark.parametrize("line", [line_of(verb="x"), b"[" + line_of(verb="x") + b"]"])
def test_what_a_stage_changed_is_what_is_sent(line: bytes) -> None:
    """The changed event maps, the changed body goes out, and the marks say so."""

    def transform(event: Any, _: Any) -> Any:
        event.verb = "changed"
        return Transformed(event, b"{}", {"k8s.audit.redacted": ["a", "b"]})

    [record] = read(Encoder(transform=transform).encode_block(blocks_of([line])))
    assert record["body"] == "{}"
    assert record["attributes"]["verb"] == "changed"
    assert record["attributes"]["k8s.audit.redacted"] == ["a", "b"]


def test_a_record_over_the_limit_is_shrunk_until_it_fits() -> None:
    """The stage is told how long the JSON may be, and asked again while that is not enough."""
    asked = []

    def shrink(event: Any, body: bytes, limit: Any) -> Any:
        asked.append(limit)
        event.user_agent = ""
        return Transformed(event, body[: max(limit, 20)], {"k8s.audit.truncated": True})

    encoder = Encoder(shrink=shrink, max_record_bytes=1500)
    small, large = line_of(), line_of(userAgent="u" * 3000)
    _, second = encoder.encode_block(blocks_of([small, large])).records
    assert len(second) <= 1500
    assert asked
    assert encoder.shrunk == 1


def test_the_original_size_is_that_of_the_event_however_often_it_is_tried() -> None:
    """Each try begins with the event as it was."""
    agent = "u" * 3000
    line = line_of(userAgent=agent, user={"username": "n" * 3000, "groups": ["g" * 3000] * 9})
    encoder = Encoder(shrink=Shrinker(), max_record_bytes=5000)
    encoded = encoder.encode_block(blocks_of([line]))
    [record] = read(encoded)
    assert len(encoded.records[0]) <= 5000
    assert record["attributes"]["k8s.audit.truncation.original_bytes"] == len(line)
    assert json.loads(record["body"])["user"]["username"]


def test_a_mark_does_not_repeat_what_the_event_says() -> None:
    """The apiserver and the agent may both have cut the event; one attribute says so."""
    line = line_of(annotations={"audit.k8s.io/truncated": "true"})
    mark = {"k8s.audit.truncated": True}
    encoder = Encoder(transform=lambda event, body: Transformed(event, body, mark))
    [record] = read(encoder.encode_block(blocks_of([line])))
    assert record["attributes"]["k8s.audit.truncated"] is True


def test_the_prefix_is_one_setting() -> None:
    """All keys of ours follow it; those of the conventions do not."""
    options = MappingOptions(profile="semconv", prefix="x.")
    [record] = read(Encoder(options).encode_block(blocks_of([line_of(verb="get")])))
    assert record["attributes"]["x.verb"] == "get"
    assert record["attributes"]["http.request.method"] == "GET"
    assert not [key for key in record["attributes"] if key.startswith("k8s.audit.")]


def test_items_of_a_list_are_named_by_their_index() -> None:
    """Each has its own JSON, its own uid, and the kind that items lack."""
    item = line_of()
    listed = (
        b'{"kind":"EventList","items":[' + item + b", " + item.replace(b'"kind": "Event", ', b"")
    )
    first, second = read(Encoder().encode_block(blocks_of([b"", listed + b"]}"])))
    assert first["attributes"]["log.record.uid"] == f"{IDENTITY}-1.0"
    assert second["attributes"]["log.record.uid"] == f"{IDENTITY}-1.1"
    assert first["body"] == item.decode()
    assert second["attributes"]["kind"] == "Event"


def test_a_glued_event_is_named_by_its_own_place() -> None:
    """Two records of one line never share a uid."""
    torn, whole = line_of()[:40], json.dumps({"kind": "Event", "auditID": "b"}).encode()
    encoded = Encoder().encode_block(blocks_of([b"\x00\x00" + torn + whole]))
    removed, glued = read(encoded)
    assert removed["attributes"]["log.record.uid"] == f"{IDENTITY}-2"
    assert removed["body"] == "[unparsable, 40 bytes removed]"
    assert removed["severity"] == 13
    assert glued["attributes"]["log.record.uid"] == f"{IDENTITY}-{42:x}"
    assert glued["attributes"]["auditID"] == "b"
    assert list(encoded.ends) == [encoded.span.end] * 2


@pytest.mark.parametrize(
    ("encoder", "most"),
    [
        (Encoder(digests=True), 2.5),
        (Encoder(digests=True, transform=lambda _event, _line: None), 2.5),
        (PythonEncoder(digests=True), 4.5),
    ],
)
def test_a_long_event_is_in_memory_a_few_times(encoder: Encoder, most: float) -> None:
    """As its line and its record, in Python its parts too; behind that the record alone is held."""
    long = {"kind": "Widget", "text": "\N{GRINNING FACE}" + "x" * 8_000_000}
    event = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "RequestResponse",
        "auditID": "a",
        "stage": "ResponseComplete",
        "requestURI": "/",
        "verb": "get",
        "user": {"username": "u"},
        "responseStatus": {"code": 200},
        "responseObject": long,
        **strategies.TIMES,
    }
    block = blocks_of([strategies.as_written(event, escaped=False)])
    tracemalloc.start()
    try:
        record = encoder.encode_block(block).records[0]
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    size = len(block.data)
    assert (round(held / size, 1), peak < most * size) == (1.0, True), (held, peak, len(record))
