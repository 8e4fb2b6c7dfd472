"""Secrets outside the bodies: in every text of an event, also where it is said twice.

The lines are hand-made: kube-apiserver writes each member once, but a line that says one thing to
us and another to a back end would be a way past the redaction.
"""

import json
from typing import Any

import pytest

from k8s_audit_otlp.event.processor import EventProcessor
from k8s_audit_otlp.event.redact import Redactor
from k8s_audit_otlp.otlp.encode import Encoder
from tests.kit.strategies import blocks_of

VALUE = "Zq7hunter2hunter2hunter9"
TOKEN = "ghp_" + VALUE
TEXTS = (f"x password={VALUE}", f"Bearer {VALUE}", TOKEN, f'{{"password":"{VALUE}"}}')
EVENT: dict[str, Any] = {
    "kind": "Event",
    "apiVersion": "audit.k8s.io/v1",
    "level": "Metadata",
    "auditID": "0d9b7a34-5a8e-4b0e-9a36-3f7b8c0f3f2b",
    "stage": "ResponseComplete",
    "requestURI": "/api/v1/namespaces/a/pods/b",
    "verb": "get",
    "user": {"username": "alice", "uid": "1", "groups": ["a"], "extra": {"a.b/c": ["d"]}},
    "sourceIPs": ["10.0.0.1"],
    "userAgent": "kubectl/v1.33",
    "objectRef": {"resource": "pods", "namespace": "a", "name": "b", "apiVersion": "v1"},
    "responseStatus": {"metadata": {}, "code": 200},
    "requestReceivedTimestamp": "2026-01-02T03:04:05.000006Z",
    "stageTimestamp": "2026-01-02T03:04:06.000001Z",
    "annotations": {"authorization.k8s.io/decision": "allow"},
}
PLACES = (
    *("verb", "userAgent", "auditID", "user.username", "user.uid", "user.groups", "user.extra.a"),
    *("user.unknown", "sourceIPs", "objectRef.name", "objectRef.namespace", "objectRef.resource"),
    *("objectRef.subresource", "objectRef.apiGroup", "objectRef.uid", "objectRef.unknown"),
    *("responseStatus.message", "responseStatus.reason", "responseStatus.details.name"),
    *("responseStatus.details.causes.message", "responseStatus.metadata.continue"),
    *("annotations.x", "unknown", "unknown.deep", "impersonatedUser.uid"),
    "authenticationMetadata.impersonationConstraint",
)
LISTS = ("user.groups", "user.extra.a", "sourceIPs")


def written(event: dict[str, Any]) -> str:
    return json.dumps(event, separators=(",", ":"))


def planted(place: str, text: str) -> str:
    """Return the line of an event with a text at a place."""
    event = json.loads(json.dumps(EVENT))
    *steps, last = place.split(".")
    holder = event
    for step in steps:
        if not isinstance(holder.get(step), dict):
            holder[step] = {}
        holder = holder[step]
    holder[last] = [text] if place in LISTS else text
    return written(event)


def record_of(line: str) -> str:
    processor = EventProcessor(None, Redactor())
    encoder = Encoder(transform=processor, clean=processor.clean_parts())
    (record,) = encoder.encode_block(blocks_of([line.encode()])).records
    return record.decode("utf-8", "replace")


@pytest.mark.parametrize("place", PLACES)
def test_no_text_of_an_event_shows_a_credential(place: str) -> None:
    for text in TEXTS:
        assert VALUE not in record_of(planted(place, text)), text


@pytest.mark.parametrize("member", sorted(EVENT.keys() - {"kind"}))
def test_a_member_that_is_there_twice_shows_none(member: str) -> None:
    """The first, the last, with an escaped name or in another case."""
    line, shown = written(EVENT), 0
    value = written({"username": TOKEN, "message": TOKEN, "name": TOKEN})
    if isinstance(EVENT[member], str):
        value = f'"{TOKEN}"'
    elif isinstance(EVENT[member], list):
        value = f'["{TOKEN}"]'
    escaped = f"\\u{ord(member[0]):04x}{member[1:]}"
    names = (member, escaped, member.capitalize())
    lines = [f'{line[:-1]},"{name}":{value}}}' for name in names]
    lines.append(line.replace(f'"{member}":', f'"{member}":{value},"{member}":', 1))
    for each in lines:
        shown += VALUE in record_of(each)
    assert shown == 0


@pytest.mark.parametrize(
    ("once", "twice"),
    [
        ('"username":"alice"', f'"username":"{TOKEN}","username":"alice"'),
        ('"groups":["a"]', f'"groups":["{TOKEN}"],"groups":["a"]'),
        ('"a.b/c":["d"]', f'"a.b/c":["{TOKEN}"],"a.b/c":["d"]'),
        ('"name":"b"', f'"name":"{TOKEN}","name":"b"'),
        ('"code":200', f'"message":"{TOKEN}","message":"x"'),
        (
            '"authorization.k8s.io/decision":"allow"',
            f'"a":"{TOKEN}","a":"x","b":["password={VALUE}"]',
        ),
    ],
)
def test_what_is_said_twice_in_a_member_is_judged_twice(once: str, twice: str) -> None:
    line = written(EVENT)
    assert once in line
    assert VALUE not in record_of(line.replace(once, twice))


@pytest.mark.parametrize("other", ["{}", "null", "[]", '"x"', '{"metadata":{}}'])
def test_a_body_that_is_there_twice_goes_once(other: str) -> None:
    """What nobody looked at must not go, whatever it is: a Secret's patch with a strange member."""
    line = written(EVENT).replace('"resource":"pods"', '"resource":"secrets"')
    strange = '{"x":["maple tree"]}'
    for first, last in ((strange, other), (other, strange)):
        each = f'{line[:-1]},"requestObject":{first},"requestObject":{last}}}'
        assert "maple tree" not in record_of(each)


def test_an_event_that_names_two_resources_is_about_the_worse() -> None:
    """Its body is a Secret's if either says so."""
    two = '"objectRef":{"resource":"secrets","resource":"pods"'
    line = written(EVENT).replace('"objectRef":{"resource":"pods"', two)
    body = f'"requestObject":{{"data":{{"blob":"{VALUE}"}}}},"requestReceived'
    assert VALUE not in record_of(line.replace('"requestReceived', body, 1))


NAMES = (
    '{"a":{"password":"%s"}}',
    "x/password=%s",
    "token: %s",
    "%s is the password",
    "ghp_%s3Kz9Lm",
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("blank", ["", " "])
def test_no_name_that_a_client_chooses_shows_a_credential(name: str, blank: str) -> None:
    """Of an annotation, of what is said of a user; as kube-apiserver writes it and otherwise."""
    user = {"username": "u", "extra": {name % VALUE: ["x"]}}
    members = {"annotations": {name % VALUE: "x"}, "user": user, "impersonatedUser": user}
    for member, value in members.items():
        line = written({**EVENT, member: value})
        record = record_of(line.replace(',"', f',{blank}"'))
        assert VALUE not in record
        assert "REDACTED" in record


def test_names_of_objects_stay() -> None:
    """What RBAC and controllers are called says credential now and then."""
    for name in ("system:controller:token-cleaner", "secrets:read", "token-service.v1"):
        assert name in record_of(planted("objectRef.name", name))
    assert "token-service" in record_of(
        planted("requestURI", "/api/v1/namespaces/a/services/http:token-service:80/proxy/x")
    )
