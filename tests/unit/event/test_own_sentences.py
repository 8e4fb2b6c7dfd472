"""What kube-apiserver's own sentences and parameters hold is judged quickly, and never kinder."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8s_audit_otlp.event.redact import Redactor
from k8s_audit_otlp.event.redact.body import BodyRedactor
from k8s_audit_otlp.event.redact.context import BodyContext, Findings
from k8s_audit_otlp.event.redact.rules import RedactionRules
from k8s_audit_otlp.event.secrets.messages import quoted_in
from k8s_audit_otlp.event.secrets.replacement import Replacement
from k8s_audit_otlp.event.secrets.text import clean_message
from k8s_audit_otlp.event.secrets.uri import is_plain_query

OUTSIDE = Redactor()._outside
BODIES = BodyRedactor(RedactionRules(), Replacement(None))
SENTENCES = (
    (
        'secrets "{}" is forbidden: User "{}" cannot get resource "secrets" in API group "{}" '
        'in the namespace "{}"'
    ),
    'pods is forbidden: User "{}" cannot list resource "{}" in API group "" at the cluster scope',
    'configmaps "{}" not found',
    'tokenreviews.authentication.k8s.io "{}" already exists',
    (
        'Operation cannot be fulfilled on secrets "{}": the object has been modified; please apply '
        "your changes to the latest version and try again"
    ),
)
SECRETS = (
    "Bearer abcdefghijklmnopqrstu",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJlb2ZhdG9rZW4",
    "https://alice:hunter22hunter22@host.example/x",
    "password=hunter22hunter22",
    "ghp_0123456789abcdefghijABCDEFGHIJ012345",
)
NAMES = ("alice", "system:serviceaccount:a:b", "api-key", "db-password", "oidc:jürgen@example.com")
value = st.one_of(st.sampled_from(SECRETS + NAMES), st.text(max_size=20))


def as_whole(text: str) -> bool:
    return OUTSIDE.text("responseStatus", "message", text, Findings(BodyContext())) == text


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(SENTENCES), st.lists(value, min_size=4, max_size=4))
def test_a_sentence_leaves_only_where_it_would_as_a_whole(sentence: str, values: list[str]) -> None:
    """Whatever it quotes."""
    text = sentence.format(*values)
    if OUTSIDE.leaves("responseStatus", text):
        assert as_whole(text)
    if BODIES.may_say(text):  # where it stands in a body
        assert clean_message(text, BODIES.replacement) == text


@pytest.mark.parametrize("sentence", SENTENCES)
@pytest.mark.parametrize("name", NAMES)
def test_names_leave_in_a_sentence_and_secrets_do_not(sentence: str, name: str) -> None:
    """At each place of it."""
    assert OUTSIDE.leaves("responseStatus", sentence.format(*[name] * 4))
    assert BODIES.may_say(sentence.format(*[name] * 4))
    for place in range(sentence.count("{}")):
        for secret in SECRETS:
            values = [name] * 4
            values[place] = secret
            assert not OUTSIDE.leaves("responseStatus", sentence.format(*values))
            assert not BODIES.may_say(sentence.format(*values))


def test_other_sentences_are_none_of_the_apiservers_own() -> None:
    """Each goes to the cleaner as it stands."""
    for text in ("", "x", 'Invalid value: "x"', 'secrets "a" not found: password "b"', "a" * 300):
        assert quoted_in(text) is None
        assert not BODIES.may_say(text)


parameter = st.sampled_from((
    "watch=true", "limit=500", "resourceVersion=123456", "timeout=9m58s", "timeoutSeconds=10",
    "resourceVersionMatch=NotOlderThan", "allowWatchBookmarks=1", "token=abcdefghijkl",
    "limit=hunter22", "watch=true;password=hunter22", "resourceVersion=0%26token=x", "",
))  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(parameter, max_size=4))
def test_a_plain_query_leaves(parameters: list[str]) -> None:
    """As the judge of every query says, too."""
    query = "&".join(parameters)
    if is_plain_query(query):
        assert OUTSIDE.leaves("requestURI", "/?" + query)
        assert not {"token", "hunter22", "password"} & set(query.replace("=", " ").split())
