"""The fast path gives what the general path gives, and lets nothing by that redaction would take.

The general path is the encoder without verdicts on parts: it shows every event to the redaction.
"""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8s_audit_otlp.event.processor import EventProcessor
from k8s_audit_otlp.event.redact import Redactor
from k8s_audit_otlp.otlp import interned
from k8s_audit_otlp.otlp.encode import Encoder
from k8s_audit_otlp.otlp.limits import AttributeLimits
from k8s_audit_otlp.otlp.mapping import MappingOptions
from tests.kit import strategies
from tests.kit.present import present
from tests.kit.strategies import as_written
from tests.unit.otlp.test_plain_line import run_over

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJlb2ZhdG9rZW4"
URL = "https://alice:hunter22hunter22@host.example/x"
SECRETS = {
    "jwt": JWT,
    "url": URL,
    "short jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhb",  # as long as a UUID with two more
    "uuid jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGl",
    "bearer": "Bearer abcdefghijklmnopqrstu",
    "password": "password=hunter22hunter22",
    "token": "token: hunter22hunter22",
    "echo": 'Invalid value: "hunter22hunter22"',
}
EVERYWHERE = ("jwt", "url")  # what is taken out whatever it stands in
PLACES = (
    ("apiVersion",), ("level",), ("auditID",), ("stage",), ("verb",), ("userAgent",),
    ("requestURI", "/x/{}"), ("requestURI", "/x/{}?watch=1"), ("requestURI", "/x?{}"),
    ("requestURI", "/x?token={}"), ("requestURI", "/x;token={}?watch=1"),
    ("requestURI", "/x%26token={}?watch=1"), ("requestURI", "/x?a=%3Ftoken%3D{}"),
    ("requestURI", "/x?command=sh&command={}"),
    ("user", "username"), ("user", "uid"), ("user", "groups", 0), ("user", "extra", "a.b/c", 0),
    ("user", "extra", "token", 0), ("user", "unknown"), ("sourceIPs", 0), ("sourceIPs", 1),
    ("objectRef", "name"), ("objectRef", "namespace"), ("objectRef", "resource"),
    ("objectRef", "subresource"), ("objectRef", "apiGroup"), ("objectRef", "apiVersion"),
    ("objectRef", "uid"), ("objectRef", "resourceVersion"), ("objectRef", "unknown"),
    ("responseStatus", "message"), ("responseStatus", "reason"), ("responseStatus", "status"),
    ("responseStatus", "details", "name"), ("annotations", "k8s.io/x"), ("annotations", "x/token"),
    ("annotations", "authorization.k8s.io/reason"), ("unknown",), ("unknown", "deep"),
    ("requestReceivedTimestamp",), ("stageTimestamp",),
)  # fmt: skip
EVENT = {
    "apiVersion": "audit.k8s.io/v1",
    "level": "Metadata",
    "stage": "ResponseComplete",
    "auditID": "0d9b7a34-5a8e-4b0e-9a36-3f7b8c0f3f2b",
    "requestURI": "/api/v1/namespaces/a/pods/b",
    "verb": "get",
    "user": {"username": "alice", "uid": "1", "groups": ["a"], "extra": {"a.b/c": ["d"]}},
    "sourceIPs": ["10.0.0.1", "10.0.0.2"],
    "userAgent": "kubectl/v1.33",
    "objectRef": {"resource": "pods", "namespace": "a", "name": "b", "apiVersion": "v1"},
    "responseStatus": {"metadata": {}, "code": 200},
    "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
}


EVERY_LINE = {
    "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "requestURI": "/", "verb": "get",
    "user": {},
}  # fmt: skip


def planted(place: Any, secret: str) -> dict[str, Any]:
    """Put a secret at a place of an event."""
    event: dict[str, Any] = json.loads(strategies.line_of(**EVENT))
    if place[0] == "requestURI":
        return {**event, "requestURI": place[1].format(secret)}
    where, *inner = place
    if not inner:
        return {**event, where: secret}
    holder = event.setdefault(where, {})
    for step in inner[:-1]:
        holder = holder.setdefault(step, {})
    holder[inner[-1]] = secret
    return event


def encoders(
    options: MappingOptions | None = None, *, redact: Any = True
) -> tuple[Encoder, Encoder]:
    """Give an encoder with the fast path, and one with the general path alone."""
    processor = EventProcessor(None, Redactor()) if redact else None
    fast = Encoder(
        options, transform=processor, clean=processor.clean_parts() if processor else None
    )
    return fast, Encoder(options, transform=processor or (lambda _event, _body: None))


def takes(encoder: Encoder, line: bytes) -> bool:
    """Tell whether the fast path takes a line."""
    return run_over(encoder, line).at > 0


def both(
    line: bytes, options: MappingOptions | None = None, *, redact: Any = True
) -> list[list[bytes]]:
    return [
        list(encoder.encode_block(strategies.blocks_of([line])).records)
        for encoder in encoders(options, redact=redact)
    ]


@settings(max_examples=150, deadline=None)
@given(
    strategies.plain_events, st.booleans(), st.booleans(), st.sampled_from(["default", "semconv"])
)
def test_the_fast_path_gives_the_bytes_of_the_general_path(
    event: Any, escaped: Any, redact: Any, profile: Any
) -> None:
    """Any plain event: attributes, body, times and severity are the same to the byte."""
    line = as_written({**EVERY_LINE, **event}, escaped=escaped)
    fast, general = both(line, MappingOptions(profile), redact=redact)
    assert fast == general


@settings(max_examples=100, deadline=None)
@given(strategies.events, st.booleans())
def test_what_is_not_plain_takes_the_general_path(event: Any, redact: Any) -> None:
    """Bodies, impersonation, odd times: the fast path refuses, or agrees."""
    fast, general = both(as_written(event), redact=redact)
    assert fast == general


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(PLACES),
    st.sampled_from(sorted(SECRETS.values())),
    st.text(max_size=3),
    st.sampled_from(["", " ", "&", "=", ";", "?"]),
)
def test_a_secret_leaves_neither_path_more_than_the_other(
    place: Any, secret: Any, noise: Any, glue: Any
) -> None:
    """Whatever stands around it."""
    fast, general = both(as_written(planted(place, noise + glue + secret + glue + noise)))
    assert fast == general


@pytest.mark.parametrize("kind", EVERYWHERE)
@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)))
def test_a_token_in_any_field_is_redacted(place: Any, kind: str) -> None:
    """Whoever put it there: in the attributes and in the body."""
    [fast], [general] = both(as_written(planted(place, SECRETS[kind])))
    assert fast == general
    assert b"c2lnbmF0dXJl" not in fast
    assert b"hunter22" not in fast


def test_the_common_event_takes_the_fast_path() -> None:
    """Otherwise these tests would compare the general path with itself."""
    fast, _ = encoders()
    assert takes(fast, as_written(planted(("verb",), "list")))
    assert takes(fast, as_written(planted(("requestURI", "/x?{}"), "watch=1&limit=500")))
    assert takes(fast, as_written(planted(("objectRef", "uid"), "4f1c")))
    assert takes(fast, as_written(planted(("stage",), "RequestReceived")))


def test_bodies_take_the_fast_path_where_nothing_is_redacted() -> None:
    """They are not looked at then, and leave as they are."""
    raw, _ = encoders(redact=False)
    line = as_written(
        {**planted(("level",), "RequestResponse"), "requestObject": {"kind": "Secret"}}
    )
    assert takes(raw, line)
    assert takes(encoders()[0], line)
    assert [*both(line, redact=False)[0]] == [*both(line, redact=False)[1]]


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("user", ["alice"]), ("user", {"username": 7}), ("user", {"groups": "a"}),
        ("sourceIPs", "10.0.0.1"), ("sourceIPs", [1]), ("responseStatus", "200"),
        ("responseStatus", {"code": "200"}), ("responseStatus", {"code": 2**40}),
        ("annotations", ["a"]), ("annotations", {"a": 1}), ("objectRef", "pods"),
        ("userAgent", None), ("verb", 1), ("auditID", {}), ("level", 3), ("stage", None),
    ],
)  # fmt: skip
def test_a_part_of_the_wrong_type_is_read_leniently(member: str, value: Any) -> None:
    """The rest of the event is mapped, and what could not be read is named, each time."""
    fast, general = encoders()
    line = as_written({**planted(("verb",), "get"), member: value})
    for _ in range(2):
        [one] = fast.encode_block(strategies.blocks_of([line])).records
        [other] = general.encode_block(strategies.blocks_of([line])).records
        assert one == other


def test_what_passes_the_fast_path_is_looked_at_with_limits_as_well() -> None:
    """A value that is too long for the back end takes the general path and is cut there."""
    options = MappingOptions(limits=AttributeLimits(value_bytes=64))
    fast, _ = encoders(options)
    line = as_written(planted(("requestURI", "/{}"), "x" * 100))
    assert not takes(fast, line)
    one, other = both(line, options)
    assert one == other


def test_bodies_that_are_redacted_take_the_fast_path_to_the_same_record() -> None:
    """Nothing else in the event is about them, so nothing else has to be looked at."""
    pod = {"kind": "Pod", "spec": {"containers": [{"args": ["--token", "s3cr3t-value"]}]}}
    event = {**planted(("level",), "RequestResponse"), "requestObject": pod}
    event["objectRef"] = {"resource": "pods", "namespace": "a", "name": "b", "apiVersion": "v1"}
    fast, _ = encoders()
    assert takes(fast, as_written(event))
    one, other = both(as_written(event))
    assert one == other
    assert b"s3cr3t" not in one[0]
    assert b"redacted" in one[0]


@pytest.mark.parametrize("reference", [None, {"resource": "", "name": "a"}])
@pytest.mark.parametrize(
    "uri",
    ["", "/", "/api/v1/secrets", "/api/v1/configmaps?a=1", "/apis?x=/secrets", "/y?\\/secrets"],
)
def test_bodies_without_an_object_are_judged_by_the_uri(
    uri: str, reference: dict[str, str] | None
) -> None:
    """As an event without objectRef is on the general path."""
    event = {**planted(("level",), "RequestResponse"), "requestURI": uri}
    event["objectRef"] = reference
    if reference is None:
        del event["objectRef"]
    event["responseObject"] = {"metadata": {}, "data": {"a": "hunter22hunter22"}}
    fast, _ = encoders()
    assert takes(fast, as_written(event)) == ("\\" not in uri)
    one, other = both(as_written(event))
    assert one == other
    assert (b"hunter22" in one[0]) == (
        "secrets" not in uri and "configmaps" not in uri and uri != ""
    )


@pytest.mark.parametrize("member", [b'"userAgent":"kubectl/v1.33"', b'"sourceIPs":["10.0.0.1"]'])
def test_a_caller_that_says_something_twice_takes_the_general_way(member: bytes) -> None:
    """Which reads such a line by every name in it."""
    line = as_written(planted(("requestURI", "/x?x=map[{}]://"), "password:hunter22"))
    line = line.replace(b',"objectRef":', b"," + member + b',"objectRef":', 1)
    assert line.count(member[:12]) > 1
    fast, _ = encoders()
    assert not takes(fast, line)
    one, other = both(line)
    assert one == other


def test_what_was_redacted_and_is_repeated_elsewhere_takes_the_general_way() -> None:
    """A webhook's message may say it again."""
    pod = {"kind": "Pod", "spec": {"containers": [{"args": ["--token", "s3cr3t-value"]}]}}
    event = {**planted(("level",), "RequestResponse"), "requestObject": pod}
    event["objectRef"] = {"resource": "pods", "namespace": "a", "name": "b", "apiVersion": "v1"}
    event["responseStatus"] = {"metadata": {}, "message": "no s3cr3t-value here", "code": 400}
    fast, _ = encoders()
    assert not takes(fast, as_written(event))
    one, other = both(as_written(event))
    assert one == other
    assert b"s3cr3t" not in one[0]


def test_the_caches_stay_bounded_under_attack() -> None:
    """Every part unique, short or long, with redaction: entries and bytes are bounded."""
    encoder, _ = encoders()
    for n in range(9000):
        size = (n % 3) * 900
        event = planted(("verb",), f"v{n}")
        event["user"] = {"username": f"u{n}" + "x" * size}
        event["annotations"] = {f"k8s.io/{n}": "y" * (size // 2)}
        event["objectRef"] = {"resource": f"r{n}", "namespace": "z" * (size + 1)}
        event["requestURI"] = f"/x?limit={n}" + "0" * size
        assert takes(encoder, as_written(event))
    held = (*vars(encoder._records).values(), *present(encoder._fast).tables)
    caches = [c for c in held if isinstance(c, interned.Interned)]
    assert any(len(cache._old) for cache in caches)
    assert all(len(cache) <= interned.MAX_ENTRIES for cache in caches)
    assert all(cache.held_bytes <= interned.MAX_BYTES for cache in caches)
    assert len(present(encoder._fast).tables.clean_queries or ()) <= interned.MAX_ENTRIES
