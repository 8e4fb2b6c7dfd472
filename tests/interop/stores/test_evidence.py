"""Real VictoriaLogs: what it gives out is proven untouched, and what was touched is named."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.interop.agent import Agent
from tests.interop.stores.stores import VictoriaLogs, binary_of
from tests.interop.stores.test_stores import lines_ago

pytestmark = [pytest.mark.interop, pytest.mark.timeout(400, func_only=True)]
EVERYTHING = "_time:2d *"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[VictoriaLogs]:
    binary = binary_of("victoria-logs")
    if not binary.exists():
        pytest.skip(f"{binary} is not there: tests/interop/build.sh builds it")
    (tmp_path / "store").mkdir()
    running = VictoriaLogs(binary, tmp_path / "store")
    yield running
    running.stop()


def program(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "k8s_audit_otlp", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def judged(folder: Path, rows: list[dict[str, Any]], key: Path) -> tuple[int, str]:
    export = folder / "export.ndjson"
    export.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = program("evidence", "verify", "--against", str(export), "--key", f"{key}.pub")
    return done.returncode, done.stdout + done.stderr


def test_a_deleted_and_a_changed_event_are_named(
    agent: Agent, store: VictoriaLogs, tmp_path: Path
) -> None:
    """And what nobody touched raises no alarm: the store keeps no empty attributes, for one."""
    key = tmp_path / "seal.key"
    assert program("evidence", "keygen", str(key)).returncode == 0
    for hours, count in ((5, 300), (3, 200)):
        backup = agent.log.with_name(f"audit-2026-01-02T0{9 - hours}-00-00.000.log")
        backup.write_bytes(b"".join(lines_ago(count, timedelta(hours=hours), hours)))
    agent.write(lines_ago(10, timedelta(minutes=1), 7))
    audit = {"vendor": store.vendor}
    agent.configure("otlp_http", {"endpoint": store.endpoint, "audit": audit})
    file = agent.directory / "agent.yaml"
    tree = yaml.safe_load(file.read_text())
    tree["service"]["evidence"] = {"key_file": str(key)}
    file.write_text(yaml.safe_dump(tree))
    assert agent.once().returncode == 0
    whole, end = "receipts: 500 records of 2 segments", time.monotonic() + 60
    while True:  # what was acknowledged may take a second to show, and in any order
        rows = store.ask(EVERYTHING)
        code, said = judged(tmp_path, rows, key)
        if code == 0 and whole in said:
            break
        assert time.monotonic() < end, said
        time.sleep(0.3)
    assert "sound: the chain holds" in said, said
    events = [row for row in rows if "auditID" in row["_msg"]]
    first = min(events, key=lambda row: str(row["_time"]))["log.record.uid"].partition("-")[0]
    segment = [row for row in events if row["log.record.uid"].startswith(first)]
    gone, changed = segment[7], segment[33]
    rows.remove(gone)
    changed["_msg"] = changed["_msg"].replace('"verb":"', '"verb":"x')
    code, said = judged(tmp_path, rows, key)
    assert code == 6, said
    assert f"{gone['log.record.uid']} is missing" in said
    assert f"{changed['log.record.uid']} was changed" in said
