"""`validate` prints every mistake or what the configuration will do, and never a secret."""

import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from click.testing import CliRunner, Result

from k8s_audit_otlp.cli import main
from k8s_audit_otlp.cli.exit_codes import USAGE
from k8s_audit_otlp.evidence.seal import make_key

GOOD = """
receivers:
  k8s_audit: {include: /nope/audit.log, resource: {k8s.cluster.name: prod}}
exporters:
  otlphttp/siem:
    endpoint: https://user:sesame@siem:4318/otel
    headers: {authorization: "Bearer ${env:TOKEN}"}
    retry_on_failure: {max_elapsed_time: 5m}
    sending_queue: {queue_size: 100, batch: {max_size: 500}}
    auth: {authenticator: bearertokenauth}
  otlp: {endpoint: "dk:4317", tls: {insecure: true}, audit: {enabled: false}}
  otlp_file: {path: "-", audit: {start_at: 24h}}
  sdk: {exporter: console}
extensions: {bearertokenauth: {token: "${env:TOKEN}"}}
"""
SUMMARY = """\
agent.yaml: no mistakes
receivers
  k8s_audit
    reads     /nope/audit.log
    from      the beginning
    resource  k8s.cluster.name=prod
exporters
  otlp_http/siem
    to        https://***@siem:4318/otel/v1/logs
    sends     k8s_audit
    headers   authorization
    auth      bearertokenauth
    requests  gzip, 4 in flight, up to 900000 bytes, up to 500 records, 30s at most
    retries   2.5s to 45s apart, for 5m, then to the dead letter
    form      profile default, bodies: keep
    honours   retry_on_failure::max_elapsed_time, sending_queue::batch::max_size, endpoint, \
headers, auth::authenticator
  otlp_grpc
    to        dk:4317 in the clear
    sends     nothing: disabled
    requests  gzip, 4 in flight, up to 900000 bytes, 5s at most
    retries   2.5s to 45s apart, for ever
    form      profile default, bodies: keep
    honours   audit::enabled, endpoint, tls::insecure
  otlp_file
    to        the standard output
    sends     k8s_audit
    from      the last 24h
    requests  4 in flight, up to 900000 bytes
    retries   2.5s to 45s apart, for ever
    form      profile default, bodies: keep
    honours   audit::start_at, path
  sdk
    to        the SDK exporter console
    sends     k8s_audit
    requests  4 in flight, up to 900000 bytes
    retries   2.5s to 45s apart, for ever
    form      profile default, bodies: keep
    honours   exporter
service
  state in /var/lib/k8s-audit-otlp, stops within 4s
different
  exporters::otlphttp/siem::retry_on_failure::max_elapsed_time: after that time records go to \
the dead letter; the Collector drops them
no effect
  exporters::otlphttp/siem::sending_queue::queue_size: the audit log on disk is the queue
  exporters::otlp: it is off or in no pipeline: disabled, its position is kept
not there yet
  receivers::k8s_audit::include: /nope/audit.log will be read as soon as it is there
"""


def _validate(directory: Path, text: str, *options: str) -> Result:
    (directory / "agent.yaml").write_text(text)
    runner = CliRunner(env={"TOKEN": "sesame"})
    return runner.invoke(main, ["validate", "--config", str(directory / "agent.yaml"), *options])


def test_a_mistyped_log_and_an_unchecked_certificate_are_said(tmp_path: Path) -> None:
    """The first with what is there; beside them that a key seals what is told."""
    (tmp_path / "audit.log").write_text("")
    make_key(tmp_path / "seal.key")
    text = f"""
receivers: {{k8s_audit: {{include: [{tmp_path}/audit.lgo]}}}}
exporters: {{otlp_http: {{endpoint: "https://a.example", tls: {{insecure_skip_verify: true}}}}}}
service: {{evidence: {{key_file: {tmp_path}/seal.key}}}}
"""
    said = _validate(tmp_path, text).output
    assert f"as soon as it is there; {tmp_path} holds " in said
    assert "beware    anybody may be the back end" in said
    assert f"seals with {tmp_path}/seal.key" in said


def test_what_run_would_warn_of_is_said(
    tmp_path: Path, as_nobody: Callable[[], AbstractContextManager[None]]
) -> None:
    """Where nothing can be written, a directory to make, and logs that nobody can tell apart."""
    for name in ("state", "out"):
        (tmp_path / name).mkdir(mode=0o555)
    (tmp_path / "audit.log").write_text("")
    text = f"""
receivers: {{k8s_audit: {{include: [{tmp_path}/audit.log]}}}}
exporters:
  otlp_file: {{path: {tmp_path}/absent/a.jsonl}}
  otlp_file/2: {{path: {tmp_path}/out/b.jsonl}}
service: {{state_dir: {tmp_path}/state/agent}}
"""
    (tmp_path / "agent.yaml").touch()
    (tmp_path / "agent.yaml").chmod(0o666)
    with as_nobody():
        said = _validate(tmp_path, text).output
    assert "otlp_file::path: its directory is not there; make it, or write create_dir" in said
    assert f"otlp_file/2::path: {tmp_path}/out may not be written by this user" in said
    assert f"state_dir: {tmp_path}/state may not be written by this user" in said
    assert "k8s_audit::resource: neither k8s.cluster.name nor k8s.node.name is set" in said


def test_a_good_file_gets_a_summary_without_secrets(tmp_path: Path) -> None:
    """Where each exporter sends, what is honoured, what has no effect, what differs."""
    result = _validate(tmp_path, GOOD)
    assert result.output.replace(f"{tmp_path}/", "") == SUMMARY
    assert result.exit_code == 0


def test_quiet_says_nothing_about_a_good_file(tmp_path: Path) -> None:
    """For scripts that only look at the exit code."""
    result = _validate(tmp_path, GOOD, "--quiet")
    assert (result.exit_code, result.output) == (0, "")


def test_mistakes_go_to_the_standard_error_one_a_line(tmp_path: Path) -> None:
    """All of them, exit code 2, nothing on the standard output."""
    text = GOOD.replace("https://user:sesame@", "").replace("max_size: 500", "max_sise: 500")
    result = _validate(tmp_path, text)
    file = tmp_path / "agent.yaml"
    assert result.exit_code == USAGE
    assert result.stdout == ""
    assert result.stderr == (
        f"k8s-audit-otlp: {file}:6: exporters::otlphttp/siem::endpoint: 'siem:4318...'"
        " has no scheme; write http://siem:4318...\n"
        f"k8s-audit-otlp: {file}:9: exporters::otlphttp/siem::sending_queue::batch::max_sise:"
        " unknown key; did you mean max_size?\n"
    )


def test_validate_needs_a_file() -> None:
    """A usage error says which option is missing."""
    result = CliRunner().invoke(main, ["validate"])
    assert result.exit_code == USAGE
    assert "--config" in result.stderr


def test_the_installed_module_validates_in_a_process(tmp_path: Path) -> None:
    """The exit code reaches the shell."""
    file = tmp_path / "agent.yaml"
    file.write_text("receivers: {}\n")
    run = [sys.executable, "-c", "from k8s_audit_otlp.cli import main; main()"]
    done = subprocess.run(
        [*run, "validate", "--config", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == USAGE
    assert f"{file}:1: receivers: no receiver is given; " in done.stderr


def test_what_references_stand_for_is_printed_as_written(tmp_path: Path) -> None:
    """Also where it is no secret by its key: a path from a file, a token in an address."""
    (tmp_path / "path").write_text("/hunter2/audit.log\n")
    file = tmp_path / "agent.yaml"
    file.write_text(
        f"receivers: {{k8s_audit: {{include: ['${{file:{tmp_path}/path}}']}}}}\n"
        "exporters: {otlp_http: {endpoint: 'https://hooks.example/${env:TOKEN}'}}\n"
        "service: {state_dir: '${env:LIST}'}\n"
    )
    refused = CliRunner(env={"TOKEN": "x", "LIST": "[hunter2Zq9Xw7L]"}).invoke(
        main, ["validate", "--config", str(file)]
    )
    assert refused.exit_code == USAGE
    assert "hunter2" not in refused.output
    runner = CliRunner(env={"TOKEN": "hunter2Zq9Xw7L", "LIST": str(tmp_path)})
    for json in ([], ["--json"]):
        result = runner.invoke(main, ["validate", "--config", str(file), *json])
        assert result.exit_code == 0
        assert "hunter2" not in result.output
        assert f"${{file:{tmp_path}/path}}" in result.output
        assert "https://hooks.example/${env:TOKEN}" in result.output
