"""What people see at a terminal of 80 and 200 columns, and how they get out of it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from k8s_audit_otlp.cli import main
from tests.kit.backends.backend import Backend
from tests.kit.log.events import EventSource
from tests.unit.cli.terminal import Terminal

WIDTHS = (80, 200)  # as blocks and as a table; between them test_table tries any width
NAMES = ("otlp_http/guance-production", "otlp_http/datadog", "otlp_http/loki", "otlp_file/archive")
CONFIG = """
receivers:
  k8s_audit: {{include: [{folder}/one/audit.log]}}
  k8s_audit/two: {{include: [{folder}/two/audit.log]}}
exporters:
  otlp_http/guance-production: {{endpoint: "{url}"}}
  otlp_http/datadog: {{endpoint: "http://127.0.0.1:9", retry_on_failure: {{initial_interval: 1s}}}}
  otlp_http/loki: {{endpoint: "http://127.0.0.1:9"}}
  otlp_file/archive: {{path: "{folder}/out.json"}}
service: {{state_dir: {folder}/state}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run an agent with four exporters, two of them in trouble, on two logs."""
    path = tmp_path_factory.mktemp("terminal")
    source = EventSource(3)
    for name in ("one", "two"):
        (path / name).mkdir()
        (path / name / "audit.log").write_bytes(b"".join(source.line() + b"\n" for _ in range(500)))
    with Backend() as backend:
        (path / "agent.yaml").write_text(CONFIG.format(folder=path, url=backend.url))
        command = [sys.executable, "-m", "k8s_audit_otlp", "run", "-c", str(path / "agent.yaml")]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            end = time.monotonic() + 60
            while not (path / "out.json").exists() or len(backend.received.uids) < 1000:
                assert time.monotonic() < end
                time.sleep(0.1)
            yield path
            process.terminate()


def commands(folder: Path) -> dict[str, tuple[list[str], str]]:
    """Return a command line by its name, and a word that must be readable in its answer."""
    state, config = ["--state-dir", str(folder / "state")], ["-c", str(folder / "agent.yaml")]
    log, export = str(folder / "one" / "audit.log"), str(folder / "out.json")
    return {
        "status": (["status", *state], "guance-production"),
        "state list": (["state", "list", *state], "otlp_file/archive"),
        "doctor": (["doctor", *config], "log.readable"),
        "vendors": (["vendors"], "datadog"),
        "explain": (["explain", "--path", log], "events"),
        "verify": (["verify", "--path", log, "--against", export], "0 missing"),
        "top": (["top", *state, "--for", "1s"], "events"),
        "validate": (["validate", *config], "otlp_http/loki"),
    }


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("name", list(commands(Path())))
def test_every_table_fits(folder: Path, name: str, columns: int) -> None:
    """No line is longer than the terminal is wide; what matters is not cut off."""
    arguments, word = commands(folder)[name]
    terminal = Terminal(arguments, columns)
    try:
        terminal.read()
        longest = max(terminal.lines, key=len)
        assert len(longest) <= columns, longest
        assert word in terminal.text
        assert "…" not in terminal.text.replace("…", "", 3), "values are folded, not cut"
    finally:
        terminal.close()


def test_a_table_through_a_pager_fits_the_terminal(folder: Path) -> None:
    """`| less` shows it there, so it is as wide."""
    with (folder / "piped").open("w+") as piped:
        terminal = Terminal(
            ["state", "list", "--state-dir", str(folder / "state")], 80, stdout=piped
        )
        terminal.process.wait(60)
        terminal.close()
        lines = Path(piped.name).read_text().splitlines()
    assert lines
    assert max(map(len, lines)) <= 80


LONG = {
    "unknown exporter": ["explain", "-c", "{folder}/agent.yaml", "--exporter", "otlp_http/nobody"],
    "mistake": ["validate", "-c", "{folder}/wrong.yaml"],
    "no state": ["status", "--state-dir", "{folder}/a/state/that/is/far/away/and/is/not/there"],
    "no agent": ["tap", "--state-dir", "{folder}"],
    "usage": ["status", "--wacth"],
    "in use": [
        "state",
        "rename",
        "--state-dir",
        "{folder}/state",
        NAMES[0],
        "otlp_http/" + "x" * 60,
    ],
}


@pytest.mark.parametrize("name", LONG)
def test_messages_of_one_line_fold_between_words(folder: Path, name: str) -> None:
    """At a terminal; in a pipe they stay one line, so that they can be searched."""
    (folder / "wrong.yaml").write_text(
        (folder / "agent.yaml").read_text().replace("include", "exporters_to_be_included", 1)
    )
    arguments = [each.format(folder=folder) for each in LONG[name]]
    shown = Terminal(arguments, 80)
    shown.read()
    shown.close()
    lines = [line for line in shown.lines if line]
    piped = CliRunner().invoke(main, arguments)
    assert max(map(len, piped.output.splitlines())) > 80, "else it shows nothing"
    assert max(map(len, lines)) <= 80
    assert len(lines) > 1


@pytest.mark.parametrize("columns", WIDTHS)
def test_watching_fits_a_small_screen_and_ends_at_once(folder: Path, columns: int) -> None:
    """Four exporters on two logs of one name, two in trouble: 24 lines; Ctrl-C is no error."""
    terminal = Terminal(["status", "--watch", "--state-dir", str(folder / "state")], columns)
    try:
        terminal.read(60, "Connection refused")
        screens, end = terminal.text.count("agent "), time.monotonic() + 60
        while terminal.text.count("agent ") < screens + 2 and time.monotonic() < end:
            terminal.read(0.2)
        took = terminal.interrupt()
        *_, last, _ = terminal.text.split("agent ")  # the last whole screen
        assert all(name in last.replace("\n", " ") for name in NAMES)
        assert "k8s_audit/two" in last
        assert last.count("Connection refused") >= 1
        assert last.count("in back-off") <= 2, "state and rate are of an exporter, not of a log"
        assert not last.rpartition("\n")[2].strip(), "an echoed ^C would begin another line"
        assert len(last.rstrip().splitlines()) <= 24, last
        assert max(map(len, last.splitlines())) <= columns
        assert took < 60, "half a second where the machine is quiet"
        assert terminal.process.returncode == 130
        assert "Abort" not in terminal.text
    finally:
        terminal.close()


def test_watching_follows_the_size_of_the_terminal(folder: Path) -> None:
    """What the old width has folded goes; the next picture is as wide as the terminal is now."""
    terminal = Terminal(["status", "--watch", "--state-dir", str(folder / "state")], 120)
    try:
        terminal.read(60, "Connection refused")
        assert max(map(len, terminal.lines)) > 80
        for columns in (60, 140):
            terminal.resize(columns)
            seen, end = terminal.text.count("agent "), time.monotonic() + 60
            while terminal.text.count("agent ") < seen + 3 and time.monotonic() < end:
                terminal.read(0.2)
            *_, last, _ = terminal.text.split("agent ")
            widest = max(map(len, last.splitlines()))
            assert widest <= columns
            assert (widest > 80) == (columns > 80)
    finally:
        terminal.close()


@pytest.mark.parametrize("columns", WIDTHS)
def test_the_demo_fits_and_ends_at_once(columns: int) -> None:
    """Its table keeps every column; interrupted, it leaves nothing running."""
    terminal = Terminal(["demo", "--seconds", "600"], columns, rows=40)
    try:
        terminal.read(60, "system:")
        terminal.read(1.0)
        took = terminal.interrupt()
        assert took < 60, "half a second where the machine is quiet"
        assert terminal.process.returncode == 130
        assert "Abort" not in terminal.text
        assert "Traceback" not in terminal.text
        assert max(map(len, terminal.lines)) <= columns
        (head, *_) = [line for line in terminal.lines if "time" in line and "outcome" in line]
        assert all(word in head for word in ("verb", "username", "what", "code"))
        assert "kube-node-lease/leases" in terminal.text, "what it is about is not cut"
    finally:
        terminal.close()


def answer(*arguments: str, given: str = "", **env: str) -> Result:
    return CliRunner(env=env).invoke(main, arguments, input=given)


@pytest.mark.parametrize(
    ("more", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_colours_are_for_who_wants_them(
    folder: Path, more: dict[str, str], *, coloured: bool
) -> None:
    """no-color.org; a pipe never gets any."""
    for command in ("validate", "status"):
        terminal = Terminal([command, "-c", str(folder / "agent.yaml")], 80, more=more)
        try:
            assert terminal.read()
            assert terminal.is_coloured == (coloured and command == "validate")
            assert coloured or "\x1b" not in terminal.raw
        finally:
            terminal.close()


def test_a_configuration_comes_from_where_it_is_said(folder: Path) -> None:
    """An option, standard input, the environment; all the same to every command."""
    text = (folder / "agent.yaml").read_text()
    piped = answer("validate", "--config", "-", "--json", given=text)
    named = answer("validate", "--json", K8S_AUDIT_OTLP_CONFIG=str(folder / "agent.yaml"))
    assert piped.exit_code == named.exit_code == 0, piped.stderr + named.stderr
    assert set(json.loads(piped.stdout)["exporters"]) == set(NAMES)
    assert json.loads(named.stdout)["exporters"] == json.loads(piped.stdout)["exporters"]
    listed = answer("state", "list", "--json", K8S_AUDIT_OTLP_CONFIG=str(folder / "agent.yaml"))
    assert {row["exporter"] for row in json.loads(listed.stdout)} == set(NAMES)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("k8s-audit-otlp st", "status"),
        ("k8s-audit-otlp vendors show lo", "loki"),
        ("k8s-audit-otlp explain --exporter otlp_http/d", "otlp_http/datadog"),
    ],
)
def test_the_shell_completes(folder: Path, words: str, wanted: str) -> None:
    """Commands, vendors, and the exporters of the configuration."""
    variables = {
        "_K8S_AUDIT_OTLP_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
        "K8S_AUDIT_OTLP_CONFIG": str(folder / "agent.yaml"),
    }
    done = subprocess.run(
        [Path(sys.executable).with_name("k8s-audit-otlp")],
        capture_output=True, text=True, check=False, timeout=60, env={**os.environ, **variables},
    )  # fmt: skip
    assert f"plain,{wanted}" in done.stdout, done.stderr
