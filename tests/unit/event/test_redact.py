"""Redaction: what is secret goes, what is not stays byte for byte."""

import base64
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8s_audit_otlp.config.redaction import Redaction
from k8s_audit_otlp.event.decode import read_line
from k8s_audit_otlp.event.legacy import read_legacy
from k8s_audit_otlp.event.redact import Redacted, RedactionRules, Redactor
from k8s_audit_otlp.event.redact.body import BodyRedactor
from k8s_audit_otlp.event.redact.context import BodyContext
from k8s_audit_otlp.event.secrets.messages import clean_message
from k8s_audit_otlp.event.secrets.replacement import Replacement
from k8s_audit_otlp.event.splice.line import rewritten
from k8s_audit_otlp.model import EMPTY, AuditEvent

decode = msgspec.json.Decoder(AuditEvent).decode
redact = Redactor()
KEY = b"a key of more than 16 bytes"
PLAIN = "hunter2-Zq9Xw7Lk3v"
BASE64 = base64.b64encode(PLAIN.encode()).decode()
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJlLWhlcmU"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
DEEP = 400
ESCAPES = {"&": "\\u0026", "<": "\\u003c", ">": "\\u003e"}


def written(value: Any) -> bytes:
    """Write JSON as kube-apiserver does."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    for character, escape in ESCAPES.items():
        text = text.replace(character, escape)
    return text.encode("utf-8", "surrogatepass")


def line_of(resource: str = "pods", **members: Any) -> bytes:
    name, _, subresource = resource.partition("/")
    event = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "RequestResponse",
        "auditID": "8a2b1b9e-7f0c-4d7c-9a55-0c7f6e1f8f10",
        "stage": "ResponseComplete",
        "requestURI": f"/api/v1/namespaces/shop/{name}/x",
        "verb": "update",
        "user": {"username": "alice", "groups": ["dev"]},
        "sourceIPs": ["10.1.2.3"],
        "userAgent": "kubectl/v1.37.2",
        "objectRef": {"resource": name, "namespace": "shop", "name": "x", "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 200},
    }
    if subresource:
        event["objectRef"] |= {"subresource": subresource}
    event |= members
    return written(event)


def redacted(line: bytes, redactor: Redactor = redact) -> Redacted:
    """Redact, and hold the line and the typed event against each other."""
    result = redactor(decode(line), line)
    again = decode(result.line)
    for field in AuditEvent.__struct_fields__:
        in_event, in_line = getattr(result.event, field), getattr(again, field)
        if isinstance(in_line, msgspec.Raw):
            in_event, in_line = bytes(in_event), bytes(in_line)
        assert in_event == in_line, field
    second = redactor(result.event, result.line)
    assert (second.line, second.fired) == (result.line, ())
    return result


def readable(result: Redacted, secret: str) -> list[str]:
    """Return the forms of the secret, and twelve-character slices, that can still be read."""
    line = result.line.decode()
    texts = [line, *map(json.dumps, _strings(json.loads(line)))]
    forms = {secret, json.dumps(secret)[1:-1], base64.b64encode(secret.encode()).decode()}
    slices = {secret[i : i + 12] for i in range(max(1, len(secret) - 11))}
    return [form for form in forms | slices if any(form in text for text in texts)]


def _strings(value: Any) -> list[str]:
    texts: list[str] = []
    left: list[Any] = [value]
    while left:
        match left.pop():
            case dict() as members:
                left += [*members, *members.values()]
            case list() as items:
                left += items
            case str() as text:
                texts.append(text)
            case _:
                pass
    return texts


def secret_object(**members: Any) -> dict[str, Any]:
    return {"kind": "Secret", "metadata": {"name": "db"}, "data": {"password": BASE64}, **members}


def pod(**container: Any) -> dict[str, Any]:
    containers = [{"name": "main", "image": "busybox", **container}]
    return {"kind": "Pod", "metadata": {"name": "web"}, "spec": {"containers": containers}}


SHAPES: dict[str, tuple[str, str, Any]] = {
    "secret data": ("secrets", "secret", secret_object()),
    "secret stringData": ("secrets", "secret", {"stringData": {"password": PLAIN}}),
    "secret list": ("secrets", "secret", {"kind": "SecretList", "items": [secret_object()] * 2}),
    "secret table": (
        "secrets",
        "secret",
        {"kind": "Table", "rows": [{"cells": ["db", "Opaque", 1], "object": secret_object()}]},
    ),
    "secret in a list of anything": (
        "things",
        "secret",
        {"kind": "List", "items": [secret_object()]},
    ),
    "secret merge patch": ("secrets", "secret", {"data": {"password": BASE64, "gone": None}}),
    "secret json patch": (
        "secrets",
        "secret",
        [{"op": "replace", "path": "/data/password", "value": BASE64}],
    ),
    "secret json patch, value first": (
        "secrets",
        "secret",
        [{"value": {"p": BASE64}, "path": "/data/password", "op": "add"}],
    ),
    "secret whole-document patch": (
        "secrets",
        "secret",
        [{"op": "add", "path": "", "value": secret_object()}],
    ),
    "numbers in a secret": ("secrets", "secret", {"stringData": {"password": 4711474747114747}}),
    "configmap": ("configmaps", "configmap", {"data": {"password": f"a\nb={PLAIN}\n"}}),
    "configmap binaryData": ("configmaps", "configmap", {"binaryData": {"password": BASE64}}),
    "last applied": (
        "secrets",
        "last-applied",
        {"metadata": {"annotations": {LAST_APPLIED: json.dumps(secret_object()) + "\n"}}},
    ),
    "last applied of a pod": (
        "pods",
        "last-applied",
        {
            "metadata": {
                "annotations": {
                    LAST_APPLIED: json.dumps(pod(env=[{"name": "password", "value": PLAIN}]))
                }
            }
        },
    ),
    "token request": ("serviceaccounts/token", "token", {"status": {"token": JWT}, "password": 0}),
    "token review": ("tokenreviews", "token", {"spec": {"token": PLAIN}, "password": False}),
    "env": ("pods", "env", pod(env=[{"name": "password", "value": PLAIN}])),
    "env, value first": ("pods", "env", pod(env=[{"value": PLAIN, "name": "password"}])),
    "env as a map": ("things", "env", {"spec": {"env": {"password": PLAIN}}}),
    "env as text": ("things", "env", {"spec": {"env": [f"password={PLAIN}"]}}),
    "env json patch": (
        "deployments",
        "env",
        [
            {
                "op": "add",
                "path": "/spec/template/spec/containers/0/env/-",
                "value": {"name": "A", "value": PLAIN},
                "x": "password",
            }
        ],
    ),
    "env value json patch": (
        "deployments",
        "env",
        [
            {
                "op": "replace",
                "path": "/spec/containers/0/env/0/value",
                "value": PLAIN,
                "x": "password",
            }
        ],
    ),
    "arguments": ("pods", "args", pod(command=["sh", "-c", PLAIN], name="password")),
    "no command": ("pods", "args", pod(args=[f"--password={PLAIN}", "-v"], name="password")),
    "probe": ("pods", "args", pod(livenessProbe={"exec": {"command": ["password", PLAIN]}})),
    "probe header": (
        "pods",
        "env",
        pod(readinessProbe={"httpGet": {"httpHeaders": [{"name": "password", "value": PLAIN}]}}),
    ),
    "custom resource": ("widgets", "key", {"spec": {"credentials": {"password": PLAIN}}}),
    "camel case": ("widgets", "key", {"spec": {"secretKey": PLAIN, "password": True}}),
    "array": ("widgets", "key", {"spec": {"passwords": [PLAIN, PLAIN]}}),
    "named value": ("widgets", "key", {"spec": [{"name": "db-password", "value": PLAIN}]}),
    "annotation": (
        "pods",
        "key",
        {"metadata": {"annotations": {"owner-pass": PLAIN}}, "password": 1},
    ),
    "registry": ("widgets", "key", {"auths": {"r.example": {"auth": BASE64, "password": PLAIN}}}),
    "json in text": ("widgets", "key", {"spec": {"config": json.dumps({"password": PLAIN})}}),
    "text": ("widgets", "text", {"spec": {"config": f"user: a\npassword: {PLAIN}\n"}}),
    "bearer": ("widgets", "text", {"spec": {"note": f"password Bearer {PLAIN}"}}),
    "url": ("widgets", "text", {"spec": {"password_url": f"https://u:{PLAIN}@git.example/x"}}),
    "escaped name": ("widgets", "key", {"spec": {"pa\u0073sword": PLAIN}}),
}


@pytest.mark.parametrize("body", ["requestObject", "responseObject"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_secret_goes_whatever_it_is_wrapped_in(shape: str, body: str) -> None:
    """No form of it is readable, its rule fired, and the name beside it stays."""
    resource, rule, value = SHAPES[shape]
    result = redacted(line_of(resource, **{body: value}))
    assert not readable(result, PLAIN)
    assert BASE64 not in result.line.decode()
    assert JWT not in result.line.decode()
    assert rule in result.fired
    assert "password" in result.line.decode()


def test_names_written_with_escapes_are_read() -> None:
    """A client may write a letter of `password` as an escape."""
    line = line_of(requestObject={"password": PLAIN}).replace(b"password", b"p\\u0061ssword")
    assert not readable(redacted(line), PLAIN)


def test_every_one_of_repeated_members_goes() -> None:
    """JSON readers take the last `data`; the first would leak."""
    body = b'{"data":{"a":"%s"},"data":{"a":"x"}}' % BASE64.encode()
    line = line_of("secrets", requestObject="BODY").replace(b'"BODY"', body)
    result = redacted(line)
    assert BASE64.encode() not in result.line
    assert result.line.count(b'"data"') == 2


def test_a_repeated_body_is_written_anew() -> None:
    """Of two requestObjects only the one that was understood stays, redacted."""
    line = line_of("secrets", requestObject=secret_object())
    line = line.replace(
        b'"requestObject"', b'"requestObject":%s,"requestObject"' % written(secret_object())
    )
    result = redacted(line)
    assert BASE64.encode() not in result.line
    assert result.line.count(b"requestObject") == 1


def test_bytes_outside_redacted_values_are_the_apiservers_own() -> None:
    """Escapes, huge numbers, odd spacing in strings and member order all survive."""
    odd = b'{"z":1.2345678901234568e+29,"a":"\\u003c\\/","password":"%s","n":9223372036854775807}'
    line = line_of(requestObject="BODY").replace(b'"BODY"', odd % PLAIN.encode())
    result = redact(decode(line), line)
    assert result.line == line.replace(PLAIN.encode(), b"REDACTED")


def test_what_names_or_describes_a_secret_stays() -> None:
    """References, schemas, booleans and Kubernetes' own annotations are no secrets."""
    spec = {
        "automountServiceAccountToken": False,
        "imagePullSecrets": [{"name": "registry"}],
        "volumes": [
            {"name": "v", "secret": {"secretName": "db", "items": [{"key": "k", "path": "p"}]}},
            {"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}},
        ],
        "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}},
        "openAPIV3Schema": {"properties": {"password": {"type": "string", "description": "d"}}},
        "tokenUrl": "https://issuer.example/token",
        "bypass": "yes it does",
    }
    annotations = {"authentication.k8s.io/legacy-token": "system:serviceaccount:a:b"}
    line = line_of(requestObject={"spec": spec}, annotations=annotations)
    assert redacted(line) == Redacted(decode(line), line, ())


def test_a_value_that_is_echoed_in_a_message_goes_there_too() -> None:
    """What was redacted in the body is not told by the error about it."""
    status = {"code": 422, "message": f'Secret "db" is invalid: wrong {PLAIN}: try again'}
    line = line_of("secrets", requestObject={"stringData": {"a": PLAIN}}, responseStatus=status)
    assert not readable(redacted(line), PLAIN)


@pytest.mark.parametrize(
    "message",
    [
        f'Secret "x" is invalid: data[k]: Invalid value: "{PLAIN}": too long',
        f"failed: .data: expected map, got &{{{PLAIN}}}",
        f"The order in patch list: [map[name:A value:{PLAIN}]] doesn't match",
        f"token={PLAIN} is expired",
        f"request with Bearer {PLAIN} failed",
        f"dial https://user:{PLAIN}@host.example/: refused",
        f"run with --password {PLAIN} failed",
    ],
)
def test_messages_lose_the_values_they_echo(message: str) -> None:
    """At Metadata the message is all there is to go by."""
    line = line_of(responseStatus={"code": 422, "message": message})
    result = redacted(line)
    assert not readable(result, PLAIN)
    assert result.fired == ("text",)


@pytest.mark.parametrize(
    "message",
    [
        'Service "web" is invalid: spec.ports[0].port: Invalid value: 70000: must be between 1',
        'Pod "N O" is invalid: metadata.name: Invalid value: "N O": a lowercase RFC 1123 subdomain',
        'Pod "x" is invalid: spec.containers[1].name: Duplicate value: "c"',
        'Pod "x" is invalid: spec.restartPolicy: Unsupported value: "At": supported values: "No"',
    ],
)
def test_messages_keep_names_and_ports(message: str) -> None:
    """What a field names or counts is no secret, and says what went wrong."""
    assert clean_message(message, Replacement(None)) == message


def test_a_value_of_an_unknown_field_goes_however_harmless_it_looks() -> None:
    """Only fields that are known to name or count are believed."""
    message = 'x.data[name]: Invalid value: "s3cret": no, spec.pin: Invalid value: 4711: no'
    cleaned = clean_message(message, Replacement(None))
    assert "s3cret" not in cleaned
    assert "4711" not in cleaned


def test_prose_about_tokens_is_no_token() -> None:
    """`invalid token: key is not valid` tells nothing secret."""
    message = (
        "invalid continue token: continue key is not valid; Authentication failed: bearer, x509"
    )
    line = line_of(responseStatus={"code": 400, "message": message})
    assert redacted(line).line == line


@pytest.mark.parametrize("member", ["userAgent", "auditID", "requestURI", "verb"])
def test_a_jwt_goes_wherever_it_stands(member: str) -> None:
    """Clients choose these strings."""
    result = redacted(line_of(**{member: f"/x/{JWT}"}))
    assert JWT.encode() not in result.line


def test_annotations_lose_patches_credentials_and_tokens() -> None:
    """Names of annotations, and what a patch touched, stay."""
    patch = {
        "webhook": "w.example",
        "patch": [{"op": "add", "path": "/spec/x", "value": {"password": PLAIN}}],
    }
    annotations = {
        "authorization.k8s.io/decision": "allow",
        "patch.webhook.admission.k8s.io/round_0_index_0": json.dumps(patch, separators=(",", ":")),
        "policy.example/password": PLAIN,
        "policy.example/note": f"Bearer {PLAIN}",
    }
    result = redacted(line_of(annotations=annotations))
    assert not readable(result, PLAIN)
    assert result.event.annotations
    assert set(result.event.annotations) == set(annotations)
    assert "/spec/x" in result.line.decode()
    assert result.fired == ("key", "patch-annotation", "text")


URIS = [
    ("/api?token=abc123&limit=5", "/api?token=REDACTED&limit=5"),
    ("/api?watch=true&access_token=abc", "/api?watch=true&access_token=REDACTED"),
    ("/api?%74oken=abc", "/api?%74oken=REDACTED"),
    ("/x/proxy/a?pw=abc&sig=def", "/x/proxy/a?pw=REDACTED&sig=REDACTED"),
    (
        "/x/exec?command=%2Fbin%2Fsh&command=-c&tty=true",
        "/x/exec?command=%2Fbin%2Fsh&command=REDACTED&tty=true",
    ),
    ("/x/exec?command=mysql+-pabc", "/x/exec?command=mysql%20REDACTED"),
    ("/x/exec?command=A%3Db", "/x/exec?command=REDACTED"),
    ("/api?labelSelector=a%3Db&continue=eyJ2IjoibWV0YSJ9", None),
    ("/api?r=https%3A%2F%2Fx%3Ftoken%3Dabc123", "/api?r=REDACTED"),
    ("/api?token=", None),
]


@pytest.mark.parametrize(("uri", "expected"), URIS)
def test_credentials_in_the_uri_go_and_names_stay(uri: str, expected: str | None) -> None:
    """The query keeps its shape."""
    assert redacted(line_of(requestURI=uri)).event.request_uri == (expected or uri)


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


@pytest.mark.parametrize(
    "body",
    [b'{"data":{"a":"%s"', b'{"a":"%s', b'"%s', b'{"data":{"a":"%s"}}}}}"', b'\x00{"data":"%s"}'],
)
def test_a_body_that_cannot_be_followed_is_removed(body: bytes) -> None:
    """Nothing of it passes, and the event says so."""
    raw = msgspec.Raw(body % BASE64.encode())
    line = line_of("secrets", requestObject="BODY").replace(b'"BODY"', bytes(raw))
    event = msgspec.structs.replace(decode(line_of("secrets")), request_object=raw)
    result = redact(event, line)
    assert BASE64.encode() not in result.line
    assert result.fired in (("unreadable-body",), ("secret",))


def test_spaced_json_is_redacted_as_well() -> None:
    """Other writers than kube-apiserver put spaces between members."""
    line = json.dumps(json.loads(line_of("secrets", requestObject=secret_object()))).encode()
    result = redacted(line)
    assert BASE64.encode() not in result.line


def test_deep_bodies_are_redacted() -> None:
    """Real bodies nest four hundred levels."""
    body: Any = {"password": PLAIN}
    for _ in range(DEEP):
        body = {"a": [body]}
    assert not readable(redacted(line_of(requestObject=body)), PLAIN)


def test_a_large_list_is_redacted_item_by_item() -> None:
    """A list of a hundred thousand members keeps every other byte."""
    items = [secret_object(metadata={"name": f"s{i}"}) for i in range(5000)]
    line = line_of("secrets", responseObject={"kind": "SecretList", "items": items})
    result = redacted(line)
    assert result.line == line.replace(BASE64.encode(), b"REDACTED")


def test_lone_surrogates_and_broken_utf8_are_no_way_around() -> None:
    """A body that only a lenient reader takes is redacted like any other."""
    for odd in (b"\\ud800", b"\xff\xfe"):
        body = b'{"%s":"a","password":"%s%s"}' % (odd, PLAIN.encode(), odd)
        event = msgspec.structs.replace(decode(line_of()), request_object=msgspec.Raw(body))
        line = line_of(requestObject="BODY").replace(b'"BODY"', body)
        result = redact(event, line)
        assert PLAIN.encode() not in result.line
        assert "key" in result.fired


def test_text_that_is_no_event_is_redacted() -> None:
    """Legacy lines keep their shape; bodies in torn lines do not."""
    legacy = (
        '2026-11-24T06:46:43Z AUDIT: id="1" ip="10.1.2.3" user="alice" user-agent="Bearer abc12345"'
        f' uri="/x/exec?command=sh&command={PLAIN}&token={PLAIN}" response="200"'
    )
    text, fired = redact.redact_text(legacy)
    assert PLAIN not in text
    assert "abc12345" not in text
    assert 'response="200"' in text
    assert fired == ("text", "uri")
    torn, fired = redact.redact_text(
        line_of("secrets", requestObject=secret_object()).decode()[:-90]
    )
    assert BASE64[:12] not in torn
    assert fired == ("unreadable-body",)


def test_an_event_that_was_read_from_a_legacy_line_is_redacted() -> None:
    """It has no bodies and no JSON of its own; what is written of it is all there is."""
    line = (
        f'2026-11-24T06:46:43.5Z AUDIT: id="{"1" * 36}" stage="ResponseComplete" ip="10.1.2.3"'
        ' method="get" user="alice" groups="\\"dev\\"" as="bob" asgroups="<lookup>"'
        f' user-agent="Bearer {PLAIN}" namespace="shop" uri="/x/exec?command=sh&token={PLAIN}"'
        ' response="200"'
    )
    event = read_legacy(line.encode())
    assert event is not None
    result = redact(event, rewritten(event))
    assert not readable(result, PLAIN)
    assert decode(result.line) == result.event
    assert result.fired == ("text", "uri")
    assert result.event.impersonated_user == event.impersonated_user
    assert result.event.source_ips == event.source_ips
    harmless = read_legacy(line.replace(PLAIN, "").replace("&token=", "").encode())
    assert harmless is not None
    assert redact(harmless, rewritten(harmless)) == (harmless, rewritten(harmless), ())


NAMES = [
    *("data", "env", "value", "name", "password", "command", "args", "kind", "path", "op"),
    *("metadata", "annotations", LAST_APPLIED, "message", "token", "items", "a/b\\c"),
]
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(
        ["eyJhbGciOiJ.x.y", "token=a", "Bearer abcdef", '{"password":"x"}', "Secret"]
    ),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=8) | st.sampled_from(NAMES),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
resources = st.sampled_from(["secrets", "configmaps", "pods", "tokenreviews", "widgets"])
REDACTORS = [redact, Redactor(RedactionRules(replace_with="hmac", key=KEY, args="redact"))]


@settings(max_examples=150, deadline=None)
@given(body=json_values, other=json_values, resource=resources, which=st.sampled_from([0, 1]))
def test_any_json_is_redacted_once_and_stays_json(
    body: Any, other: Any, resource: str, which: int
) -> None:
    """Never a crash, never a second change, always JSON that agrees with the event."""
    line = line_of(resource, requestObject=body, responseObject=other, unknown=body)
    result = redacted(line, REDACTORS[which])
    if not result.fired:
        assert result.line == line


@settings(max_examples=100, deadline=None)
@given(text=st.text(alphabet="eyJ.token=pas sword:Bearer\"'\\{}[]?&;%3D/@-", max_size=60))
def test_any_text_is_cleaned_once(text: str) -> None:
    """Cleaning what was cleaned changes nothing."""
    once, _ = redact.redact_text(text)
    assert redact.redact_text(once)[0] == once


def test_a_body_that_would_cost_many_times_its_size_is_removed() -> None:
    """Millions of short strings: each takes far more memory than its letters."""
    body = '{"passwords":["' + '","'.join(["ab"] * 1_000_000) + '"]}'
    line = line_of("widgets", requestObject={})
    line = line.replace(b'"requestObject":{}', b'"requestObject":' + body.encode())
    [read] = read_line(line)
    fired = Redactor()(read.event, read.body).fired
    assert "unreadable-body" in fired


def test_a_long_list_of_numbers_is_redacted_to_its_end() -> None:
    """Numbers are replaced a run at a time; none falls between two runs."""
    numbers = ",".join(["-1.5e3"] * 40_000)
    body = f'{{"password":[{numbers}]}}'.encode()
    redactor = BodyRedactor(RedactionRules(), Replacement(None))
    expected = {"password": ["REDACTED"] * 40_000}
    assert json.loads(redactor(body, BodyContext(), set(), [])) == expected
