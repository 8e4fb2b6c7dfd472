"""Lines of events with something secret in them, and what redaction makes of them."""

import base64
import json
from typing import Any

import msgspec

from k8s_audit_otlp.event.redact import Redacted, Redactor
from k8s_audit_otlp.event.redact.body import BodyRedactor
from k8s_audit_otlp.event.redact.context import Findings
from k8s_audit_otlp.model import AuditEvent

decode = msgspec.json.Decoder(AuditEvent).decode
redact = Redactor()
KEY = b"a key of more than 16 bytes"
PLAIN = "hunter2-Zq9Xw7Lk3v"
BASE64 = base64.b64encode(PLAIN.encode()).decode()
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJlLWhlcmU"
ESCAPES = {"&": "\\u0026", "<": "\\u003c", ">": "\\u003e"}


def written(value: Any) -> bytes:
    """Write JSON as kube-apiserver does."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    for character, escape in ESCAPES.items():
        text = text.replace(character, escape)
    return text.encode("utf-8", "surrogatepass")


def line_of(resource: str = "pods", **members: Any) -> bytes:
    name, _, subresource = resource.partition("/")
    event: dict[str, Any] = {
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
        event["objectRef"]["subresource"] = subresource
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


class CountingRedactor(BodyRedactor):
    """Counts what it reads piece by piece."""

    read = 0

    def _whole(self, body: bytes, found: Findings, depth: int = 0) -> bytes:
        self.read += 1
        return super()._whole(body, found, depth)
