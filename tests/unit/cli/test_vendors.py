"""`vendors` prints the presets, and a ready block for each."""

import json

import pytest
from click.testing import CliRunner, Result

from k8s_audit_otlp.cli import main
from k8s_audit_otlp.cli.exit_codes import USAGE
from k8s_audit_otlp.config.vendors.preset import ROUTES, VENDORS


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["vendors", *arguments], env={"COLUMNS": "160"})


def test_the_table_has_every_vendor() -> None:
    """And those behind a Collector, with the reason."""
    result = _run()
    assert result.exit_code == 0
    for name in (*VENDORS, *ROUTES):
        assert name in result.output
    assert "18h" in result.output


def test_the_table_is_there_for_programs() -> None:
    """With everything that is known, and what the preset comes to."""
    rows = {row["name"]: row for row in json.loads(_run("--json").output)}
    assert set(rows) == {*VENDORS, *ROUTES}
    assert rows["datadog"]["defaults"]["otlp_http"]["audit"]["profile"] == "semconv"
    assert rows["splunk"]["tested"] is False


@pytest.mark.parametrize("name", [*VENDORS, *ROUTES])
def test_show_prints_a_block(name: str) -> None:
    """As YAML, or as JSON."""
    text = _run("show", name)
    assert text.exit_code == 0
    assert "exporters:" in text.output
    assert json.loads(_run("show", name, "--json").output)["name"] == name


def test_show_over_grpc_where_the_vendor_takes_it() -> None:
    """Otherwise it is a mistake."""
    assert "otlp_grpc/honeycomb:" in _run("show", "honeycomb", "--grpc").output
    refused = _run("show", "loki", "--grpc")
    assert refused.exit_code == USAGE
    assert "takes no gRPC" in refused.output


def test_a_mistyped_name_gets_the_right_one() -> None:
    """It is a mistake of usage."""
    result = _run("show", "datdog")
    assert result.exit_code == USAGE
    assert "did you mean datadog?" in result.output
