"""Replays that overlap, that are begun again, or that another policy thins out: no alarm."""

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.kit.agent import RETRY, Fixture, exported
from tests.kit.backends.backend import Backend
from tests.kit.judged import UID, Rows, evidence, is_event, judged, with_key
from tests.kit.log.events import EventSource

BEGIN = datetime(2026, 1, 2, 3, tzinfo=UTC)
STEP_S = 10  # between two events
PARTS = [(5, 35), (25, 45), (25, 45), (0, 60)]  # events of two segments, the second written twice
POLICY = "{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: None, verbs: [get, list]}, "


class Night(NamedTuple):
    folder: Path
    key: Path
    rows: Rows
    sent: list[str]  # what each replay said


def moment(at: int) -> str:
    return (BEGIN + timedelta(seconds=(at - 0.5) * STEP_S)).strftime("%Y-%m-%dT%H:%M:%SZ")


def replayed(file: Path, begin: int, end: int) -> str:
    words = ["replay", "--config", str(file), "--exporter", "otlp_http"]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "k8s_audit_otlp",
            *words,
            "--from",
            moment(begin),
            "--to",
            moment(end),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    folder = tmp_path_factory.mktemp("night")
    with Backend() as backend:
        fixture, times = Fixture(folder, backend), iter(range(0, 10_000, STEP_S))
        fixture._source = EventSource(1, lambda: BEGIN.timestamp() + next(times))
        key = with_key(fixture)
        for at in range(2):
            fixture.write(30)
            fixture.rotate(f"audit-2026-01-02T03-{at * 5 + 5:02}-00.000.log")
        fixture.write(1)
        fixture.once()
        file, policy = folder / "agent.yaml", folder / "policy.yaml"
        file.write_text(fixture.text())
        sent = [replayed(file, *part) for part in PARTS]
        policy.write_text(POLICY + "{level: Metadata}]}")
        audit = f"audit: {{policy: {policy}}}"
        fixture.exporters = f"otlp_http: {{endpoint: {backend.url}, {RETRY}, {audit}}}"
        file.write_text(fixture.text())
        sent.append(replayed(file, *PARTS[0]))
        yield Night(folder, key, exported(backend), sent)


def test_replays_that_overlap_are_proven_and_counted(night: Night) -> None:
    assert [said.partition(" sent again")[0] for said in night.sent[:4]] == [
        "30 records",
        "20 records",
        "20 records",
        "60 records",
    ]
    again = sum(int(said.split()[0]) for said in night.sent)
    result = judged(night.folder, night.rows, "--key", str(night.key))
    assert result.exit_code == 0, result.output
    assert f"{again} sent again by replays" in result.output
    assert result.output.count("a replay, links 1 to 2") == len(night.sent)


def test_in_a_table_what_has_an_empty_cell_is_no_replay(night: Night) -> None:
    """Every record has the column of those that a replay sent."""
    names = sorted({name for row in night.rows for name in row})
    file = night.folder / "night.csv"
    with file.open("w", newline="") as text:
        table = csv.DictWriter(text, names)
        table.writeheader()
        for row in night.rows:
            cells = {n: json.dumps(v) if isinstance(v, list) else v for n, v in row.items()}
            table.writerow(cells)
    result = evidence("verify", "--against", str(file), "--key", str(night.key))
    assert result.exit_code == 0, result.output
    assert result.output.count("a replay, links 1 to 2") == len(night.sent)


@pytest.mark.parametrize("at", range(0, 170, 23))
def test_a_copy_that_was_changed_is_named(night: Night, at: int) -> None:
    """Of whichever replay it is, it is not what its receipt says."""
    events = [row for row in night.rows if is_event(row)]
    chosen = events[at % len(events)]
    rows = [{**r, "body": r["body"] + " "} if r is chosen else r for r in night.rows]
    result = judged(night.folder, rows, "--key", str(night.key))
    assert result.exit_code == 6, result.output
    assert chosen[UID] in result.output
