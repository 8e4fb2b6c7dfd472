"""The demo's table keeps what matters in a narrow terminal."""

import io

import pytest
from rich.console import Console

from k8s_audit_otlp.cli.demo import _table
from k8s_audit_otlp.tools.demo.received import Record


@pytest.mark.parametrize("width", [80, 120, 200])
def test_time_verb_code_and_status_are_whole(width: int) -> None:
    """However long the name of the user and of the object are."""
    attributes = {
        "verb": "update",
        "username": "system:serviceaccount:kube-system:endpointslice-controller",
        "namespace": "production-of-something",
        "k8s.audit.object_ref.resource": "endpointslices",
        "responseCode": 403,
        "status": "FAIL",
    }
    when = 1_700_000_000_123_000_000
    record = Record("u", "e", "{}", attributes, {}, when, when, 17, "ERROR", "s")
    out = io.StringIO()
    Console(file=out, width=width, height=24).print(_table([record]))
    for text in ("22:13:20.123", "ERROR", "update", "403", "FAIL"):
        assert text in out.getvalue()
    assert all(len(line) <= width for line in out.getvalue().splitlines())
