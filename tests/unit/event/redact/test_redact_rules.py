"""What the keys of a redaction switch on and off, and what rules of one's own take."""

import json

import pytest

from k8s_audit_otlp.config.redaction import Redaction
from k8s_audit_otlp.event.redact import RedactionRules, Redactor
from k8s_audit_otlp.model import EMPTY
from tests.unit.event.redact.redact_lines import (
    KEY,
    PLAIN,
    line_of,
    pod,
    readable,
    redacted,
)


def test_args_can_be_kept_or_redacted() -> None:
    """One word decides."""
    line = line_of(requestObject=pod(command=["sh", "-c", "id"]), requestURI="/x/exec?command=id")
    keep = redacted(line, Redactor(RedactionRules(args="keep")))
    assert keep.line == line
    none = redacted(line, Redactor(RedactionRules(args="redact")))
    assert b'"command":["REDACTED","REDACTED","REDACTED"]' in none.line
    assert none.event.request_uri == "/x/exec?command=REDACTED"


def test_hmac_keeps_equality_comparable() -> None:
    """Equal values get equal stand-ins, which tell nothing without the key."""
    rules = RedactionRules(replace_with="hmac", key=KEY)
    body = {"stringData": {"a": PLAIN, "b": PLAIN, "c": "another"}}
    result = redacted(line_of("secrets", requestObject=body), Redactor(rules))
    data = json.loads(bytes(result.event.request_object))["stringData"]
    assert data["a"] == data["b"] != data["c"]
    assert not readable(result, PLAIN)
    assert PLAIN not in repr(rules)
    assert KEY.decode() not in repr(rules)


def test_people_and_addresses_can_be_pseudonymised() -> None:
    """Names of system components stay: detections need them and they are nobody's."""
    rules = RedactionRules(key=KEY, pseudonymise=frozenset({"users", "addresses"}))
    message = 'pods is forbidden: User "alice" cannot list'
    line = line_of(responseStatus={"code": 403, "message": message})
    result = redacted(line, Redactor(rules))
    assert b"alice" not in result.line
    assert b"10.1.2.3" not in result.line
    assert result.fired == ("addresses", "users")
    system = line_of(user={"username": "system:node:a"}, sourceIPs=[])
    assert redacted(system, Redactor(rules)).line == system


def test_bodies_can_be_dropped() -> None:
    """The rest of the line stays."""
    line = line_of(requestObject={"a": 1}, responseObject={"b": 2})
    result = redacted(line, Redactor(RedactionRules(bodies="drop")))
    assert result.line == line_of()
    assert result.event.request_object is EMPTY
    assert result.fired == ("bodies",)


@pytest.mark.parametrize(
    "rule", ["secret", "configmap", "env", "args", "key", "uri", "text", "token"]
)
def test_each_rule_can_be_switched_off(rule: str) -> None:
    """An operator who says so gets the value."""
    lines = {
        "secret": line_of("secrets", requestObject={"data": {"a": "b3Blbg=="}}),
        "configmap": line_of("configmaps", requestObject={"data": {"a": "open"}}),
        "env": line_of(requestObject=pod(env=[{"name": "a", "value": "open"}])),
        "args": line_of(requestObject=pod(args=["open"])),
        "key": line_of(requestObject={"password": "open"}),
        "uri": line_of(requestURI="/api?sig=open"),
        "text": line_of(userAgent="Bearer open1234"),
        "token": line_of("tokenreviews", requestObject={"spec": {"token": "open"}}),
    }
    assert redacted(lines[rule]).fired == (rule,)
    off = Redactor(RedactionRules(off=frozenset({rule})))
    assert redacted(lines[rule], off).line == lines[rule]


OWN = [
    {"name": "pins", "path": "$.spec.users[*].badge"},
    {"name": "pins", "path": "spec.**.badge", "resource": "widgets*"},
    {"name": "pins", "keys": "^badge$"},
    {"name": "pins", "pattern": "47-11-[0-9]+"},
]


@pytest.mark.parametrize("own", OWN)
def test_an_own_rule_redacts_by_path_name_or_pattern(own: dict[str, str]) -> None:
    """And is told by its name."""
    body = {
        "spec": {
            "users": [{"name": "bob", "badge": "47-11-1"}, {"name": "eve", "badge": "47-11-2"}]
        }
    }
    rules = Redaction.model_validate({"own": [own]}).build(b"", "keep")
    result = redacted(line_of("widgets", requestObject=body), Redactor(rules))
    assert b"47-11" not in result.line
    assert b"bob" in result.line
    assert result.fired == ("pins",)


def test_an_own_rule_keeps_to_its_resource() -> None:
    """Elsewhere the value stays."""
    rules = Redaction.model_validate({"own": [OWN[0] | {"resource": "widgets.example.com"}]}).build(
        b"", "keep"
    )
    line = line_of("pods", requestObject={"spec": {"users": [{"badge": "47-11-1"}]}})
    assert redacted(line, Redactor(rules)).line == line
