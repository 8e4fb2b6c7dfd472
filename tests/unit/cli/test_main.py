"""The group lists every command without importing it, and each command is what the list says."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import k8s_audit_otlp
from k8s_audit_otlp.cli import COMMANDS, main
from k8s_audit_otlp.cli.exit_codes import OF_ERRORS
from k8s_audit_otlp.cli.options import config_path
from k8s_audit_otlp.state.checkpoint import Checkpoint, CheckpointFile
from tests.kit.log.log_files import denied


def test_help_lists_every_command_and_the_exit_codes() -> None:
    """In the order of the table: the main job first."""
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    positions = [result.output.index(f"  {name} ") for name in COMMANDS]
    assert positions == sorted(positions)
    assert "4  --once or a replay left something undelivered" in result.output


def test_help_imports_nothing_heavy() -> None:
    """It must answer at once: neither pydantic nor the SDK nor a command is loaded."""
    code = (
        "import sys\n"
        "from k8s_audit_otlp.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'pydantic', 'yaml', 'opentelemetry.sdk', 'rich', 'grpc', 'msgspec', 'orjson'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_what_the_table_says(name: str) -> None:
    """Its own help begins with the line, so that the list does not lie."""
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.get_short_help_str(limit=200) == COMMANDS[name][1]


@pytest.mark.parametrize("name", OF_ERRORS)
def test_an_error_that_is_known_by_its_name_has_it(name: str) -> None:
    """One class of the package is called so, and its text is all that a person gets."""
    root = Path(k8s_audit_otlp.__file__).parent
    found = [path for path in root.rglob("*.py") if f"class {name}(" in path.read_text()]
    assert len(found) == 1


def test_an_unknown_command_is_a_usage_error() -> None:
    """Exit code 2, and the name is shown."""
    result = CliRunner().invoke(main, ["rnu"])
    assert result.exit_code == 2
    assert "rnu" in result.stderr


def test_a_command_of_a_group_that_is_not_there_gets_the_nearest_once() -> None:
    """Not click's hint beside ours; an option gets one as well."""
    for words, meant in ((["vendors", "shw"], "show"), (["status", "--wacth"], "--watch")):
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 2
        assert result.stderr.count(meant) == 1


def test_a_configuration_with_a_mistake_keeps_nobody_from_the_state(tmp_path: Path) -> None:
    """It is refused by a running agent, too: then `status` is needed most."""
    agent, state = tmp_path / "agent.yaml", tmp_path / "state"
    agent.write_text("exporters: {")
    result = CliRunner().invoke(main, ["status", "-c", str(agent)])
    assert result.exit_code == 2
    assert "or give --state-dir" in result.stderr
    file = CheckpointFile(state)
    file.prepare()
    file.save(Checkpoint())
    exporter = "exporters: {otlp_http: {endpoint: '${env:NOT_HERE}'}}"
    receiver = "receivers: {k8s_audit: {include: [/log/audit.log]}}"
    agent.write_text(f"{exporter}\n{receiver}\nservice: {{state_dir: {state}}}")
    result = CliRunner().invoke(main, ["status", "-c", str(agent)])
    assert result.stderr.startswith(f"warning: {agent}:1: exporters::otlp_http::endpoint: ")
    assert "no agent is running" in result.stdout


def test_without_a_name_the_file_of_unit_and_chart_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the commands of the runbook work as they are written; what is named counts first."""
    monkeypatch.delenv("K8S_AUDIT_OTLP_CONFIG", raising=False)
    default, other = tmp_path / "config.yaml", tmp_path / "other.yaml"
    assert config_path(None, default=default) is None
    default.touch()
    assert config_path(None, default=default) == default
    assert config_path(other, default=default) == other
    assert config_path(None, "--path", default) is None
    monkeypatch.setenv("K8S_AUDIT_OTLP_CONFIG", str(other))
    assert config_path(None, default=default) == other


def test_output_that_cannot_be_written_is_one_line() -> None:
    """Nobody takes half a policy for a whole one."""
    command = [sys.executable, "-m", "k8s_audit_otlp", "apiserver", "policy"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("k8s-audit-otlp: standard output: No space left on device")


def test_a_folder_that_cannot_be_made_is_one_line() -> None:
    """Who names it, and why: no traceback."""
    result = CliRunner().invoke(main, ["demo", "--keep", "/proc/no/such"])
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("k8s-audit-otlp: /proc/no")


@pytest.mark.parametrize("group", [[], ["state"], ["evidence"], ["apiserver"], ["dead-letter"]])
def test_a_group_without_a_command_shows_its_help_as_it_is(group: list[str]) -> None:
    """Nothing was asked, so nothing is done and the exit code says so; no prefix on every line."""
    result = CliRunner().invoke(main, group)
    shown = CliRunner().invoke(main, [*group, "--help"])
    assert (result.exit_code, result.stderr.strip()) == (2, shown.output.strip())
    assert "..." not in shown.output.partition("Commands:")[2]


def test_version_names_the_program_and_its_version() -> None:
    """One line."""
    result = CliRunner().invoke(main, ["version"])
    assert result.output.startswith("k8s-audit-otlp 0.")


def test_schema_prints_draft_2020_12() -> None:
    """It is JSON as it stands."""
    result = CliRunner().invoke(main, ["schema"])
    assert json.loads(result.output)["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def _all_commands(group: click.Group, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        one = group.get_command(context, name)
        yield (*words, name)
        if isinstance(one, click.Group):
            yield from _all_commands(one, (*words, name))


@pytest.mark.parametrize("words", list(_all_commands(main)), ids=" ".join)
def test_help_fits_into_80_columns(words: tuple[str, ...]) -> None:
    """Also the lines that stay as they are written, such as examples."""
    done = CliRunner().invoke(main, [*words, "--help"], terminal_width=80)
    assert done.exit_code == 0
    assert [line for line in done.stdout.splitlines() if len(line) > 80] == []
    assert "\\b" not in done.stdout  # click's mark for such lines, misspelled


HINTS = {
    "vendors loki": "vendors show NAME",
    "verify -c good.yaml uids": "write --against FILE",
    "verify --path x --against uids --from 1h": "write --since",
    "evidence verify --against uids --since 1h": "write --from",
    "verify --path x --against uids --since 2026-01-02T03:04:05": "it has no zone",
    "replay --exporter otlp_http --from 2026-01-02T03:04:05": "write 2026-01-02T03:04:05Z for UTC",
    "validate": "/etc/k8s-audit-otlp/config.yaml is not there",
}


@pytest.mark.parametrize(("line", "says"), HINTS.items(), ids=HINTS)
def test_a_mistake_of_the_usage_says_what_to_write(
    line: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another command calls so, a time without its zone, a name in the place of a command."""
    monkeypatch.delenv("K8S_AUDIT_OTLP_CONFIG", raising=False)
    done = CliRunner().invoke(main, line.split())
    assert done.exit_code == 2
    assert says in done.stderr


@pytest.mark.parametrize(
    "line", ["status", "tap", "top", "reload", "state list", "dead-letter list"]
)
def test_no_permission_for_the_state_is_trouble_with_the_state(tmp_path: Path, line: str) -> None:
    """With one exit code, whichever command meets it."""
    CheckpointFile(tmp_path / "state").prepare()
    asked = [*line.split(), "--state-dir", str(tmp_path / "state")]
    CliRunner().invoke(main, asked)  # what it imports is there
    with denied(tmp_path / "state"):
        done = CliRunner().invoke(main, asked)
    assert done.exit_code == 3, done.output
