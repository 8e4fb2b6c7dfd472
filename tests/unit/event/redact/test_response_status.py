"""A responseStatus is read quickly only where every text in it is seen."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.event.redact import RedactionRules
from k8s_audit_otlp.event.redact.body import BodyRedactor
from k8s_audit_otlp.event.redact.context import BodyContext, Findings
from k8s_audit_otlp.event.redact.response_status import texts_of_status
from k8s_audit_otlp.event.secrets.replacement import Replacement
from tests.unit.event.redact.redact_lines import CountingRedactor

text = st.text(
    st.characters(codec="ascii", exclude_characters='"\\\x7f', min_codepoint=32), max_size=9
)
NAMES = ("name", "group", "kind", "uid")  # in the apiserver's order
details = st.tuples(*[text] * len(NAMES)).map(
    lambda texts: {name: text for name, text in zip(NAMES, texts, strict=True) if text}
)
REFUSED = {
    "metadata": {},
    "status": "Failure",
    "message": 'pods "a" not found',
    "reason": "NotFound",
    "details": {"name": "a", "kind": "pods"},
    "code": 404,
}


def written(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


@given(text.filter(bool), text.filter(bool), details)
def test_every_text_is_seen(message: str, reason: str, details: dict[str, str]) -> None:
    answer = {**REFUSED, "message": message, "reason": reason, "details": details}
    texts = texts_of_status(written(answer))
    assert texts is not None
    assert sorted(filter(None, texts)) == sorted(["Failure", message, reason, *details.values()])


def test_what_is_said_of_a_request_that_went_well_is_read() -> None:
    assert texts_of_status(b'{"metadata":{},"code":200}') == [""] * 7


@pytest.mark.parametrize(
    "json",
    [
        written({**REFUSED, "token": "x"}),
        written({**REFUSED, "metadata": {"continue": "x"}}),
        written({**REFUSED, "details": {"causes": [{"message": "x"}]}}),
        written(REFUSED).replace(b'"status"', b'"message":"x","status"'),
        written(REFUSED).replace(b'"name"', b'"name":"x","name"'),
        written(REFUSED).replace(b"pods", b"p\\u006fds"),
        written(REFUSED).replace(b"pods", b"<pods>").replace(b"<", b"\\u003c"),
        written(REFUSED).replace(b":{}", b": {}"),
        written(dict(reversed(REFUSED.items()))),
        written(REFUSED)[:-1],
        b'"x"',
    ],
)
def test_anything_else_is_read_by_its_pieces(json: bytes) -> None:
    assert texts_of_status(json) is None


def answer(message: str, **others: Any) -> bytes:
    head = {"kind": "Status", "apiVersion": "v1"}
    return written({**head, **REFUSED, "message": message, **others})


KINDS = ("", "secret", "configmap", "token", "template")
FORBIDDEN = 'cannot get resource "secrets" in API group "" in the namespace "shop"'
SAID = (
    'secrets "{}" not found',
    'configmaps "{}" already exists',
    'secrets "{}" is forbidden: User "{}" ' + FORBIDDEN,
    "the token is {}",
)
QUOTED = st.sampled_from(
    ("db-creds", "alice", "password=Sup3rS3cret", "Value: 7", "a{b", "eyJhbGciOiJIUzI1NiJ9", "x\ny")
) | st.text(max_size=9)


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_about_a_secret_is_known_by_its_sentence(kind: str) -> None:
    """Each names another object; it is not read piece by piece once the other words are known."""
    redactor = CountingRedactor(RedactionRules(), Replacement(None))
    read = []
    for name in ("db-creds", "web-creds", "app-creds"):
        body = answer(f'secrets "{name}" not found', details={"name": name, "kind": "secrets"})
        assert redactor(body, Findings(BodyContext("secrets", kind))) is body
        read.append(redactor.read)
    assert read[1:] == [read[0]] * 2


@given(st.sampled_from(SAID), QUOTED, QUOTED, st.sampled_from(KINDS))
def test_an_answer_becomes_the_same_as_when_it_is_read(
    said: str, quoted: str, name: str, kind: str
) -> None:
    redactor, whole = (BodyRedactor(RedactionRules(), Replacement(None)) for _ in range(2))
    body = answer(said.format(quoted, name), details={"name": name, "kind": "secrets"})
    found = [Findings(BodyContext("secrets", kind)) for _ in range(2)]
    assert redactor(body, found[0]) == whole._whole(body, found[1])
    assert found[0].fired == found[1].fired


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["smtp-login", "api-key", "db.password", "token"])
def test_a_word_that_says_credential_is_no_reason_to_read_an_answer(kind: str, name: str) -> None:
    redactor = CountingRedactor(RedactionRules(), Replacement(None))
    body = answer(f'secrets "{name}" not found', details={"name": name, "kind": "secrets"})
    assert redactor(body, Findings(BodyContext("secrets", kind))) is body
    assert redactor.read == 0


def test_an_answer_that_was_seen_is_not_judged_again() -> None:
    class Judging(BodyRedactor):
        judged = 0

        def may_say(self, message: str) -> bool:
            self.judged += 1
            return super().may_say(message)

    redactor = Judging(RedactionRules(), Replacement(None))
    for _ in range(3):
        body = answer('secrets "smtp-login" not found')
        assert redactor(body, Findings(BodyContext())) is body
    assert redactor.judged == 1


WORDS = st.lists(
    st.sampled_from(("api", "key", "token", "Xk29pQ7w", "deadbeefcafe4711" * 2, "AKIA", "7", "_"))
    | st.from_regex(r"[\w.-]{1,9}", fullmatch=True),
    max_size=5,
).map("-".join)


@given(WORDS, WORDS, st.sampled_from(NAMES), st.sampled_from(KINDS))
def test_a_word_in_an_answer_becomes_the_same_as_when_it_is_read(
    quoted: str, word: str, member: str, kind: str
) -> None:
    redactor, whole = (BodyRedactor(RedactionRules(), Replacement(None)) for _ in range(2))
    about = {name: word if name == member else "a" for name in NAMES}
    body = answer(f'secrets "{quoted}" not found', details=about)
    found = [Findings(BodyContext("secrets", kind)) for _ in range(2)]
    assert redactor(body, found[0]) == whole._whole(body, found[1])
    assert found[0].fired == found[1].fired
