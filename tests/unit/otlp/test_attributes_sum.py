"""The attributes of a record stay below the bound on their sum, whatever clients send."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.logs.v1.logs_pb2 import ScopeLogs

from k8s_audit_otlp.event.stages import Transformed
from k8s_audit_otlp.otlp.attributes_sum import SumLimiter, size_of
from k8s_audit_otlp.otlp.encode import Encoder
from k8s_audit_otlp.otlp.limits import UID, AttributeLimits
from k8s_audit_otlp.otlp.mapping import MappingOptions
from k8s_audit_otlp.otlp.split_record import RecordSplitter
from tests.kit import strategies
from tests.kit.backends.metadata_limit import OTHER_FIELDS, metadata_bytes

MOST = 48 << 10  # the least that a configuration may say
BOUND = AttributeLimits(total_bytes=MOST)
PROFILES = st.sampled_from(["default", "plain", "semconv"])
long_text = st.builds(
    lambda text, times: text * times,
    st.sampled_from(["a", "é", "<", '"', "\n", "\u2028", "\U0001f600"]),
    st.sampled_from([0, 1, 900, 9_000, 70_000]),
)
groups = st.lists(long_text, max_size=3)
IDENTITY = ("user.name", "k8s.audit.verb", "k8s.audit.object_ref.name", "client.address")


def event_of(
    path: str = "/",
    agent: str = "a",
    name: str = "n",
    user: str = "u",
    verb: str = "get",
    **more: Any,
) -> dict[str, Any]:
    caller = {"username": user, "groups": more.pop("groups", [])}
    caller["extra"] = more.pop("extra", {})
    return {
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": "i",
        "stage": "ResponseComplete", "verb": verb, "requestURI": path, "userAgent": agent,
        "user": caller, "sourceIPs": more.pop("ips", ["10.0.0.1"]),
        "objectRef": {"resource": "pods", "namespace": "x", "name": name},
        "responseStatus": {"code": 200}, **strategies.TIMES, **more,
    }  # fmt: skip


def records_of(event: dict[str, Any], options: MappingOptions, **edges: Any) -> Sequence[bytes]:
    line = json.dumps(event).encode()
    return Encoder(options, **edges).encode_block(strategies.blocks_of([line])).records


def metadata_of(record: bytes) -> int:
    [message] = ScopeLogs.FromString(record).log_records
    return metadata_bytes(message.attributes) - OTHER_FIELDS


def read(event: dict[str, Any], options: MappingOptions, **edges: Any) -> dict[str, Any]:
    line = json.dumps(event).encode()
    encoded = Encoder(options, **edges).encode_block(strategies.blocks_of([line]))
    found: dict[str, Any]
    [found] = strategies.read(encoded)
    return found


hostile = st.builds(
    event_of,
    path=st.builds("/{}?{}".format, long_text, long_text),
    agent=long_text,
    name=long_text,
    user=long_text,
    verb=long_text,
    groups=groups,
    extra=st.dictionaries(long_text, groups, max_size=2),
    ips=groups,
    annotations=st.dictionaries(long_text.map("k8s.io/{}".format), long_text, max_size=3),
    impersonatedUser=st.fixed_dictionaries({"username": long_text, "groups": groups}),
)


@settings(max_examples=30, deadline=None)
@given(hostile, PROFILES, st.booleans())
def test_the_sum_is_never_over_the_bound(event: Any, profile: Any, as_json: Any) -> None:
    """As the back end counts it; the record is otherwise whole, and so is its half."""
    limits = AttributeLimits(total_bytes=MOST, lists_as_json=as_json)
    options = MappingOptions(profile, user_extra=("*",), limits=limits)
    [record] = records_of(event, options)
    assert metadata_of(record) <= MOST
    [message] = ScopeLogs.FromString(record).log_records
    assert json.loads(message.body.string_value) == event
    assert message.time_unix_nano
    half = RecordSplitter(options)(record)
    assert half is None or metadata_of(half) <= MOST


@settings(max_examples=30, deadline=None)
@given(hostile)
def test_who_and_what_keep_a_kibibyte_each(event: Any) -> None:
    """Whatever else is sent, and if all of them are too long."""
    found = read(event, MappingOptions(limits=BOUND))["attributes"]
    whole = read(event, MappingOptions())["attributes"]
    assert found[UID] == whole[UID]
    for key in (key for key in IDENTITY if key in whole):
        assert whole[key].startswith(found[key])
        assert found[key] == whole[key] or len(found[key].encode()) > 1020


@settings(max_examples=30, deadline=None)
@given(st.one_of(hostile, strategies.plain_events))
def test_the_fast_way_gives_the_same_bytes_as_the_general_one(event: Any) -> None:
    """A transform that changes nothing takes every event the general way."""
    options = MappingOptions(limits=BOUND)
    general = records_of(event, options, transform=lambda event, body: Transformed(event, body, {}))
    assert records_of(event, options) == general


LONG = {
    "requestURI": (event_of(path="/" + "p" * 90_000), "url.path"),
    "query": (event_of(path="/?" + "q" * 90_000), "url.query"),
    "userAgent": (event_of(agent="a" * 70_000), "user_agent.original"),
    "groups": (event_of(groups=[f"{n:049}" for n in range(2000)]), "k8s.audit.user.groups"),
}


@pytest.mark.parametrize("name", LONG)
def test_what_a_client_chose_is_cut_and_all_else_is_whole(name: str) -> None:
    """The one attribute, to its start; the cut is counted."""
    event, key = LONG[name]
    found, whole = read(event, MappingOptions(limits=BOUND)), read(event, MappingOptions())
    start = found["attributes"].pop(key)
    full = whole["attributes"].pop(key)
    assert full[: len(start)] == start != full
    assert len(start) > (700 if name == "groups" else 40_000)
    assert found["attributes"] == whole["attributes"]
    assert (found["dropped"], whole["dropped"]) == (1, 0)


def test_the_longest_goes_first() -> None:
    """A path of ordinary length is whole beside an agent that is not."""
    event = event_of(path="/" + "p" * 4000, agent="a" * 70_000)
    attributes = read(event, MappingOptions(limits=BOUND))["attributes"]
    assert attributes["url.path"] == "/" + "p" * 4000
    assert len(attributes["user_agent.original"]) > 40_000


def test_what_fits_is_not_touched() -> None:
    """Up to the last byte of the bound."""
    pairs = [("url.path", "/" + "p" * 100), ("user.name", "u")]
    size = sum(map(size_of, pairs))
    for most, cuts in ((size, 0), (size - 1, 1)):
        limits = AttributeLimits(total_bytes=most)
        kept, found = SumLimiter(MappingOptions(limits=limits)).fit(pairs)
        assert found == cuts
        assert (kept == pairs) == (not cuts)
        assert sum(map(size_of, kept)) <= most


def test_a_list_as_text_stays_valid_json() -> None:
    """It is cut to whole items; a text that only looks like a list is cut as text."""
    limits = AttributeLimits(total_bytes=MOST, lists_as_json=True)
    event = event_of(agent="[" * 70_000, groups=[f"{n:049}" for n in range(2000)])
    attributes = read(event, MappingOptions(limits=limits))["attributes"]
    kept = json.loads(attributes["k8s.audit.user.groups"])
    assert kept == event["user"]["groups"][: len(kept)]
    assert len(kept) > 100
    assert set(attributes["user_agent.original"]) == {"["}


@given(total=st.integers(100, 400), sign=st.sampled_from(["a", "é", "<", "\n"]))
def test_a_list_of_one_long_text_is_cut_to_the_last_byte(total: int, sign: str) -> None:
    """As JSON a byte of it may be six."""
    limiter = SumLimiter(MappingOptions(limits=AttributeLimits(total_bytes=total)))
    kept, cuts = limiter.fit([("user.groups", [sign * 5_000])])
    assert (len(kept), cuts) == (1, 1)
    assert sum(map(size_of, kept)) <= total
