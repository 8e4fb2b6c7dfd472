"""Who asked is encoded by the template of its shape, to the same bytes as without one."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8s_audit_otlp.event.decode import REFUSED
from k8s_audit_otlp.otlp import plain_line
from k8s_audit_otlp.otlp.event_record import RecordEncoder
from k8s_audit_otlp.otlp.fast_path import FastCaller, FastEncoder
from k8s_audit_otlp.otlp.limits import AttributeLimits
from k8s_audit_otlp.otlp.mapping import MappingOptions
from k8s_audit_otlp.otlp.plain_line import Lines
from tests.kit import strategies

OPTIONS = (
    MappingOptions(),
    MappingOptions("plain"),
    MappingOptions("semconv", user_extra=("*",)),
    MappingOptions(limits=AttributeLimits(value_bytes=16)),
    MappingOptions(user_extra=("*",), limits=AttributeLimits(count=20, flat_names=True)),
    MappingOptions(limits=AttributeLimits(lists_as_json=True)),
)
_POD = "authentication.kubernetes.io/pod-name"

texts = st.text(st.characters(exclude_categories=("C", "Z")), max_size=20) | st.sampled_from(
    ["", "a" * 600, "system:node:", "system:serviceaccount:a:b", 'quo"te', "\\", "größe"]
)
names = st.sampled_from([
    *("alice", "", "system:anonymous", "eks:x"),
    *("system:serviceaccount:shop:web", "system:serviceaccount:", "system:node:node-1"),
])  # fmt: skip
callers = st.fixed_dictionaries(
    {
        "user": st.fixed_dictionaries(
            {"username": names | texts},
            optional={
                "uid": texts,
                "groups": st.lists(texts, max_size=3),
                "extra": st.dictionaries(
                    st.sampled_from([_POD, "uid", "groups", "scopes.x"]),
                    st.lists(texts, min_size=1, max_size=2),
                    max_size=3,
                ),
            },
        )
    },
    optional={"sourceIPs": st.lists(texts, max_size=2), "userAgent": texts},
)


def key_of(caller: dict[str, Any]) -> bytes:
    """Write the members as they stand in a line."""
    return strategies.as_written(caller)[1:-1]


def encoded_whole(options: MappingOptions, key: bytes) -> bytes:
    read = msgspec.json.decode(b"{%b}" % key, type=FastCaller)
    user = read.user
    assert user
    extra = tuple((user.extra or {}).items())
    return RecordEncoder(options).caller(
        (user.username, user.uid, user.groups, extra, read.userAgent, read.sourceIPs or ())
    )


class Forms:
    """Both forms with templates of their own, for one mapping."""

    def __init__(self, options: MappingOptions, *forms: Lines) -> None:
        self.options, self._forms = options, forms
        records = RecordEncoder(options)
        self._encoders = [FastEncoder(records, None, form) for form in forms]

    def encode(self, key: bytes) -> bytes | None:
        """Encode by both; they must agree."""
        made = [self._encoded(*each, key) for each in zip(self._forms, self._encoders, strict=True)]
        assert all(each == made[0] for each in made)
        return made[0]

    def _encoded(self, form: Lines, encoder: FastEncoder, key: bytes) -> bytes | None:
        try:
            return form.caller(key, encoder._shapes)
        except REFUSED:
            return None


@pytest.fixture(scope="module")
def forms() -> list[Forms]:
    compiled = pytest.importorskip("k8s_audit_otlp.otlp._quick_line", reason="no compiler")
    return [Forms(options, plain_line, compiled) for options in OPTIONS]


@settings(max_examples=300, deadline=None)
@given(caller=callers)
def test_a_template_gives_the_same_bytes(forms: list[Forms], caller: dict[str, Any]) -> None:
    key = key_of(caller)
    for each in forms:
        encoded = each.encode(key)
        assert encoded is None or encoded == encoded_whole(each.options, key)


@settings(max_examples=300, deadline=None)
@given(caller=callers, cut=st.integers(0, 400), new=st.sampled_from([b"", b'"', b",", b"\0", b"}"]))
def test_what_is_written_otherwise_has_none(
    forms: list[Forms], caller: dict[str, Any], cut: int, new: bytes
) -> None:
    key = key_of(caller)
    key = key[:cut] + new + key[cut + 1 :]
    for each in forms:
        encoded = each.encode(key)
        if encoded is not None:
            assert encoded == encoded_whole(each.options, key)


def test_callers_of_the_apiserver_have_one(forms: list[Forms]) -> None:
    pod = {"uid": "4f1c", "groups": ["a", "b"], "extra": {_POD: ["web-1"]}}
    where = {"sourceIPs": ["10.0.0.1"], "userAgent": "kubectl/v1"}
    for name in ("alice", "system:serviceaccount:shop:web", "system:node:node-1"):
        key = key_of({"user": {"username": name, **pod}, **where})
        assert [bool(each.encode(key)) for each in forms[:3]] == [True, True, True]


def test_a_name_that_is_there_twice_has_none(forms: list[Forms]) -> None:
    """The last one would count, and the first stand in the place of its value."""
    twice = b'"user":{"username":"a","extra":{"k":["1"],"k":["2"]}},"userAgent":"x"'
    assert [each.encode(twice) for each in forms] == [None] * len(forms)


@pytest.mark.parametrize("number", [14, 15, 16, 40])
def test_values_have_a_bound(forms: list[Forms], number: int) -> None:
    """Both forms take the same number of them, and shapes up to the same length."""
    for size in (1, 45, 200):
        extra = {f"{n:0{size}}": ["x"] for n in range(number)}
        key = key_of({"user": {"username": "a", "extra": extra}, "userAgent": "x"})
        assert (forms[0].encode(key) is not None) == (number < 16 and number * size < 1000)
