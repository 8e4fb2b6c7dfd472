"""A configuration says which package it lacks, and which settings of TLS have no effect."""

import subprocess
import sys
from pathlib import Path

import pytest

from k8s_audit_otlp.config.load import load_text
from k8s_audit_otlp.config.mistakes import Kind

RECEIVER = "receivers: {k8s_audit: {include: /var/log/audit.log}}\n"
KAFKA_OUT = "exporters: {kafka/bus: {brokers: [b:9092], logs: {topic: audit}}}\n"
KAFKA_IN = "receivers: {kafka: {brokers: [b:9092], topics: [audit]}}\n"
CLOUDWATCH = "receivers: {aws_cloudwatch: {log_group: /aws/eks/x/cluster}}\n"
FILE_OUT = "exporters: {otlp_file: {path: '-'}}\n"
OAUTH = "extensions: {oauth2client: {client_id: a, client_secret: b, %s}}\n"


@pytest.mark.parametrize(
    ("text", "module", "says"),
    [
        (RECEIVER + KAFKA_OUT, "confluent_kafka", "exporters::kafka/bus: confluent-kafka is not"),
        (KAFKA_IN + FILE_OUT, "confluent_kafka", "receivers::kafka: confluent-kafka is not"),
        (CLOUDWATCH + FILE_OUT, "boto3", "receivers::aws_cloudwatch: boto3 is not installed"),
        (
            RECEIVER + FILE_OUT + "service: {evidence: {key_file: /nope/key}}\n",
            "cryptography",
            "service::evidence::key_file: /nope/key: cryptography is not installed",
        ),
    ],
)
@pytest.mark.parametrize("command", ["validate", "run", "doctor"])
def test_what_needs_a_package_is_refused_without_it(
    tmp_path: Path, command: str, text: str, module: str, says: str
) -> None:
    """By every command alike, with how to install it."""
    config = tmp_path / "agent.yaml"
    config.write_text(text)
    program = f"import sys; sys.modules[{module!r}] = None; from k8s_audit_otlp.cli import main"
    asked = [sys.executable, "-c", f"{program}; main()", command, "-c", str(config)]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2, done
    assert says in done.stderr
    assert "install it with pip install '.[" in done.stderr


HTTP = "exporters: {otlp_http: {endpoint: %s, tls: {ca_file: /nope/ca.pem}}}\n"
IN_THE_CLEAR = {
    HTTP % "http://siem:4318": "exporters::otlp_http::tls::ca_file",
    "exporters: {otlp: {endpoint: 'a:4317', tls: {insecure: true, min_version: '1.3'}}}\n": (
        "exporters::otlp::tls::min_version"
    ),
    FILE_OUT + OAUTH % "token_url: http://a/t, tls: {insecure_skip_verify: true}": (
        "extensions::oauth2client::tls::insecure_skip_verify"
    ),
    FILE_OUT + "service: {telemetry: {metrics: {otlp: {endpoint: http://a:1, ca_file: /c}}}}\n": (
        "service::telemetry::metrics::otlp::ca_file"
    ),
}


@pytest.mark.parametrize(("text", "where"), IN_THE_CLEAR.items())
def test_tls_settings_of_a_connection_in_the_clear_have_no_effect(text: str, where: str) -> None:
    """Who writes them believes that the connection is secured."""
    remarks = load_text(RECEIVER + text, "agent.yaml", {}).remarks
    assert [r.where for r in remarks if r.why == "this connection is in the clear"] == [where]
    assert Kind.NO_EFFECT in {remark.kind for remark in remarks}


@pytest.mark.parametrize(
    "text",
    [
        HTTP % "https://siem:4318",
        HTTP % "HTTPS://siem:4318",
        HTTP % "http://siem:4318, proxy_url: 'https://proxy:3128'",
        "exporters: {otlp_http: {endpoint: 'http://siem:4318', tls: {insecure: true}}}\n",
        "exporters: {otlp: {endpoint: 'a:4317', tls: {ca_file: /nope/ca.pem}}}\n",
    ],
)
def test_nothing_is_said_where_they_have_one(text: str) -> None:
    """TLS to a proxy is set up by them, too; `insecure` says what is so."""
    remarks = load_text(RECEIVER + text, "agent.yaml", {}).remarks
    assert not [r for r in remarks if r.why == "this connection is in the clear"]
