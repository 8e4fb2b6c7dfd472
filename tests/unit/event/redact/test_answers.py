"""A responseStatus is read quickly only where every text in it is seen."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.event.redact.answers import texts_of_answer

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
    texts = texts_of_answer(written(answer))
    assert texts is not None
    assert sorted(filter(None, texts)) == sorted(["Failure", message, reason, *details.values()])


def test_what_is_said_of_a_request_that_went_well_is_read() -> None:
    assert texts_of_answer(b'{"metadata":{},"code":200}') == [""] * 7


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
    assert texts_of_answer(json) is None
