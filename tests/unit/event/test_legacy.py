"""Lines of the text format that old apiservers write."""

import json

from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.event.decode import read_line
from k8s_audit_otlp.event.legacy import read_legacy, unquote
from k8s_audit_otlp.model import AuditEvent
from tests.kit.present import present

LINE = (
    b'2026-01-02T03:04:05.678901234Z AUDIT: id="a-1" stage="ResponseComplete" ip="10.0.0.1" '
    b'method="get" user="alice" groups="\\"dev \\\\\\"x\\\\\\"\\",\\"system:authenticated\\"" '
    b'as="bob" asgroups="<lookup>" user-agent="kubectl \\"v1\\"" namespace="default" '
    b'uri="/api/v1/namespaces/default/pods?limit=5" response="200"'
)
EMPTY = (
    b'2026-01-02T03:04:05Z AUDIT: id="a" stage="RequestReceived" ip="<unknown>" method="get" '
    b'user="<none>" groups="<none>" as="<self>" asgroups="<lookup>" user-agent="" '
    b'namespace="<none>" uri="/" response="<deferred>"'
)


def read(line: bytes) -> AuditEvent:
    return present(read_legacy(line))


def test_a_line_of_text_is_an_event() -> None:
    """All that it tells is read."""
    event = read(LINE)
    assert (event.audit_id, event.verb, event.stage) == ("a-1", "get", "ResponseComplete")
    assert (present(event.user).username, present(event.impersonated_user).username) == (
        "alice",
        "bob",
    )
    assert present(event.user).groups == ('dev "x"', "system:authenticated")
    assert event.user_agent == 'kubectl "v1"'
    assert present(event.response_status).code == 200
    assert present(event.object_ref).namespace == "default"
    assert event.source_ips == ("10.0.0.1",)


def test_placeholders_are_nothing() -> None:
    """`<none>` and its like stand for what is absent."""
    event = read(EMPTY)
    user = present(event.user)
    assert (user.username, user.groups, event.source_ips) == ("", (), ())
    assert event.impersonated_user is None
    assert event.response_status is None
    assert event.object_ref is None


def test_a_line_of_before_1_22_has_no_user_agent() -> None:
    """What came to the format later is absent, everything else is read."""
    event = read(LINE.replace(b'user-agent="kubectl \\"v1\\"" ', b""))
    assert event.user_agent == ""
    assert (event.verb, present(event.user).username) == ("get", "alice")
    assert present(event.response_status).code == 200


def test_a_line_of_basic_auditing_is_an_event() -> None:
    """1.5 to 1.7 knew neither stage nor groups, and wrote the answer on a line of its own."""
    event = read(
        b'2017-03-17T09:15:55.998018096Z AUDIT: id="c-2" ip="127.0.0.1" method="GET" '
        b'user="<none>" as="<self>" asgroups="<lookup>" namespace="kube-system" '
        b'uri="/api/v1/namespaces/kube-system/endpoints/kube-scheduler"'
    )
    assert (event.audit_id, event.verb, event.stage) == ("c-2", "GET", "")
    user = present(event.user)
    assert (user.username, user.groups) == ("", ())
    assert present(event.object_ref).namespace == "kube-system"
    assert event.request_received_timestamp == "2017-03-17T09:15:55.998018096Z"
    assert event.response_status is None


def test_the_body_is_the_event_as_json() -> None:
    """A search in the body works as for any other event, and absent members stay absent."""
    [read] = read_line(LINE)
    body = json.loads(read.body)
    assert body["objectRef"] == {"namespace": "default"}
    assert body["requestReceivedTimestamp"] == "2026-01-02T03:04:05.678901234Z"
    assert "level" not in body
    assert read.fault == ""


def test_other_text_is_not_taken_for_it() -> None:
    """A line must be whole."""
    assert read_legacy(LINE[:-20]) is None


@given(st.text())
def test_quoting_is_undone(text: str) -> None:
    """What Go's %q escapes comes back."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    assert unquote(escaped) == text
    assert unquote("\\x07\\u00e9\\U0001f600\\xff\\t\\ud800") == "\x07é😀\ufffd\t\ufffd"
