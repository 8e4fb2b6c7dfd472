"""Redaction: what is secret goes, what is not stays byte for byte."""

import json
from typing import Any

import pytest

from k8s_audit_otlp.event.redact import Redacted
from tests.unit.event.redact.redact_lines import (
    BASE64,
    JWT,
    LAST_APPLIED,
    PLAIN,
    decode,
    line_of,
    pod,
    readable,
    redact,
    redacted,
    secret_object,
    written,
)

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


@pytest.mark.parametrize("body", ["requestObject", "responseObject"])
def test_a_repeated_body_is_written_anew(body: str) -> None:
    """Of two bodies only the one that was understood stays, redacted; also where it is clean."""
    name = body.encode()
    for last in (secret_object(), {"kind": "Status"}):
        line = line_of("secrets", **{body: last})
        line = line.replace(
            b'"%b"' % name, b'"%b":%b,"%b"' % (name, written(secret_object()), name)
        )
        result = redacted(line)
        assert BASE64.encode() not in result.line
        assert result.line.count(name) == 1


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
