"""Texts beside bodies: messages, annotations, the address that was asked."""

import json

import pytest

from k8s_audit_otlp.event.secrets.replacement import Replacement
from k8s_audit_otlp.event.secrets.text import clean_message
from tests.unit.event.redact.redact_lines import (
    JWT,
    PLAIN,
    line_of,
    readable,
    redacted,
)


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
    ("/x/proxy/a?appid=Hq7f3Kz9Lm2Xw8Rt&p=2", "/x/proxy/a?appid=REDACTED&p=2"),
    ("/x/proxy/reset/token/Hq7f3Kz9Lm2Xw8Rt", "/x/proxy/reset/token/REDACTED"),
    ("/api?fieldManager=AppController2024V1&uid=Hq7f3Kz9Lm2Xw8Rt", None),
    ("/x/proxy/_search?q=password:hunter2", "/x/proxy/_search?q=REDACTED"),
    ("/x/proxy/query?time=2026-11-26T22:00:00Z&match=app:web", None),
    ("/x/proxy/a?a=Duplicate%20value%3A%20%22Xy7%22", "/x/proxy/a?a=REDACTED"),
    ("/x/proxy/Duplicate%20value%3A%20%22Xy7%22", "/x/proxy/REDACTED"),
]


@pytest.mark.parametrize(("uri", "expected"), URIS)
def test_credentials_in_the_uri_go_and_names_stay(uri: str, expected: str | None) -> None:
    """The query keeps its shape."""
    assert redacted(line_of(requestURI=uri)).event.request_uri == (expected or uri)


@pytest.mark.parametrize("line", ["cat <<EOF > /etc/{}", "cat > /run/{} <<'EOF'"])
def test_what_a_heredoc_writes_is_judged_by_the_name_of_the_file(line: str) -> None:
    """One line without a name; a script or an object as text has names of its own."""
    for name, masked in (("token", True), ("motd", False)):
        text = line.format(name) + "\nkeyx7-plain words\nEOF\n"
        assert ("keyx7" not in clean_message(text, Replacement(None))) is masked
