"""The demo's table keeps what matters in a narrow terminal."""

import io

import pytest
from rich.console import Console

from k8s_audit_otlp.cli.demo import _one, _table
from k8s_audit_otlp.tools.demo.backend import Record


@pytest.mark.parametrize("width", [80, 120, 200])
def test_time_verb_code_and_outcome_are_whole(width: int) -> None:
    """However long the name of the user and of the object are."""
    attributes = {
        "verb": "update",
        "username": "system:serviceaccount:kube-system:endpointslice-controller",
        "namespace": "production-of-something",
        "k8s.audit.object_ref.resource": "endpointslices",
        "responseCode": 403,
        "k8s.audit.outcome": "failure",
    }
    when = 1_700_000_000_123_000_000
    record = Record("{}", attributes, {}, when, "ERROR")
    out = io.StringIO()
    Console(file=out, width=width, height=24).print(_table([record]))
    for text in ("22:13:20.123", "ERROR", "update", "403", "failure"):
        assert text in out.getvalue()
    assert all(len(line) <= width for line in out.getvalue().splitlines())


def test_the_record_in_full_is_in_full_in_a_narrow_terminal() -> None:
    """What is longer than the line goes on in the next one."""
    body = '{"kind":"Event",' + '"a":"b",' * 40 + '"end":"here"}'
    record = Record(body, {"url.path": "/apis/x" * 20}, {}, 1, "INFO")
    out = io.StringIO()
    Console(file=out, width=80, height=24).print(_one(record))
    lines = out.getvalue().splitlines()
    assert all(len(line) <= 80 for line in lines)
    joined = "".join(line.strip("│ ").split("│")[-1].strip() for line in lines)
    assert body in joined
    assert "/apis/x" * 20 in joined
