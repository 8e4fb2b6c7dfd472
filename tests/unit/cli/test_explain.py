"""`explain` answers on standard output, says what is wrong, and sends nothing anywhere."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from k8s_audit_otlp.cli import main
from tests.kit.log.events import EventSource
from tests.kit.log.log_files import denied
from tests.kit.log.lumberjack import LumberjackLog

COMMAND = (sys.executable, "-m", "k8s_audit_otlp", "explain")
CONFIG = """\
receivers:
  k8s_audit: {{include: ["{log}"]}}
exporters:
  otlp_http/siem: {{endpoint: "http://127.0.0.1:9", audit: {{policy: "{policy}"}}}}
  otlp_file/copy: {{path: "{directory}/copy.jsonl"}}
  otlp_grpc/disabled: {{endpoint: "127.0.0.1:9", audit: {{enabled: false}}}}
service: {{state_dir: "{directory}/state"}}
"""
POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
  - level: None
    verbs: [get, list, watch]
  - level: Metadata
"""


@pytest.fixture
def audit_log(log_dir: Path) -> Path:
    """Write a compressed backup and a live file, 60 events, a minute apart."""
    path, moments = log_dir / "audit.log", iter(range(1000))
    source = EventSource(1, lambda: 1_767_323_045.0 + 60 * next(moments))
    with LumberjackLog(path, compress=True) as log:
        for _ in range(30):
            log.write(source.line())
        log.rotate()
        for _ in range(30):
            log.write(source.line())
    return path


@pytest.fixture
def config(audit_log: Path, tmp_path: Path) -> Path:
    policy, file = tmp_path / "policy.yaml", tmp_path / "agent.yaml"
    policy.write_text(POLICY)
    file.write_text(CONFIG.format(log=audit_log, policy=policy, directory=tmp_path))
    return file


def test_a_log_that_may_not_be_read_is_told_with_a_hint(
    audit_log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was counted, and nothing says so; JSON is JSON all the same."""
    assert explain("--path", audit_log).exit_code == 0  # and what it imports is there
    for path in audit_log.parent.iterdir():
        path.chmod(0)
    audit_log.parent.chmod(0o755)
    monkeypatch.chdir(audit_log.parent)
    with denied(audit_log):
        done = explain("--path", "audit.log")
        as_json = explain("--path", "audit.log", "--json")
    hint = "Permission denied; run as the log's owner or let the agent's user read it"
    assert f"audit.log: {hint}" in done.stderr
    assert "counted" not in done.output
    assert (done.exit_code, done.stdout, as_json.exit_code) == (2, "", 2)
    assert json.loads(as_json.stdout)["events"] == 0
    assert f"audit.log: {hint}" in json.loads(as_json.stdout)["damage"]


def explain(*arguments: str | Path, given: str = "") -> Result:
    runner = CliRunner(env={"COLUMNS": "160"})
    return runner.invoke(main, ["explain", *map(str, arguments)], input=given)


def test_a_log_is_previewed_for_every_exporter_of_the_configuration(config: Path) -> None:
    """Quarantined ones are left out; nothing is written where the agent would write."""
    done = explain("--config", config, "--json")
    assert done.exit_code == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["events"] == 60
    names = [row["name"] for view in report["views"] for row in view["exporters"]]
    assert names == ["otlp_http/siem", "otlp_file/copy"]
    siem, copy = report["views"]
    assert siem["dropped"] == siem["rules"][0]["events"] > 0
    assert copy["dropped"] == 0
    assert copy["exporters"][0]["wire_bytes"] is None
    rate = siem["exporters"][0]["per_day"]["events"]
    assert rate == pytest.approx(siem["exporters"][0]["events"] * 86_400 / report["seconds"])
    assert sorted(p.name for p in config.parent.iterdir()) == ["agent.yaml", "log", "policy.yaml"]


def test_the_table_tells_rules_exporters_and_noise(config: Path) -> None:
    """For people; the rule is found by its line in the file."""
    done = explain("--config", config, "--exporter", "otlp_http/siem")
    assert done.exit_code == 0, done.stderr
    assert "rule 1 (line 4)" in done.stdout
    assert "verbs get, list, watch" in done.stdout
    assert "otlp_http/siem (HTTP, gzip)" in done.stdout
    assert "otlp_file/copy" not in done.stdout
    assert done.stderr == ""


def test_policies_are_tried_out_without_a_configuration(audit_log: Path, config: Path) -> None:
    """A file, and one that comes with the package; without any, the default settings."""
    policy = config.with_name("policy.yaml")
    done = explain("--path", audit_log, "--policy", policy, "--policy", "low-volume", "--json")
    assert done.exit_code == 0, done.stderr
    views = json.loads(done.stdout)["views"]
    assert [view["exporters"][0]["name"] for view in views] == [str(policy), "low-volume"]
    done = explain("--path", audit_log, "--json")
    assert json.loads(done.stdout)["views"][0]["rules"][0]["name"] == "no policy"


def test_a_policy_may_be_tried_in_the_place_of_an_exporters_own(config: Path) -> None:
    """What would change is seen before anything is changed."""
    asked = ("--config", config, "--exporter", "otlp_http/siem", "--policy", "security-only")
    (view,) = json.loads(explain(*asked, "--json").stdout)["views"]
    assert view["exporters"][0]["name"] == "otlp_http/siem with security-only"
    assert view["policy"] == "security-only"


def test_an_event_is_explained_from_a_pipe(config: Path, audit_log: Path) -> None:
    """For every exporter, readable or as JSON."""
    line = next(e for e in audit_log.read_text().splitlines() if '"verb":"create"' in e)
    done = explain("--config", config, "--event", "-", given=line)
    assert done.exit_code == 0, done.stderr
    assert "policy.yaml:6: rule 2 (Metadata)" in done.stdout
    assert "none: the event is kept as it was logged" in done.stdout
    found = json.loads(explain("--config", config, "--event", "-", "--json", given=line).stdout)
    assert [each["exporter"] for each in found] == ["otlp_http/siem", "otlp_file/copy"]
    assert found[0]["record"]["eventName"] == "k8s.audit.event"
    assert all(f"(mapping {each['mapping']})" in done.stdout for each in found)


@pytest.mark.parametrize(
    "asked", [("--event", "-"), ("--exporter", "otlp_file/copy", "--event", "-")]
)
def test_a_configuration_that_is_found_is_explained(
    config: Path, audit_log: Path, monkeypatch: pytest.MonkeyPatch, asked: tuple[str, ...]
) -> None:
    """As every command finds it; what is read is not called `-`."""
    monkeypatch.setenv("K8S_AUDIT_OTLP_CONFIG", str(config))
    line = audit_log.read_text().splitlines()[0]
    assert "otlp_file/copy" in explain(*asked, given=line).stdout
    assert "standard input: this is no audit event" in explain(*asked, given="hello").stderr


def test_the_page_is_written(audit_log: Path, tmp_path: Path) -> None:
    """Beside the table."""
    page = tmp_path / "page.html"
    done = explain("--path", audit_log, "--html", page)
    assert done.exit_code == 0, done.stderr
    assert page.read_text().startswith("<!doctype html>")


def test_the_page_is_not_written_through_a_link(audit_log: Path, tmp_path: Path) -> None:
    """Whoever may write to the folder does not choose which file is overwritten."""
    other = tmp_path / "other"
    other.write_text("kept")
    page = tmp_path / "page.html"
    page.symlink_to(other)
    done = explain("--path", audit_log, "--html", page)
    assert done.exit_code == 2
    assert "page.html: Too many levels of symbolic links" in done.stderr
    assert other.read_text() == "kept"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "--event FILE, --path LOG"),
        (("--exporter", "x"), "--exporter needs the --config"),
        (("--config", "CONFIG", "--exporter", "x"), "known are otlp_file/copy, otlp_grpc/disabled"),
        (("--path", "nowhere/audit.log"), "nowhere: No such file"),
        (("--path", "LOG.old"), "there is no such log"),
        (("--path", "LOG", "--policy", "lowvolume"), "or one of low-volume"),
        (("--path", "LOG", "--policy", "LOG"), "--policy: "),
        (("--path", "LOG", "--event", "-"), "--event is for single events"),
        (("--event", "nothing-there"), "nothing-there: No such file or directory; check the path"),
        (("--event", "-"), "nothing in it"),
        (("--path", "LOG", "--html", "nowhere/page.html"), "nowhere/page.html: No such file"),
    ],
)
def test_a_mistake_is_exit_code_2_and_says_the_hint(
    audit_log: Path, config: Path, arguments: tuple[str, ...], says: str
) -> None:
    """Without a traceback."""
    names = {"CONFIG": str(config), "LOG": str(audit_log), "LOG.old": f"{audit_log}.old"}
    done = explain(*(names.get(each, each) for each in arguments))
    assert done.exit_code == 2, done.stderr
    assert says in done.stderr
    assert isinstance(done.exception, SystemExit)


def test_one_event_is_said_to_be_one(tmp_path: Path) -> None:
    """Not "1 events", nowhere."""
    log = tmp_path / "audit.log"
    log.write_bytes(EventSource(1).line() + b"\n")
    done = explain("--path", str(log))
    assert "holds     1 event, " in done.stdout
    assert "1 of 1 event sent" in done.stdout


def test_a_terminal_shows_how_far_it_is(audit_log: Path) -> None:
    """A bar on standard error, and only there."""
    ours, theirs = pty.openpty()
    command = [*COMMAND, "--path", str(audit_log), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs, check=True)
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert "the log" in shown
    assert json.loads(done.stdout)["events"] == 60


def test_a_source_that_has_taken_nothing_yet_is_said_to_be_one(tmp_path: Path) -> None:
    file = tmp_path / "webhook.yaml"
    file.write_text(
        "receivers: {k8s_audit_webhook: {endpoint: 'localhost:19443'}}\n"
        f"exporters: {{otlp_file: {{path: {tmp_path}/out.jsonl}}}}\n"
        f"service: {{state_dir: {tmp_path}/state}}\n"
    )
    done = explain("--config", file)
    assert done.exit_code == 2
    assert "receivers::k8s_audit_webhook has taken nothing yet" in done.stderr
    assert "--path LOG" in done.stderr
    assert not (tmp_path / "state").exists()
