"""A good file gives exactly the values that it says, and the defaults for the rest."""

import os
from pathlib import Path

import pytest

from k8s_audit_otlp.config.exporters import OtlpFile, OtlpGrpc, OtlpHttp, Sdk
from k8s_audit_otlp.config.extensions import BasicAuth, BearerToken, OAuth2Client
from k8s_audit_otlp.config.load import load, load_text
from k8s_audit_otlp.config.mistakes import ConfigError, Kind
from k8s_audit_otlp.config.types import StartAt

SMALLEST = """
receivers: {k8s_audit: {include: /var/log/audit.log}}
exporters: {otlp_http: {endpoint: "http://siem:4318"}}
"""
FULL = """
receivers:
  k8s_audit/eu:
    include: [/logs/eu/audit.log, "/logs/more/*.log"]
    start_at: 36h
    resource: {k8s.cluster.name: eu, replicas: 3, prod: true}
    attributes: {atype: kube-audit-log}
    poll_interval: 250ms
    max_line_bytes: 8MiB
    min_free_disk: 2GB
    silence_after: 10m
  k8s_audit/us:
    include: /logs/us/audit.log
    start_at: 2026-01-31T00:00:00.5Z
exporters:
  otlphttp/siem:
    endpoint: ${env:SCHEME:-https}://siem:4318/otel/
    headers:
      - {name: X-Api-Key, value: "${env:KEY}"}
      - {name: X-Number, value: 7}
    compression: zstd
    compression_params: {level: 3}
    timeout: 7s
    proxy_url: http://proxy:3128
    tls: {min_version: 1.3, insecure_skip_verify: true}
    retry_on_failure: {initial_interval: 1s, max_interval: 1m, multiplier: 2}
    sending_queue:
      num_consumers: "${env:CONSUMERS}"
      sizer: bytes
      batch: {flush_timeout: 1s, min_size: 1000, max_size: 200000}
    auth: {authenticator: bearertokenauth}
    audit:
      receivers: [k8s_audit/us]
      profile: semconv
      start_at: end
      max_record_bytes: 250KB
      retry_status_codes: [408, 500]
      dead_letter: {max_bytes: 1MiB, on_full: evict}
  otlp/dk:
    endpoint: http://dk:4317
    keepalive: {time: 30s}
    audit: {enabled: false}
  file:
    path: "-"
    rotation: {max_megabytes: 5}
  sdk: {exporter: console}
extensions:
  bearertokenauth: {token: "${env:KEY}", scheme: Token}
  basicauth/b: {client_auth: {username: u, password: p}}
  oauth2client: {client_id: c, client_secret: s, token_url: "https://idp/token", scopes: [a]}
service:
  state_dir: /state
  shutdown_timeout: 3s
  until: caught_up
  telemetry: {logs: {level: debug}, metrics: {address: "0.0.0.0:8888"}}
"""
ENV = {"KEY": "sesame", "CONSUMERS": "2"}


def test_the_smallest_file_has_every_default() -> None:
    """One receiver, one exporter."""
    config = load_text(SMALLEST, "agent.yaml", {}).config
    receiver, exporter = config.receivers["k8s_audit"], config.exporters["otlp_http"]
    assert receiver.start_at == StartAt("beginning")
    assert receiver.poll_interval_s == 1.0
    assert receiver.max_line_bytes == 64 << 20
    assert isinstance(exporter, OtlpHttp)
    assert exporter.url.resolve() == "http://siem:4318/v1/logs"
    assert (exporter.compression, exporter.timeout_s) == ("gzip", 30.0)
    assert exporter.retry_on_failure.initial_interval_s == 5.0
    assert exporter.retry_on_failure.max_elapsed_time_s == 0.0
    queue = exporter.sending_queue
    assert (queue.num_consumers, queue.batch.flush_timeout_s) == (4, 0.2)
    assert (queue.batch.max_records, queue.batch.max_bytes) == (None, 900_000)
    assert exporter.audit.profile == "default"
    assert exporter.audit.start_at is None
    assert config.service.state_dir == "/var/lib/k8s-audit-otlp"
    assert config.service.shutdown_timeout_s == 4.0
    assert list(config.routes()) == [("k8s_audit", "otlp_http")]


def test_receivers_have_what_the_file_says() -> None:
    """Numbers and booleans of the resource keep their type; times become nanoseconds."""
    config = load_text(FULL, "agent.yaml", ENV).config
    eu, us = config.receivers.values()
    assert eu.include == ("/logs/eu/audit.log", "/logs/more/*.log")
    assert us.include == ("/logs/us/audit.log",)
    assert eu.start_at == StartAt("age", age_s=129_600.0)
    assert eu.start_at.since_ns(200_000 * 10**9) == 70_400 * 10**9
    assert us.start_at == StartAt("time", time_ns=1_769_817_600_500_000_000)
    assert eu.resource == {"k8s.cluster.name": "eu", "replicas": 3, "prod": True}
    assert eu.attributes == {"atype": "kube-audit-log"}
    assert (eu.poll_interval_s, eu.max_line_bytes) == (0.25, 8 << 20)
    assert (eu.min_free_disk_bytes, eu.silence_after_s) == (2_000_000_000, 600.0)


def test_an_http_exporter_has_what_the_file_says() -> None:
    """Aliases become the type's own name; a list of headers becomes a map."""
    exporter = load_text(FULL, "agent.yaml", ENV).config.exporters["otlp_http/siem"]
    assert isinstance(exporter, OtlpHttp)
    assert exporter.url.resolve() == "https://siem:4318/otel/v1/logs"
    headers = {name: value.resolve() for name, value in exporter.headers.items()}
    assert headers == {"X-Api-Key": "sesame", "X-Number": "7"}
    assert (exporter.compression, exporter.compression_params.level) == ("zstd", 3)
    assert exporter.timeout_s == 7.0
    assert exporter.proxy_url is not None
    assert exporter.tls.min_version == "1.3"
    assert exporter.tls.insecure_skip_verify
    retry, queue = exporter.retry_on_failure, exporter.sending_queue
    assert (retry.initial_interval_s, retry.max_interval_s, retry.multiplier) == (1.0, 60.0, 2.0)
    assert (queue.num_consumers, queue.batch.max_bytes, queue.batch.min_bytes) == (2, 200_000, 1000)
    assert (queue.batch.max_records, queue.batch.min_records) == (None, 0)
    audit = exporter.audit
    assert (audit.receivers, audit.profile) == (("k8s_audit/us",), "semconv")
    assert (audit.start_at, audit.max_record_bytes) == (StartAt("end"), 250_000)
    assert audit.retry_status_codes == (408, 500)
    assert (audit.dead_letter.max_bytes, audit.dead_letter.on_full) == (1 << 20, "evict")


def test_the_other_exporters_have_what_the_file_says() -> None:
    """gRPC, file and SDK."""
    exporters = load_text(FULL, "agent.yaml", ENV).config.exporters
    grpc, file, sdk = exporters["otlp_grpc/dk"], exporters["otlp_file"], exporters["sdk"]
    assert isinstance(grpc, OtlpGrpc)
    assert grpc.insecure
    assert grpc.keepalive is not None
    assert (grpc.keepalive.time_s, grpc.timeout_s) == (30.0, 5.0)
    assert isinstance(file, OtlpFile)
    assert file.rotation is not None
    assert (file.path, file.rotation.max_bytes) == ("-", 5 << 20)
    assert isinstance(sdk, Sdk)
    assert sdk.exporter == "console"


def test_extensions_give_their_secrets() -> None:
    """The words that a header is made of, resolved on use."""
    extensions = load_text(FULL, "agent.yaml", ENV).config.extensions
    bearer, basic, oauth = extensions.values()
    assert isinstance(bearer, BearerToken)
    assert (bearer.header, bearer.scheme, bearer.secret.resolve()) == (
        "Authorization",
        "Token",
        "sesame",
    )
    assert isinstance(basic, BasicAuth)
    assert [one.resolve() for one in basic.client_auth.secrets()] == ["u", "p"]
    assert isinstance(oauth, OAuth2Client)
    assert [one.resolve() for one in oauth.secrets()] == ["c", "s"]


def test_routes_follow_receivers_enabled_and_pipelines() -> None:
    """An exporter takes what it names; a disabled one nothing; a pipeline narrows further."""
    config = load_text(FULL, "agent.yaml", ENV).config
    assert list(config.routes()) == [
        ("k8s_audit/us", "otlp_http/siem"),
        ("k8s_audit/eu", "otlp_file"),
        ("k8s_audit/us", "otlp_file"),
        ("k8s_audit/eu", "sdk"),
        ("k8s_audit/us", "sdk"),
    ]
    pipelines = """
  pipelines:
    logs/a: {receivers: [k8s_audit/eu], processors: [batch], exporters: [file, otlphttp/siem]}
    logs/b: {receivers: [k8s_audit/us], exporters: [file]}
    traces: {receivers: [otlp], exporters: [debug]}
"""
    loaded = load_text(FULL + pipelines.lstrip("\n"), "agent.yaml", ENV)
    assert list(loaded.config.routes()) == [
        ("k8s_audit/eu", "otlp_file"),
        ("k8s_audit/us", "otlp_file"),
    ]
    disabled = {one.where for one in loaded.remarks if "disabled" in one.why}
    assert disabled == {"exporters::otlphttp/siem", "exporters::otlp/dk", "exporters::sdk"}


def test_a_variable_may_hold_a_list() -> None:
    """A whole value that is a list or a map is read as one, as in the Collector."""
    text = SMALLEST.replace("/var/log/audit.log", '"${env:LOGS}"')
    config = load_text(text, "agent.yaml", {"LOGS": "[/a.log, /b.log]"}).config
    assert config.receivers["k8s_audit"].include == ("/a.log", "/b.log")


def test_a_key_without_a_value_has_its_default() -> None:
    """As in the Collector: `tls:` alone is no mistake."""
    text = SMALLEST.replace("audit.log}", "audit.log, start_at: }").replace('4318"', '4318", tls: ')
    config = load_text(text, "agent.yaml", {}).config
    assert config.exporters["otlp_http"].audit.enabled


def test_a_file_of_a_secret_may_come_later(tmp_path: Path) -> None:
    """It is a remark, and the value is there as soon as the file is."""
    token, agent = tmp_path / "token", tmp_path / "agent.yaml"
    agent.write_text(SMALLEST.replace('4318"', f'4318", headers: {{a: "${{file:{token}}}"}}'))
    loaded = load(agent, {})
    assert (f"exporters::otlp_http::headers::a: not there yet: {token} is needed for sending") in {
        str(one) for one in loaded.remarks
    }
    token.write_text("sesame\n")
    exporter = loaded.config.exporters["otlp_http"]
    assert isinstance(exporter, OtlpHttp)
    assert exporter.headers["a"].resolve() == "sesame"
    assert not [one for one in load(agent, {}).remarks if "headers" in one.where]


def test_a_log_that_is_not_there_yet_is_waited_for() -> None:
    """A remark, not a mistake."""
    remarks = load_text(SMALLEST.replace("/var/log", "/nope"), "agent.yaml", {}).remarks
    assert [(one.where, one.kind) for one in remarks] == [
        ("receivers::k8s_audit::include", Kind.MISSING)
    ]


def test_a_path_that_the_disk_refuses_is_a_remark() -> None:
    """A name that is too long, or behind a closed directory, is no crash of the check."""
    text = SMALLEST.replace("/var/log/audit.log", "/" + "a" * 5000)
    (remark,) = load_text(text, "agent.yaml", {}).remarks
    assert remark.kind is Kind.UNREADABLE


def test_no_secret_is_in_the_repr_of_a_configuration() -> None:
    """A configuration can be logged."""
    text = FULL.replace("http://proxy:3128", "http://u:sesame@proxy:3128")
    config = load_text(text, "agent.yaml", ENV).config
    assert "sesame" not in repr(config)
    assert "sesame" not in str(config.exporters["otlp_http/siem"])


def test_the_command_line_may_name_another_state_directory() -> None:
    """Nothing else changes, and the spools of a source lie in it."""
    given = load_text(SMALLEST, "agent.yaml", {}, state_dir="/other")
    assert given.config.service.state_dir == "/other"
    assert given == load_text(f"{SMALLEST}service: {{state_dir: /other}}\n", "agent.yaml", {})
    text = "receivers: {k8s_audit_webhook: }\nexporters: {otlp_http: {endpoint: http://h:4318}}"
    config = load_text(text, "agent.yaml", {}, state_dir="/other").config
    spool = "/other/spool/k8s_audit_webhook/all/audit.log"
    assert config.receivers["k8s_audit_webhook"].include == (spool,)


@pytest.mark.parametrize(
    "key",
    [
        'endpoint: "{}"',
        'endpoint: "http://h:1", proxy_url: "{}"',
        'endpoint: "http://h:1", timeout: "{}"',
        'endpoint: "http://h:1", compression: "{}"',
        'endpoint: "http://h:1", audit: {{vendor: "{}"}}',
        'endpoint: "http://h:1", audit: {{dead_letter: {{max_bytes: "x{}"}}}}',
        'endpoint: "ftp://{}@h:1"',
    ],
)
def test_no_mistake_says_what_a_reference_stands_for(tmp_path: Path, key: str) -> None:
    """Under whatever key a token was put: the reference is said in its place."""
    (tmp_path / "token").write_text("hunter2Zq9Xw7L\n")
    for reference in (f"${{file:{tmp_path}/token}}", "${env:TOKEN}"):
        text = SMALLEST.replace('endpoint: "http://siem:4318"', key.format(reference))
        with pytest.raises(ConfigError, match="exporters::otlp_http") as raised:
            load_text(text, "agent.yaml", {"TOKEN": "hunter2Zq9Xw7L"})
        assert "hunter2Zq9Xw7L" not in str(raised.value)


def test_no_remark_says_what_a_file_holds(tmp_path: Path) -> None:
    """As the name of a file that is not there yet, say."""
    (tmp_path / "token").write_text("hunter2Zq9Xw7L\n")
    tls = f'4318", tls: {{ca_file: "${{file:{tmp_path}/token}}"}}'
    remarks = [*map(str, load_text(SMALLEST.replace('4318"', tls), "agent.yaml", {}).remarks)]
    assert any("ca_file" in remark for remark in remarks)
    assert "hunter2Zq9Xw7L" not in "".join(remarks)


def test_what_never_becomes_a_value_is_a_mistake_of_a_secret_too(tmp_path: Path) -> None:
    """A missing file may come; a pipe, a device, a file that is no text or too long may not."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with (tmp_path / "long").open("wb") as file:
        file.truncate(2 << 20)
    text = SMALLEST.replace(':4318"', ':4318", headers: {a: "${file:PATH}"}')
    load_text(text.replace("PATH", str(tmp_path / "missing")), "a.yaml", {})
    never = ("pipe", "binary", "long", ".")
    for path in ("/dev/zero", *(str(tmp_path / name) for name in never)):
        for kind in (text, SMALLEST.replace("http://siem:4318", "${file:PATH}")):
            with pytest.raises(ConfigError, match="name a file with the value alone"):
                load_text(kind.replace("PATH", path), "a.yaml", {})
