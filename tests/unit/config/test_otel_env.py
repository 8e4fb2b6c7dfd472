"""With no file, the OTEL_EXPORTER_OTLP_* variables alone are enough."""

import pytest

from k8s_audit_otlp.config.exporters import OtlpGrpc, OtlpHttp
from k8s_audit_otlp.config.mistakes import ConfigError
from k8s_audit_otlp.config.otel_env import from_environment


def _http(**variables: str) -> OtlpHttp:
    env = {f"OTEL_EXPORTER_OTLP_{name}": value for name, value in variables.items()}
    exporter = from_environment("/var/log/audit.log", None, env).config.exporters["otlp_http"]
    assert isinstance(exporter, OtlpHttp)
    return exporter


ENDPOINTS = [
    ({}, "http://localhost:4318/v1/logs"),
    ({"ENDPOINT": "http://siem:4318"}, "http://siem:4318/v1/logs"),
    ({"ENDPOINT": "http://siem:4318/otel/"}, "http://siem:4318/otel/v1/logs"),
    ({"LOGS_ENDPOINT": "http://siem:4318/otel/v1/logs"}, "http://siem:4318/otel/v1/logs"),
    ({"LOGS_ENDPOINT": "http://siem:4318"}, "http://siem:4318/"),
    ({"LOGS_ENDPOINT": "http://a/x", "ENDPOINT": "http://b"}, "http://a/x"),
    ({"LOGS_ENDPOINT": "", "ENDPOINT": "http://b"}, "http://b/v1/logs"),
    ({"ENDPOINT": "http://b/$HOME/${X}"}, "http://b/$HOME/${X}/v1/logs"),
]
HEADERS = [
    ("a=b", {"a": "b"}),
    ("authorization=Basic%20YTpi==,x=1", {"authorization": "Basic YTpi==", "x": "1"}),
    ("a=b c , d=e", {"a": "b c", "d": "e"}),
    ("a=1%2C2,", {"a": "1,2"}),
    ("a=", {"a": ""}),
    ("a=${X}$$", {"a": "${X}$$"}),
]


@pytest.mark.parametrize(("variables", "url"), ENDPOINTS)
def test_the_endpoint_follows_the_specification(variables: dict[str, str], url: str) -> None:
    """A general endpoint is a base URL; the one for logs is used as it is and wins."""
    assert _http(**variables).url.resolve() == url


@pytest.mark.parametrize(("text", "headers"), HEADERS)
def test_headers_are_read_liberally(text: str, headers: dict[str, str]) -> None:
    """Percent-encoded or raw, split at the first equals sign; nothing is expanded."""
    found = _http(HEADERS=text).headers
    assert {name: value.resolve() for name, value in found.items()} == headers


def test_the_other_variables_are_honoured() -> None:
    """The form for logs wins; the timeout is in milliseconds."""
    exporter = _http(
        COMPRESSION="none",
        TIMEOUT="5000",
        LOGS_TIMEOUT="1500",
        CERTIFICATE="/nope/ca",
        CLIENT_KEY="/nope/key",
        CLIENT_CERTIFICATE="/nope/cert",
    )
    assert (exporter.compression, exporter.timeout_s) == ("none", 1.5)
    tls = exporter.tls
    assert (tls.ca_file, tls.key_file, tls.cert_file) == ("/nope/ca", "/nope/key", "/nope/cert")


def test_grpc_has_its_own_endpoint_and_insecure() -> None:
    """The protocol chooses the exporter."""
    env = {
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "siem:4317",
        "OTEL_EXPORTER_OTLP_INSECURE": "true",
    }
    config = from_environment("/var/log/audit.log", "/state", env, start_at="end").config
    exporter = config.exporters["otlp_grpc"]
    assert isinstance(exporter, OtlpGrpc)
    assert (exporter.endpoint.resolve(), exporter.insecure) == ("siem:4317", True)
    assert config.service.state_dir == "/state"
    receiver = config.receivers["k8s_audit"]
    assert (receiver.include, receiver.start_at.kind) == (("/var/log/audit.log",), "end")


MISTAKES = [
    ({"ENDPOINT": "siem:4318"}, "ENDPOINT: 'siem:4318' has no scheme; write http://siem:4318"),
    (
        {"TIMEOUT": "10"},
        "TIMEOUT: 10 is in milliseconds, too short for any answer; set 10000 for seconds",
    ),
    (
        {"TIMEOUT": "10s"},
        "TIMEOUT: '10s' is not a number of milliseconds; set 10000 for ten seconds",
    ),
    (
        {"PROTOCOL": "http/json"},
        "PROTOCOL: the protocol 'http/json' is not spoken; set http/protobuf or grpc",
    ),
    (
        {"COMPRESSION": "snappy"},
        "COMPRESSION: this compression is not spoken; write gzip, zstd or none",
    ),
    (
        {"HEADERS": "a=b,sesame"},
        (
            "HEADERS: item 2 is not key=value (it is not shown);"
            " set key=value,key2=value2 with , written as %2C"
        ),
    ),
    (
        {"LOGS_HEADERS": "a=ses%0Aame"},
        "LOGS_HEADERS: the value holds a line break; write it on one line (the value is not shown)",
    ),
    ({"CLIENT_KEY": "/k"}, "CLIENT_KEY: key is set without cert; add cert_file"),
]


@pytest.mark.parametrize(("variables", "message"), MISTAKES)
def test_a_mistake_is_reported_under_the_name_of_the_variable(
    variables: dict[str, str], message: str
) -> None:
    """There is no file to point into, so the variable is the place."""
    with pytest.raises(ConfigError) as caught:
        _http(**variables)
    assert str(caught.value) == f"environment: OTEL_EXPORTER_OTLP_{message}"
    assert "sesame" not in str(caught.value)
