"""Redaction of anything: any JSON, any text, in bounded time and stable."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8s_audit_otlp.event.decode import read_line
from k8s_audit_otlp.event.legacy import read_legacy
from k8s_audit_otlp.event.memory_bounds import LONGEST_TEXT
from k8s_audit_otlp.event.redact import RedactionRules, Redactor
from k8s_audit_otlp.event.redact.body import BodyRedactor
from k8s_audit_otlp.event.redact.context import BodyContext, Findings
from k8s_audit_otlp.event.secrets.replacement import Replacement
from k8s_audit_otlp.event.splice.line import rewritten
from k8s_audit_otlp.event.splice.tokens import plainly_escaped
from tests.unit.event.redact.redact_lines import (
    BASE64,
    KEY,
    LAST_APPLIED,
    PLAIN,
    decode,
    line_of,
    readable,
    redact,
    redacted,
    secret_object,
)

DEEP = 400


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


@pytest.mark.parametrize("indent", [None, 2])
def test_json_in_a_text_keeps_its_blanks(indent: int | None) -> None:
    """As annotations have it: what nothing was found in, and what stands around a secret."""
    for inner in (
        {"tokenTTL": "1h", "secretName": "db", "replicas": 2},
        {"kind": "Widget", "spec": {"password": PLAIN, "size": 3}},
    ):
        text = json.dumps(inner, indent=indent) + "\n"
        body = {"metadata": {"annotations": {"example.com/inputs": text, LAST_APPLIED: text}}}
        line = line_of(requestObject=body)
        result = redacted(line).line.replace(b'\\"REDACTED\\"', b"#")
        masked = line.replace(b'\\"%s\\"' % PLAIN.encode(), b"#")
        assert result == masked


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


def test_a_text_longer_than_any_genuine_one_goes_as_a_whole() -> None:
    """Parting and decoding it would cost many times its size. One that holds nothing stays."""
    redactor = BodyRedactor(RedactionRules(), Replacement(None))
    harmless = "a: b\n" * (LONGEST_TEXT // 4)
    for suspect in ("data:\n" + " a: b\n" * (LONGEST_TEXT // 4), '{"password":[' + "[]," * 400_000):
        body = json.dumps({"x": suspect, "y": harmless}, separators=(",", ":")).encode()
        expected = {"x": "REDACTED", "y": harmless}
        assert json.loads(redactor(body, Findings(BodyContext()))) == expected


@pytest.mark.parametrize("name", ["requestURI", "userAgent", "verb"])
def test_of_a_text_outside_bodies_the_first_mebibyte_is_judged(name: str) -> None:
    whole = "/a?token=hunter2b&b=" + "c" * LONGEST_TEXT
    text = json.loads(redacted(line_of(**{name: whole + "d"})).line)[name]
    assert text.startswith("/a?token=REDACTED&b=ccc")
    assert text.endswith("cccREDACTED")
    assert len(text) <= LONGEST_TEXT + 20


PARTS = (r"\\", r"\n", r"\u0022", r"\u0041", r"\u0026", r"\u003C", r"\u0070", "u0041", "é", "a")


@given(st.lists(st.sampled_from(PARTS)))
def test_letters_that_are_escaped_without_need_are_read(parts: list[str]) -> None:
    text = "".join(parts)
    plain = plainly_escaped(f'"{text}"'.encode())
    assert json.loads(plain) == json.loads(f'"{text}"')
    assert plainly_escaped(plain) == plain
    left = plain.replace(b"\\\\", b"")
    assert b"\\u0041" not in left
    assert b"\\u0070" not in left
    assert left.count(b"\\u0026") == parts.count(r"\u0026")


def test_a_long_list_of_numbers_is_redacted_to_its_end() -> None:
    """Numbers are replaced a run at a time; none falls between two runs."""
    numbers = ",".join(["-1.5e3"] * 40_000)
    body = f'{{"password":[{numbers}]}}'.encode()
    redactor = BodyRedactor(RedactionRules(), Replacement(None))
    expected = {"password": ["REDACTED"] * 40_000}
    assert json.loads(redactor(body, Findings(BodyContext()))) == expected
