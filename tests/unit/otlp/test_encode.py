import importlib.util
import json
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.logs.v1.logs_pb2 import ScopeLogs

from k8s_audit_otlp.event.stages import Dropped, Transformed
from k8s_audit_otlp.model import Block, Span
from k8s_audit_otlp.otlp import interned
from k8s_audit_otlp.otlp.encode import Encoder
from k8s_audit_otlp.otlp.mapping import MappingOptions

spec = importlib.util.spec_from_file_location("reference", Path(__file__).parent / "reference.py")
reference = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reference)

IDENTITY, FILE, OBSERVED = "0123456789abcdef", "audit.log", 1_764_000_000_123_456_789
TIMES = {
    "requestReceivedTimestamp": "2026-01-02T03:04:05.000006Z",
    "stageTimestamp": "2026-01-02T03:04:06.000001Z",
}

text = st.one_of(st.text(max_size=12), st.text(min_size=120, max_size=140), st.just(""))
texts = st.lists(text, max_size=4)
notes = st.dictionaries(
    st.one_of(
        st.sampled_from(
            [
                "authorization.k8s.io/decision",
                "authorization.k8s.io/reason",
                "audit.k8s.io/truncated",
                "k8s.io/deprecated",
                "pod-security.kubernetes.io/audit-violations",
                "apiserver.latency.k8s.io/total",
                "failed-open.validating.webhook.admission.k8s.io/round_0_index_1",
                "x.invalid-cert.kubernetes.io/host",
            ]
        ),
        text,
    ),
    st.one_of(text, st.sampled_from(["allow", "forbid", "true", "é" * 1025])),
    max_size=6,
)
extra = st.dictionaries(
    st.one_of(st.just("authentication.kubernetes.io/pod-name"), text), texts, max_size=3
)
user = st.fixed_dictionaries(
    {},
    optional={
        "username": st.one_of(text, st.sampled_from(["system:node:a", "system:x", "eks:a"])),
        "uid": text,
        "groups": st.none() | texts,
        "extra": st.none() | extra,
    },
)
ref = st.fixed_dictionaries(
    {},
    optional={
        "resource": st.sampled_from(["pods", "secrets", ""]),
        "subresource": st.sampled_from(["exec", "status", "log"]),
        **dict.fromkeys(
            ("namespace", "name", "uid", "apiGroup", "apiVersion", "resourceVersion"), text
        ),
    },
)
status = st.fixed_dictionaries(
    {},
    optional={
        "code": st.sampled_from([0, 101, 200, 201, 304, 401, 403, 404, 429, 500, -5, 2**31 - 1]),
        "reason": st.sampled_from(["", "Forbidden", "NotFound"]),
        "message": text,
        "status": text,
    },
)
time = st.one_of(
    st.datetimes(datetime(1900, 1, 1), datetime(2262, 1, 1)).map(  # noqa: DTZ001 # naive bounds
        lambda t: t.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    ),
    st.sampled_from(
        [
            "2026-01-02T03:04:05.678901Z",
            "2026-01-02 03:04:05.38",
            "2026-01-02T03:04:05+02:00",
            "0001-01-01T00:00:00Z",
            None,
        ]
    ),
)
body = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
events = st.fixed_dictionaries(
    {"kind": st.just("Event"), "auditID": text},
    optional={
        "apiVersion": st.sampled_from(["audit.k8s.io/v1", "audit.k8s.io/v1beta1"]),
        "level": st.sampled_from(["Metadata", "Request", "RequestResponse"]),
        "stage": st.sampled_from(
            ["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"]
        ),
        "requestURI": st.one_of(text, st.sampled_from(["/api?x=1&y=é", "/healthz?"])),
        "verb": st.sampled_from(["get", "list", "watch", "head", "brew", ""]),
        "user": st.none() | user,
        "impersonatedUser": st.none() | user,
        "authenticationMetadata": st.fixed_dictionaries(
            {}, optional={"impersonationConstraint": text}
        ),
        "sourceIPs": st.none() | texts,
        "userAgent": text,
        "objectRef": st.none() | ref,
        "responseStatus": st.none() | status,
        "requestObject": body,
        "responseObject": body,
        "requestReceivedTimestamp": time,
        "stageTimestamp": time,
        "annotations": st.none() | notes,
        "unknown": body,
    },
)


def blocks_of(lines, start=0):
    data = b"".join(line + b"\n" for line in lines)
    return Block(Span(1, start, start + len(data)), IDENTITY, FILE, data, OBSERVED)


def read(encoded):
    return [
        reference.parsed(record)
        for record in ScopeLogs.FromString(b"".join(encoded.records)).log_records
    ]


def line_of(**members):
    return json.dumps({"kind": "Event", "auditID": "a", **TIMES, **members}).encode()


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(events, st.booleans()), max_size=5),
    st.sampled_from(["default", "plain", "semconv"]),
    st.sampled_from([0, 15, 16_000, 70_000, 2**21 - 3, 2**40]),
)
def test_every_event_maps_as_the_plain_reference_does(made, profile, start):
    """Whatever the event, the official messages read what the reference computes."""
    lines = [json.dumps(event, ensure_ascii=escaped).encode() for event, escaped in made]
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
            other["severity_text"] = {13: "WARN", 17: "ERROR", 18: "ERROR2"}[other["severity"]]
        assert one == other


def test_the_last_line_of_a_segment_may_lack_its_newline(block):
    """The place after it is the end of the block, not one byte further."""
    line = line_of()
    encoded = Encoder().encode_block(block(line + b"\n" + line))
    assert (list(encoded.ends), encoded.lines) == ([len(line) + 1, 2 * len(line) + 1], 2)


def test_the_first_and_the_last_time_of_a_block_are_told():
    """They come from the first and the last event that has a time."""
    late = line_of(stageTimestamp="2026-01-02T04:00:00.000000Z")
    untimed = b'{"kind":"Event","auditID":"x"}'
    encoded = Encoder().encode_block(blocks_of([untimed, line_of(), late, untimed]))
    assert encoded.first_ns == 1_767_323_046_000_001_000
    assert encoded.last_ns == 1_767_326_400_000_000_000


def test_a_code_that_is_none_is_left_out_and_named():
    """A code that no int64 holds would break the wire."""
    line = line_of(responseStatus={"code": 10**30})
    [record] = read(Encoder().encode_block(blocks_of([line])))
    assert record["attributes"]["k8s.audit.parse_error"] == "responseStatus.code"
    assert "responseCode" not in record["attributes"]


def test_a_body_is_utf8_whatever_was_in_the_line():
    """A byte that is no UTF-8 becomes U+FFFD, in its line only."""
    good = line_of(userAgent="é")
    bad = line_of()[:-1] + b',"requestObject":{"x":"\xff"}}'
    first, second = read(Encoder().encode_block(blocks_of([good, bad])))
    assert first["body"] == good.decode()
    assert second["body"] == bad.decode("utf-8", "replace")


def test_unique_values_leave_the_caches_bounded():
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
    holders = (vars(encoder._records), vars(encoder._hot))
    caches = [c for held in holders for c in held.values() if isinstance(c, interned.Interned)]
    assert all(len(cache) <= interned.MAX_ENTRIES for cache in caches)
    assert all(cache.held_bytes <= interned.MAX_BYTES for cache in caches)
    assert len(encoder._records.objects) == 1


def test_an_event_that_a_stage_drops_leaves_only_its_rule():
    """Its place is told with the rule, so that the position can pass it."""
    encoder = Encoder(transform=lambda event, _: Dropped("rule 1") if event.verb == "x" else None)
    lines = [line_of(verb="x"), line_of(verb="y")]
    encoded = encoder.encode_block(blocks_of(lines))
    assert list(encoded.dropped) == [(len(lines[0]) + 1, "rule 1")]
    assert [record["attributes"]["verb"] for record in read(encoded)] == ["y"]


@pytest.mark.parametrize("line", [line_of(verb="x"), b"[" + line_of(verb="x") + b"]"])
def test_what_a_stage_changed_is_what_is_sent(line):
    """The changed event maps, the changed body goes out, and the marks say so."""

    def transform(event, _):
        event.verb = "changed"
        return Transformed(event, b"{}", {"k8s.audit.redacted": ["a", "b"]})

    [record] = read(Encoder(transform=transform).encode_block(blocks_of([line])))
    assert record["body"] == "{}"
    assert record["attributes"]["verb"] == "changed"
    assert record["attributes"]["k8s.audit.redacted"] == ["a", "b"]


def test_a_record_over_the_limit_is_shrunk_until_it_fits():
    """The stage is told how long the JSON may be, and asked again while that is not enough."""
    asked = []

    def shrink(event, body, limit):
        asked.append(limit)
        event.user_agent = ""
        return Transformed(event, body[: max(limit, 20)], {"k8s.audit.truncated": True})

    encoder = Encoder(shrink=shrink, max_record_bytes=1500)
    small, large = line_of(), line_of(userAgent="u" * 3000)
    _, second = encoder.encode_block(blocks_of([small, large])).records
    assert len(second) <= 1500
    assert asked
    assert encoder.shrunk == 1


def test_a_mark_does_not_repeat_what_the_event_says():
    """The apiserver and the agent may both have cut the event; one attribute says so."""
    line = line_of(annotations={"audit.k8s.io/truncated": "true"})
    mark = {"k8s.audit.truncated": True}
    encoder = Encoder(transform=lambda event, body: Transformed(event, body, mark))
    [record] = read(encoder.encode_block(blocks_of([line])))
    assert record["attributes"]["k8s.audit.truncated"] is True


def test_the_prefix_is_one_setting():
    """All keys of ours follow it; those of the conventions do not."""
    options = MappingOptions(profile="semconv", prefix="x.")
    [record] = read(Encoder(options).encode_block(blocks_of([line_of(verb="get")])))
    assert record["attributes"]["x.verb"] == "get"
    assert record["attributes"]["http.request.method"] == "GET"
    assert not [key for key in record["attributes"] if key.startswith("k8s.audit.")]


def test_items_of_a_list_are_named_by_their_index():
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


def test_a_glued_event_is_named_by_its_own_place():
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
