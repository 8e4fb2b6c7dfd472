"""Files that are given by mistake are named for what they are, and an audit log never is."""

import json

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.event.foreign import seems
from tests.kit.log.events import EventSource

EVENT = EventSource(1).line()
FOREIGN = {
    "auditd": b"type=SYSCALL msg=audit(1710312345.000:0): arch=c000003e syscall=59 success=yes",
    "CRI": b"2025-03-04T06:22:10.822600000Z stdout F I0304 06:22:10.000000 hello",
    "klog": b"I0304 06:22:10.000000       1 trace.go:236] Trace[123]",
    "docker": b'{"log":"{}\\n","stream":"stdout","time":"2025-03-04T06:22:10Z"}',
    "syslog": b"Mar  4 06:22:10 node1 kernel: hello",
    "CloudWatch": b'{"messageType":"DATA_MESSAGE","logEvents":[]}',
    "Kubernetes Events": b'{"kind":"Event","apiVersion":"v1","reason":"Killing"}',
    "the keys ts, level, msg": b'{"ts":1,"level":"info","msg":"hello"}',
    "packed": b"\x1f\x8b\x08\x00abc",
    "rows of CSV": b'"2025-03-04","{""kind"":""Event"",""level"":""Metadata""}"',
    "YAML, such as a policy": b"apiVersion: audit.k8s.io/v1",
    "JSON over several lines": b"{",
    "JSON that breaks off": EVENT[:100],
    "JSON of another kind, without a key": b"{}",
    "text of another kind": b"hello",
    "text of another": b"[2025-03-04 06:22:10] INFO hello",
}


@pytest.mark.parametrize(("what", "line"), FOREIGN.items(), ids=FOREIGN)
def test_it_is_named(what: str, line: bytes) -> None:
    """Also where a few lines of another form stand between."""
    assert what in seems([line] * 3)
    assert what in seems([line, line, FOREIGN["klog"] if what == "CRI" else line])


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (zstandard.compress(EVENT * 99), "packed"),
        ("".join([EVENT.decode()] * 3).encode("utf-16"), "UTF-16"),
        (json.dumps([json.loads(EVENT)] * 2, indent=1).encode(), "JSON over several lines"),
        (b"apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: None\n", "YAML"),
    ],
)
def test_a_whole_file_is_named_by_how_it_begins(data: bytes, what: str) -> None:
    """Its other lines look like nothing."""
    assert what in seems(data.split(b"\n"))


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [b"[", EVENT, b"]"],
        [b"", b"\0\0"],
        [EVENT] * 3,
        [EVENT[:100], EVENT],  # torn by a crash
        [FOREIGN["klog"], EVENT, EVENT],
        [b'{"kind":"EventList","items":[]}'],
        [b"2025-03-04T06:22:10.822600000Z stdout F " + EVENT],
        [json.dumps({"log": EVENT.decode() + "\n", "stream": "stdout"}).encode()],
        [b"[" + EVENT + b"]"],
        [(b'2019-01-01T00:00:00.1Z AUDIT: id="a" stage="RequestReceived" ip="::1" method="get" '
         b'user="u" groups="g" as="<self>" asgroups="<lookup>" user-agent="k" '
         b'namespace="d" uri="/" response="<deferred>"')],
    ],
)  # fmt: skip
def test_an_audit_log_is_no_other_kind(lines: list[bytes]) -> None:
    """Torn, empty, legacy, in lists, or framed as the receiver reads it."""
    assert seems(lines) == ""


@given(st.lists(st.binary(max_size=80), max_size=5))
def test_any_bytes_are_judged(lines: list[bytes]) -> None:
    """Without an error, in a short phrase."""
    assert len(seems(lines)) <= 120


def test_a_line_that_is_not_utf8_stops_no_start() -> None:
    """Strings of clients come as they are; the first look takes them like any other reader."""
    line = b'{"kind":"Event","auditID":"a","verb":"get","userAgent":"\xff\xfe"}'
    assert seems([line]) == ""
