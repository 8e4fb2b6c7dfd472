"""What the stories of evidence share: sealed segments of a real agent, exports, verdicts."""

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from k8s_audit_otlp.cli import main
from tests.kit.agent import Fixture

Row = dict[str, Any]
Rows = list[Row]
UID = "log.record.uid"


def evidence(*words: str) -> Result:
    return CliRunner().invoke(main, ["evidence", *words])


def with_key(fixture: Fixture, name: str = "key", *more: str) -> Path:
    """Make a key, have the agent seal with it, and return its public half."""
    key = fixture.folder / name
    assert evidence("keygen", str(key), *more).exit_code == 0
    seals = fixture.folder / "seals"
    fixture.service = f"evidence: {{key_file: {key}, seal_file: {seals}}}, "
    return key.with_name(f"{name}.pub")


def segment(fixture: Fixture, at: int, count: int = 12) -> None:
    """Let a segment be written, rotated and delivered."""
    fixture.write(count)
    fixture.rotate(f"audit-2026-01-02T03-{at:02}-05.000.log")
    fixture.write(1)
    fixture.once()
    fixture.once()


def judged(folder: Path, rows: Rows, *more: str) -> Result:
    file = folder / "export.ndjson"
    write_rows(file, rows)
    return evidence("verify", "--against", str(file), *more)


def is_event(row: Row) -> bool:
    return bool(row["event.name"] == "k8s.audit.event")


def is_receipt(row: Row) -> bool:
    return bool(row["event.name"] == "k8s.audit.segment")


def write_rows(file: Path, rows: Rows) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def read_rows(file: Path) -> Rows:
    return [json.loads(line) for line in file.read_text().splitlines()]
