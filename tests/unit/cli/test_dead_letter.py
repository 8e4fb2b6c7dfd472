"""The command `dead-letter`, as somebody types it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from k8s_audit_otlp.cli import main
from k8s_audit_otlp.cli.exit_codes import STATE, UNDELIVERED, USAGE
from k8s_audit_otlp.exporter.dead_letter import DeadLetterFile, read_entries
from k8s_audit_otlp.exporter.in_flight import InFlight
from k8s_audit_otlp.model import Batch, Span
from k8s_audit_otlp.otlp.record import encode_record, uid_of
from tests.kit.backends.backend import Backend
from tests.kit.backends.steps import Poison


@pytest.fixture
def run() -> Callable[..., Any]:
    runner = CliRunner()
    return lambda *arguments, **rest: runner.invoke(main, ["dead-letter", *arguments], **rest)


@pytest.fixture
def state(tmp_path: Path) -> Any:
    """Make a state directory whose exporter otlp_http/siem has letters."""
    directory = tmp_path / "state"
    directory.mkdir(mode=0o700)
    file = DeadLetterFile(directory / "dead-letter", "otlp_http/siem", uid_of=uid_of)
    in_flight = InFlight(Batch("k8s_audit", Span(1, 0, 1), []), print, 0)

    def make(*uids: Any, body: str = "{}") -> None:
        records = [encode_record(1, 2, 9, "e", body, {"log.record.uid": uid}) for uid in uids]
        file.dead_letter(in_flight, records, "HTTP 400: no")

    dead_letter: Any = make
    dead_letter("a", "b")
    file.note_refused(in_flight, [b"\x12\x00"] * 5, 2, "too old")
    directory_and = directory, file.path
    dead_letter.directory, dead_letter.path = directory_and
    return dead_letter


@pytest.fixture
def config(tmp_path: Path, state: Any, backend: Backend) -> str:
    file = tmp_path / "agent.yaml"
    file.write_text(
        f"""
receivers:
  k8s_audit: {{include: [{tmp_path}/audit.log]}}
exporters:
  otlp_http/siem:
    endpoint: {backend.url}
    retry_on_failure: {{initial_interval: 1ms, max_interval: 1ms}}
service:
  state_dir: {state.directory}
"""
    )
    return str(file)


def test_list_counts_the_letters_of_each_exporter(run: Callable[..., Any], state: Any) -> None:
    """Records, what was refused in part, times and the last reason."""
    shown = run("list", "--state-dir", str(state.directory))
    assert shown.exit_code == 0
    assert "otlp_http/siem: 2 records, 2 refused in part" in shown.output
    assert "last: too old" in shown.output
    as_json = json.loads(run("list", "--state-dir", str(state.directory), "--json").output)
    assert as_json[0]["exporter"] == "otlp_http/siem"
    assert as_json[0]["records"] == 2


def test_list_says_when_there_are_none(run: Callable[..., Any], tmp_path: Path) -> None:
    """That is the good case."""
    assert run("list", "--state-dir", str(tmp_path)).output == "no dead letters\n"


def test_show_prints_a_line_of_json_for_each_letter(run: Callable[..., Any], state: Any) -> None:
    """With the record if asked, and only the uid that is asked for."""
    shown = run("show", "otlp_http/siem", "--state-dir", str(state.directory))
    lines = [json.loads(line) for line in shown.output.splitlines()]
    assert [line.get("uid") for line in lines] == ["a", "b", None]
    assert lines[2]["refused"] == 2
    one = run(
        *("show", "otlp_http/siem", "--state-dir", str(state.directory)),
        *("--uid", "b", "--record"),
    )
    (line,) = map(json.loads, one.output.splitlines())
    assert line["record"]["body"] == {"stringValue": "{}"}


def test_replay_sends_the_letters_as_the_exporter_is_configured(
    run: Callable[..., Any], state: Any, config: str, backend: Backend
) -> None:
    """What is accepted leaves the file; what holds no record stays."""
    done = run("replay", "otlp_http/siem", "--config", config)
    assert done.exit_code == 0, done.output
    assert "2 records accepted and removed" in done.output
    assert set(backend.received.uids) == {"a", "b"}
    resource = backend.received.records[0].resource
    assert (resource["service.name"], resource["k8s.audit.replayed"]) == ("k8s-audit", True)
    assert [one.kind for one in read_entries(state.path)] == ["refused"]


def test_replay_of_what_is_refused_again_exits_with_4(
    run: Callable[..., Any], state: Any, config: str, backend: Backend
) -> None:
    """Scripts can tell."""
    state("bad", body="poison-pill")
    backend.plan = [Poison(b"poison-pill")]
    done = run("replay", "otlp_http/siem", "--config", config)
    assert done.exit_code == UNDELIVERED
    assert ": HTTP 400: the plan refuses with 400" in done.output


def test_purge_asks_first(run: Callable[..., Any], state: Any) -> None:
    """And deletes only after a yes."""
    arguments = ("purge", "otlp_http/siem", "--state-dir", str(state.directory))
    assert run(*arguments, input="n\n").exit_code == 1
    assert len(list(read_entries(state.path))) == 3
    assert "3 dead letters deleted" in run(*arguments, input="y\n").output
    assert list(read_entries(state.path)) == []


def test_purge_can_be_told_which_and_not_to_ask(run: Callable[..., Any], state: Any) -> None:
    """For scripts."""
    done = run(
        *("purge", "otlp_http/siem", "--state-dir", str(state.directory)), *("--uid", "a", "--yes")
    )
    assert "1 dead letter deleted" in done.output
    assert [one.uid for one in read_entries(state.path)] == ["b", ""]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["list"], USAGE, "--state-dir"),
        (["list", "--state-dir", "/no/such/place"], STATE, "no such directory"),
        (["show", "otlp_http/other", "--state-dir", "STATE"], USAGE, "otlp_http/siem"),
        (["replay", "otlp_http/other", "--config", "CONFIG"], USAGE, "no exporter otlp_http/other"),
        *(
            ([*command, "otlp_http/siem", *where, "--uid", "a", "--uid", "z"], USAGE, "the uid z;")
            for command, where in (
                (["show"], ["--state-dir", "STATE"]),
                (["purge", "--yes"], ["--state-dir", "STATE"]),
                (["replay"], ["--config", "CONFIG"]),
            )
        ),
    ],
)
def test_a_mistake_is_said_with_a_hint(
    run: Callable[..., Any],
    state: Any,
    config: str,
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    """Where, what, and what there is instead."""
    places = {"STATE": str(state.directory), "CONFIG": config}
    done = run(*(places.get(word, word) for word in arguments))
    assert done.exit_code == code
    assert said in done.output
