"""Honest histories that must not alarm, and forgeries that must: what real agents sent, judged."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from k8s_audit_otlp.cli import main
from tests.kit.agent import RETRY, Fixture, exported, fixture
from tests.kit.backend import Backend

__all__ = ["fixture"]
Row = dict[str, Any]
Rows = list[Row]
UID = "log.record.uid"
NUMBER = "k8s.audit.chain.number"


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
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return evidence("verify", "--against", str(file), *more)


def is_event(row: Row) -> bool:
    return bool(row["event.name"] == "k8s.audit.event")


def is_receipt(row: Row) -> bool:
    return bool(row["event.name"] == "k8s.audit.segment")


# -- honest ----------------------------------------------------------------------------------------


def proven(fixture: Fixture, *keys: Path, code: int = 0) -> str:
    words = [word for key in keys for word in ("--key", str(key))]
    result = judged(fixture.folder, exported(fixture.backend), *words)
    assert result.exit_code == code, result.output
    return result.output


def test_a_new_key_and_restarts_are_no_alarm(fixture: Fixture) -> None:
    """The tail is sealed by the new key; each key alone is not enough, which is said."""
    old = with_key(fixture, "old")
    segment(fixture, 0)
    new = with_key(fixture, "new", "--previous", str(fixture.folder / "old"))
    segment(fixture, 1)
    proven(fixture, old, new)
    assert "seal by a key that was not given" in proven(fixture, new, code=6)


def test_retention_that_takes_the_oldest_is_no_alarm(fixture: Fixture) -> None:
    """Also where all seals that there ever were lie in a file elsewhere."""
    key = with_key(fixture)
    for n in range(3):
        segment(fixture, n)
    rows = exported(fixture.backend)
    first = next(row for row in rows if is_receipt(row))
    identity = first["k8s.audit.segment.identity"]
    kept = [r for r in rows if r is not first and not str(r[UID]).startswith(identity)]
    seals = str(fixture.folder / "seals")
    result = judged(fixture.folder, kept, "--key", str(key), "--against", seals)
    assert result.exit_code == 0, result.output


def test_two_nodes_in_one_export_are_no_alarm(fixture: Fixture, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Fixture(tmp_path / "other", fixture.backend, seed=2)
    keys = [with_key(fixture), with_key(other)]
    fixture.receiver = "resource: {k8s.node.name: cp-1}"
    other.receiver = "resource: {k8s.node.name: cp-2}"
    for n in range(2):
        segment(fixture, n)
        segment(other, n)
    proven(fixture, *keys)


def two_exporters(fixture: Fixture) -> None:
    url = fixture.backend.url
    fixture.exporters = (
        f"otlp_http/a: {{endpoint: {url}, {RETRY}}}, "
        f"otlp_http/b: {{endpoint: {url}, {RETRY}, "
        "audit: {bodies: drop, attribute_prefix: x.audit.}}"
    )


def test_two_exporters_that_map_differently_are_no_alarm(fixture: Fixture) -> None:
    key = with_key(fixture)
    two_exporters(fixture)
    for n in range(2):
        segment(fixture, n)
    assert "export them apart" not in proven(fixture, key)


def redacting(fixture: Fixture) -> None:
    key = fixture.folder / "names.key"
    key.write_text("0123456789abcdef" * 4)
    key.chmod(0o600)
    redaction = f"{{pseudonymise: [users], key_file: {key}}}"
    fixture.exporters = (
        f"otlp_http: {{endpoint: {fixture.backend.url}, {RETRY}, "
        f"audit: {{redaction: {redaction}}}}}"
    )


def test_another_redaction_in_the_middle_of_a_segment_is_no_alarm(fixture: Fixture) -> None:
    key = with_key(fixture)
    segment(fixture, 0)
    redacting(fixture)
    segment(fixture, 1)
    proven(fixture, key)


def test_a_kill_before_another_redaction_is_no_alarm(fixture: Fixture) -> None:
    """What was sent and not noted comes again, under the same uids with other bodies."""
    key = with_key(fixture)
    segment(fixture, 0)
    fixture.write(5)
    fixture.once()
    shutil.copytree(fixture.state, fixture.folder / "before")
    fixture.write(6)
    fixture.once()
    shutil.rmtree(fixture.state)
    (fixture.folder / "before").rename(fixture.state)
    redacting(fixture)
    segment(fixture, 1)
    said = proven(fixture, key, code=7)
    assert "records are there a second time in another form" in said, said


def test_a_clock_that_jumps_is_no_alarm(fixture: Fixture) -> None:
    key = with_key(fixture)
    segment(fixture, 0)
    before = fixture.log.stat().st_size
    fixture.write(9)
    data = fixture.log.read_bytes()
    day = data.partition(b'"stageTimestamp":"')[2][:10]
    with fixture.log.open("r+b") as file:
        file.seek(before)
        file.write(data[before:].replace(day, b"2019-02-03"))
    fixture.once()
    segment(fixture, 1)
    proven(fixture, key)


def test_a_gap_that_was_told_is_a_lack_and_no_fault(fixture: Fixture) -> None:
    key = with_key(fixture)
    segment(fixture, 0)
    fixture.write(9)
    fixture.once()
    fixture.write(9)
    fixture.log.unlink()
    fixture.write(5)
    fixture.once()
    segment(fixture, 1)
    said = proven(fixture, key, code=5)
    assert "sound: the chain holds" in said


@pytest.mark.parametrize("other_form", [False, True])
def test_a_replay_beside_a_killed_and_resumed_agent_is_no_alarm(
    fixture: Fixture, *, other_form: bool
) -> None:
    """In the form of before, and for a wrong policy in another."""
    key = with_key(fixture)
    file, first, log = fixture.folder / "agent.yaml", fixture.folder / "first.yaml", fixture.log
    for n in range(2):
        fixture.write(300)
        fixture.rotate(f"audit-2026-01-02T03-{n:02}-05.000.log")
    fixture.write(10)
    first.write_text(fixture.text())
    program = [sys.executable, "-m", "k8s_audit_otlp"]
    agent = subprocess.Popen([*program, "run", "--config", str(first)], stderr=subprocess.DEVNULL)
    try:
        fixture.backend.wait_for(100)
    finally:
        agent.kill()
        agent.wait(60)
    if other_form:
        redacting(fixture)
    file.write_text(fixture.text())
    agent = subprocess.Popen([*program, "run", "--config", str(first)], stderr=subprocess.DEVNULL)
    try:
        words = ["--config", str(file), "--exporter", "otlp_http", "--from", "2020-01-01"]
        done = subprocess.run(
            [*program, "replay", *words], capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        fixture.backend.wait_for(610)
        assert log.exists()
    finally:
        agent.terminate()
        agent.wait(60)
    fixture.exporters = f"otlp_http: {{endpoint: {fixture.backend.url}, {RETRY}}}"
    fixture.once()
    said = proven(fixture, key)
    assert "NOT" not in said


# -- forged ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Fixture, Path]]:
    """Return three segments of a sealed log in a back end, and the public key."""
    with Backend() as backend:
        made = Fixture(tmp_path_factory.mktemp("night"), backend)
        key = with_key(made)
        for n in range(3):
            segment(made, n)
        yield made, key


def events(rows: Rows) -> Rows:
    """Return the events of segments that have a receipt."""
    known = {row["k8s.audit.segment.identity"] for row in rows if is_receipt(row)}
    return [r for r in rows if is_event(r) and str(r[UID]).partition("-")[0] in known]


def edit_a_body(rows: Rows) -> None:
    row = events(rows)[4]
    row["body"] = row["body"].replace('"verb":"', '"verb":"x')


def edit_bodies_everywhere(rows: Rows) -> None:
    for row in events(rows):
        row["body"] = row["body"].replace('"verb":"', '"verb":"x')


def swap_two_uids(rows: Rows) -> None:
    one, other = events(rows)[2], events(rows)[7]
    one[UID], other[UID] = other[UID], one[UID]


def copy_a_record_to_another_place(rows: Rows) -> None:
    row = dict(events(rows)[3])
    identity, _, offset = str(row[UID]).partition("-")
    row[UID] = f"{identity}-{int(offset, 16) + 1:x}"
    rows.append(row)


def double_a_record_with_another_body(rows: Rows) -> None:
    row = dict(events(rows)[3])
    rows.insert(0, {**row, "body": row["body"].replace("get", "delete") + " "})


def double_it_in_a_form_of_its_own(rows: Rows) -> None:
    row = dict(events(rows)[3])
    rows.append({**row, "body": "{}", "log.mapping": "deadbeef"})


def claim_that_a_change_was_replayed(rows: Rows) -> None:
    row = events(rows)[3]
    row["body"], row["k8s.audit.replayed"] = row["body"] + " ", True


def claim_another_form(rows: Rows) -> None:
    row = events(rows)[3]
    row["body"], row["log.mapping"] = row["body"] + " ", "deadbeef"


def claim_another_form_everywhere(rows: Rows) -> None:
    for row in events(rows):
        row["body"], row["log.mapping"] = row["body"] + " ", "deadbeef"


def edit_an_attribute(rows: Rows) -> None:
    events(rows)[5]["user.name"] = "somebody-else"


def backdate(rows: Rows) -> None:
    """As the time lies in the body too, and in the receipt."""
    row = events(rows)[5]
    row["body"] = row["body"].replace('stageTimestamp":"20', 'stageTimestamp":"19')


def renumber_receipts(rows: Rows) -> None:
    """Take one out and close the hole."""
    second = [row for row in rows if is_receipt(row)][1]
    rows.remove(second)
    for row in rows:
        if row.get(NUMBER, 0) > second[NUMBER] and "k8s.audit.seal.key" not in row:
            row[NUMBER] -= 1


def cut_the_end(rows: Rows) -> None:
    last = max((r for r in rows if is_receipt(r)), key=lambda r: int(r[NUMBER]))
    rows.remove(last)


def take_out_all_receipts_of_a_segment(rows: Rows) -> None:
    first = [row for row in rows if is_receipt(row)][1]
    rows[:] = [r for r in rows if r is not first]


def reseal(rows: Rows) -> None:
    for row in rows:
        if "k8s.audit.seal.key" in row:
            row["k8s.audit.seal.key"] = "0123456789abcdef"


def take_out_seals(rows: Rows) -> None:
    rows[:] = [row for row in rows if "k8s.audit.seal.key" not in row]


def take_out_the_node(rows: Rows) -> None:
    """All of its events and receipts, while another's stay."""
    mine = {r["k8s.audit.chain.id"] for r in rows if is_receipt(r)}
    theirs = [{**row, "k8s.audit.chain.id": "0123456789abcdef"} for row in rows if is_receipt(row)][
        :1
    ]
    rows[:] = [r for r in rows if "k8s.audit.seal.key" in r and r["k8s.audit.chain.id"] in mine]
    rows += theirs


FORGERIES: list[tuple[Callable[[Rows], None], set[int], str]] = [
    (edit_a_body, {6}, "was changed"),
    (edit_bodies_everywhere, {6}, "are not those that were sent"),
    (swap_two_uids, {6}, "was changed"),
    (copy_a_record_to_another_place, {6}, "was put in"),
    (double_a_record_with_another_body, {6}, "is there with two contents"),
    (double_it_in_a_form_of_its_own, {6}, "is there with two contents"),
    (claim_that_a_change_was_replayed, {7}, "is there only as a replay sent it"),
    (claim_another_form, {6}, "was changed"),
    (claim_another_form_everywhere, {6}, "are not those that were sent"),
    (edit_an_attribute, {6}, "field user.name says somebody-else"),
    (backdate, {6}, "was changed"),
    (renumber_receipts, {6}, "changed: number"),
    (cut_the_end, {6}, "sealed and not there"),
    (take_out_all_receipts_of_a_segment, {6}, "missing: number"),
    (reseal, {6}, "seal by a key that was not given"),
    (take_out_seals, {7}, "no seal by a key that was given"),
    (take_out_the_node, {6, 7}, "nothing of it is there"),
]


@pytest.mark.parametrize(
    ("forge", "codes", "words"), FORGERIES, ids=[f[0].__name__ for f in FORGERIES]
)
def test_a_forgery_is_found(
    night: tuple[Fixture, Path], forge: Callable[[Rows], None], codes: set[int], words: str
) -> None:
    fixture, key = night
    rows = exported(fixture.backend)
    assert judged(fixture.folder, rows, "--key", str(key)).exit_code == 0
    forge(rows)
    result = judged(fixture.folder, rows, "--key", str(key))
    assert result.exit_code in codes, result.output
    assert words in result.output


def test_a_copied_export_is_no_alarm(night: tuple[Fixture, Path]) -> None:
    fixture, key = night
    rows = exported(fixture.backend)
    result = judged(fixture.folder, [*rows, *reversed(rows)], "--key", str(key))
    assert result.exit_code == 0, result.output
