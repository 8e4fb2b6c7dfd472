"""Right and wrong inputs of every command: the exit code, one sentence, and what to do instead."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from k8s_audit_otlp.cli import main
from tests.kit.log.events import EventSource

GOOD = """
receivers: {{k8s_audit: {{include: [{log}]}}}}
exporters: {{otlp_http/siem: {{endpoint: "http://127.0.0.1:9"}}}}
service: {{state_dir: {state}}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lay out what the commands of the table name, and stand in it."""
    source = EventSource(1)
    (tmp_path / "log").mkdir()
    log = tmp_path / "log" / "audit.log"
    log.write_bytes(b"".join(source.line() + b"\n" for _ in range(5)))
    (tmp_path / "event.json").write_bytes(source.line())
    (tmp_path / "good.yaml").write_text(GOOD.format(log=log, state=tmp_path / "state"))
    bad = GOOD.format(log=log, state=tmp_path / "state").replace("endpoint", "endpont")
    (tmp_path / "bad.yaml").write_text(bad)
    (tmp_path / "uids").write_text("0011223344556677-0\n")
    (tmp_path / "table").write_text("time,message\n1,x\n")
    (tmp_path / "empty").touch()
    (tmp_path / "blank_lines").write_text("\n \n")
    (tmp_path / "nothing_in_it").mkdir()
    (tmp_path / "binary").write_bytes(bytes(range(255, 0, -1)) * 20 + b"\n")
    pasted = (tmp_path / "good.yaml").read_text().replace("k8s_audit:", "otlp: {}, k8s_audit:")
    (tmp_path / "pasted.yaml").write_text(pasted)
    several = GOOD.format(log=f"{log}, {tmp_path}/other.log", state=tmp_path / "state")
    (tmp_path / "several.yaml").write_text(several)
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "audit.log").write_bytes(source.line()[:-20])
    (tmp_path / "vector.toml").write_text('data_dir = "/x"\n\n[sources.a]\ntype = "file"\n')
    (tmp_path / "fluent-bit.conf").write_text("[INPUT]\n    Name tail\n")
    (tmp_path / "login.html").write_text("<!DOCTYPE html>\n<html><body>sign in</body></html>\n")
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\nMIIB\n")
    (tmp_path / "deep.json").write_text("[" * 20_000)
    (tmp_path / "month13.yaml").write_text("a: 2026-13-45\n")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", 1 << 40)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "utf16.yaml").write_bytes((tmp_path / "good.yaml").read_text().encode("utf-16"))
    (tmp_path / "tabs.yaml").write_text("receivers:\n\tk8s_audit:\n")
    (tmp_path / "bom.yaml").write_bytes(
        b"\xef\xbb\xbf" + (tmp_path / "good.yaml").read_bytes().replace(b"\n", b"\r\n")
    )
    (tmp_path / "auditd.log").write_text("type=SYSCALL msg=audit(1364481363.243:24287): arch\n")
    (tmp_path / "broken.gz").write_bytes(gzip.compress(source.line())[:40])
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("K8S_AUDIT_OTLP_CONFIG", raising=False)
    return tmp_path


def ask(line: str, given: str | bytes = "") -> Result:
    return CliRunner().invoke(main, line.split(), input=given, env={"COLUMNS": "120"})


RIGHT = (
    "--help", "--version", "version", "schema", "run --help", "tap --help", "top --help",
    "validate --config good.yaml", "validate -c good.yaml --json", "validate --config bom.yaml",
    "validate --config good.yaml --quiet",
    "explain --event event.json", "explain --config good.yaml --event event.json",
    "explain --path log/audit.log", "explain --path log/audit.log --policy low-volume --json",
    "apiserver webhook --url https://agent.example:9443/audit",
    "apiserver webhook --url http://127.0.0.1:9443/audit/prod", "vendors", "vendors --json",
    "vendors show loki", "vendors show loki --json", "apiserver policy", "apiserver policy --list",
    "apiserver kubeadm",
)  # fmt: skip


@pytest.mark.parametrize("line", RIGHT)
@pytest.mark.usefixtures("folder")
def test_a_right_input_is_answered_on_the_standard_output(line: str) -> None:
    """With exit code 0 and no error."""
    done = ask(line)
    assert done.exit_code == 0, done.output
    assert "k8s-audit-otlp: " not in done.stderr
    assert done.stdout or "--quiet" in line


# command line -> exit code, what the sentence holds
WRONG = {
    "rnu": (2, "did you mean run?"),
    "dead_letter list": (2, "did you mean dead-letter?"),
    "xyzzy": (2, "known are apiserver, dead-letter"),
    "run": (2, "give --config FILE"),
    "run --confg good.yaml": (2, "--config"),
    "run --config nowhere.yaml": (2, "there is no such file; check the path given with --config"),
    "run --config log": (2, "is a directory; write log/agent.yaml"),
    "run --config bad.yaml": (2, "bad.yaml:3: exporters::otlp_http/siem::endpont: unknown key"),
    "run --config good.yaml --path x": (2, "--path is for use without --config"),
    "run --path x --state-dir s --once --deadline soon": (2, "soon"),
    "run --path log --state-dir s --once": (2, "log is a directory; name the log in it"),
    "status": (2, "give --state-dir DIRECTORY or --config FILE"),
    "status --state-dir nowhere": (3, "no such directory"),
    "status --config bad.yaml": (3, "did you mean endpoint?"),
    "tap": (2, "give --state-dir DIRECTORY or --config FILE"),
    "tap --state-dir nowhere": (3, "no agent runs with this state directory"),
    "tap --state-dir . --match usr=x": (2, "did you mean user?"),
    "tap --state-dir . --match user": (2, "write user=PATTERN"),
    "top --state-dir .": (3, "no agent runs with this state directory"),
    "top --state-dir . --for ever": (2, "ever"),
    "state": (2, ""),
    "state list": (2, "give --state-dir DIRECTORY or --config FILE"),
    "state list --state-dir nowhere": (3, "no such directory"),
    "state forget x --state-dir nowhere": (3, "no such directory"),
    "verify": (2, "--against"),
    "verify --against uids": (2, "give --path LOG, or --receipts-only"),
    "verify --path log --against uids": (2, "is a directory; name the live file in it"),
    "verify --path log/adit.log --against uids": (2, "log holds audit.log"),
    "verify --path nowhere/audit.log --against uids": (2, "No such file"),
    "verify --path log/audit.log --against nothing": (2, "nothing: No such file"),
    "verify --path log/audit.log --against table": (2, "name it with --uid-field: time, message"),
    "verify --path log/audit.log --against empty": (5, ""),
    "verify --path log/audit.log --against uids --since once": (2, "--since"),
    "verify --receipts-only --against uids": (8, "no receipt is among what arrived"),
    "validate good.yaml": (2, "write --config good.yaml"),
    "run good.yaml": (2, "write --config good.yaml"),
    "run state.yaml": (2, "write --config state.yaml"),
    "validate --config event.json": (2, "this is an audit event, no configuration"),
    "validate --config vector.toml": (2, "this is TOML or INI, as Vector and Fluent Bit read"),
    "validate --config fluent-bit.conf": (2, "this is TOML or INI"),
    "validate --config login.html": (2, "this is HTML, XML or of fluentd, no configuration"),
    "validate --config ca.pem": (2, "this is a file of certificates or keys"),
    "validate --config loop": (2, "symbolic links); check the path given with --config"),
    "validate --config utf16.yaml": (2, "is not UTF-8 text; save it as UTF-8"),
    "validate --config tabs.yaml": (2, "tabs.yaml:2: not YAML: "),
    "validate --config log/audit.log": (2, "this is an audit log, no configuration"),
    "vendors list": (2, "vendors show NAME"),
    "state lst": (2, "did you mean list?"),
    "verify --path log/audit.log --against nothing_in_it": (2, "there is no file in it"),
    "verify --path log/audit.log --against log/audit.log": (2, "an audit log itself"),
    "evidence keygen /nonexistent/key": (
        2,
        "/nonexistent/key: No such file or directory; check the path",
    ),
    "explain --path log": (2, "it is a directory"),
    "explain --path log/audit.log --policy event.json": (2, "kind: 'Event' is no Policy"),
    "verify --path log/audit.log --against binary": (2, "binary: this is no text in UTF-8"),
    "evidence verify --against binary": (2, "name what the back end gave out"),
    "verify --path log/audit.log --against vector.toml": (2, "it says only: data_dir"),
    "verify --path log/audit.log --against deep.json": (2, "nothing of it can be read as JSON"),
    "evidence verify --against uids --key pipe": (2, "pipe: not a file; give FILE.pub"),
    "evidence verify --against uids --key sparse": (2, "sparse: over 1 MiB; give FILE.pub"),
    "verify --path log/audit.log --against empty --closed": (8, "there is nothing to compare"),
    "verify --path log/audit.log --against empty --since 2100-01-01": (8, "nothing to compare"),
    "verify --path empty --against empty": (8, "there is nothing to compare"),
    "verify --path empty --against uids": (8, "there is nothing to compare"),
    "verify --path blank_lines --against uids": (8, "there is nothing to compare"),
    "verify --path log/audit.log --against empty --since end": (2, "write an age such as 24h"),
    "verify --path auditd.log --against uids": (5, "it seems to be the log of auditd"),
    "verify -c good.yaml --against empty": (5, ""),
    "verify -c several.yaml --against uids": (2, "names 2 logs"),
    "verify -c bad.yaml --against uids": (2, "did you mean endpoint?"),
    "validate -c good.yaml -c several.yaml": (2, "--config is given 2 times; name one file"),
    "run --config good.yaml --deadline 5s": (2, "--deadline is for --once"),
    "run --config good.yaml --once --watch-config": (2, "leave out --once"),
    "status --state-dir event.json": (2, "name the directory of the positions"),
    "state list --state-dir event.json": (2, "name the directory of the positions"),
    "state rename otlphttp otlp_http --state-dir nowhere": (2, "nothing to rename"),
    "state rename a otlp_http/ --state-dir nowhere": (2, "otlp_http/ can be no id of an exporter"),
    "evidence verify --against uids --from end": (2, "write an age such as 24h"),
    "replay --exporter x -c good.yaml --from 24h": (2, "no exporter x"),
    "replay --exporter otlp_http/siem -c good.yaml --from end": (2, "'end' is no time"),
    "replay --exporter otlp_http/siem -c good.yaml --from 2100-01-01": (2, "nothing lies between"),
    "validate --config pasted.yaml": (2, "receivers::otlp: otlp is a receiver of the Collector"),
    "explain --path .": (2, ".: it is a directory"),
    "explain --path /": (2, "/: it is a directory"),
    "verify --path . --against uids": (2, ". is a directory; name the live file in it"),
    "doctor --path . --wait 0s": (1, ""),
    "run --path / --state-dir s --once": (2, "/ is a directory; name the log in it: /audit.log"),
    "explain --path empty": (2, "nothing in it yet"),
    "explain --path nothing_in_it/audit.log": (2, "there is no such log"),
    "apiserver webhook --url https://HOST:9443/audit": (2, "HOST in the URL is a placeholder"),
    "apiserver webhook --url https://<node>:9443/audit": (2, "write your own value"),
    "apiserver webhook --url https://a:99999/audit": (2, "no port up to 65535"),
    "apiserver webhook --url https://u:p@a/audit": (2, "give --token"),
    "apiserver webhook --url http://a/audit --token x": (2, "write https://"),
    "apiserver webhook --url ftp://a/audit": (2, "is no address of a webhook"),
    "demo --seconds 0": (2, "not in the range"),
    "demo --rate -1": (2, "not in the range"),
    "dead-letter list": (2, "give --state-dir DIRECTORY or --config FILE"),
    "dead-letter list --state-dir nowhere": (3, "no such directory"),
    "dead-letter list siem --state-dir log": (2, "siem has no dead letters; no exporter has any"),
    "state list good.yml": (2, "write --config good.yml"),
    "state list siem": (2, "unexpected extra argument (siem) (see"),
    "dead-letter show siem --state-dir log": (2, "no exporter has any"),
    "dead-letter replay otlp_http/sime -c good.yaml": (2, "did you mean otlp_http/siem?"),
    "dead-letter replay x": (2, "give the --config FILE"),
    "explain event.json": (2, "write --event event.json"),
    "explain log/audit.log": (2, "write --path log/audit.log"),
    "explain": (2, "give --event FILE, --path LOG"),
    "explain --event /proc/self/mem": (1, "a file or the standard output: Input/output error"),
    "explain --event nothing": (2, "nothing: No such file"),
    "explain --event empty": (2, "nothing in it"),
    "explain --path log/adit.log": (2, "there is no such log; log holds audit.log"),
    "explain --path broken.gz": (2, "broken.gz: breaks off before its first line ends\n"),
    "doctor --path log/adit.log --wait 0s": (1, ""),
    "replay --exporter x -c good.yaml --from 24h --rate nan": (2, "nan is no number"),
    "evidence report": (2, "Missing option '--store'. Choose from: victorialogs, loki,"),
    "explain --exporter x --path log/audit.log": (2, "--exporter needs the --config"),
    "explain -c good.yaml --exporter sime --event event.json": (2, "sime"),
    "validate": (2, "give --config FILE"),
    "validate --config bad.yaml": (2, "did you mean endpoint?"),
    "validate --config empty": (2, ""),
    "vendors show lok": (2, "did you mean loki?"),
    "vendors shw": (2, ""),
    "apiserver policy --profile x": (2, "x"),
    "apiserver patch nowhere.yaml": (2, "No such file"),
    "doctor --config bad.yaml": (2, "did you mean endpoint?"),
    "doctor --config good.yaml --path x": (2, "--path is for use without --config"),
    "doctor --path log/audit.log --collector-config nothing": (2, "nothing"),
    "doctor --path log/audit.log --collector-config pipe": (2, "pipe: not a file"),
    "doctor --path log/audit.log --kubeadm-config sparse": (2, "sparse: over 4 MiB"),
    "doctor --path log/audit.log --apiserver-metrics pipe": (2, "pipe: not a file"),
    "explain --event event.json --policy deep.json": (2, "deep.json: brackets or blocks are"),
    "apiserver patch deep.json": (2, "deep.json: not one YAML document; repair the file"),
    "apiserver patch month13.yaml": (2, "month13.yaml: not one YAML document; repair the file"),
    "apiserver patch pipe": (2, "pipe: not a file; is it the right file?"),
    "apiserver patch sparse": (2, "sparse: over 4 MiB; is it the right file?"),
    "status --state-dir pipe": (2, "pipe is no directory; name the directory of the positions"),
    "status --state-dir /dev/null": (2, "/dev/null is no directory"),
}


@pytest.mark.parametrize(("line", "code", "says"), [(k, *v) for k, v in WRONG.items()], ids=WRONG)
@pytest.mark.usefixtures("folder")
def test_a_wrong_input_has_its_exit_code_and_a_hint(line: str, code: int, says: str) -> None:
    """And never a traceback, nor a word on the standard output that a program would read."""
    done = ask(line)
    assert done.exit_code == code, done.output
    assert isinstance(done.exception, SystemExit)
    assert says in done.stderr
    if code == 2 and says:
        assert done.stdout == ""
        for said in filter(None, done.stderr.splitlines()):
            assert said.startswith("k8s-audit-otlp: ")


@pytest.mark.usefixtures("folder")
def test_a_file_that_is_not_there_is_one_mistake() -> None:
    """Not one of the path and another of what the file does not say."""
    done = ask("status --config nope.yaml")
    assert done.exit_code == 2
    (said,) = done.stderr.splitlines()
    assert said.startswith("k8s-audit-otlp: nope.yaml: there is no such file")


def test_a_configuration_may_come_from_elsewhere(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From standard input or the environment; an option that stands for one wins."""
    text = (folder / "good.yaml").read_text()
    assert ask("validate --config -", text).exit_code == 0
    assert ask("validate --config -", b"\xff\xfe").stderr.endswith("UTF-8 text; save it as UTF-8\n")
    assert "standard input:3: " in ask("validate --config -", text.replace("dpoi", "x")).stderr
    monkeypatch.setenv("K8S_AUDIT_OTLP_CONFIG", "good.yaml")
    assert ask("validate").exit_code == 0
    assert ask("explain --path log/audit.log").exit_code == 0


LEFT_BEHIND = {
    "torn/audit.log": "torn/audit.log: its last line has no end: ",
    "log/adit.log": "log/adit.log: there is no log of that name; log holds audit.log",
    "auditd.log": "it seems to be the log of auditd",
}


@pytest.mark.parametrize(("log", "says"), LEFT_BEHIND.items(), ids=LEFT_BEHIND)
def test_once_never_says_yes_where_nothing_was_done(folder: Path, log: str, says: str) -> None:
    """A log that is absent, ends in an open line or is none; nothing answers either."""
    line = ["run", "--path", log, "--state-dir", "s", "--once", "--deadline", "1s"]
    done = subprocess.run(
        [sys.executable, "-m", "k8s_audit_otlp", *line],
        cwd=folder,
        env={"PATH": "/usr/bin", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 4
    assert says in done.stderr
    assert "undelivered: " in done.stderr
    assert "may be there twice" not in done.stderr  # nothing was reached
