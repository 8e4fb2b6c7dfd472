"""Seals reach what has no receipt yet: a file that is still written, however long."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.agent import RETRY, Fixture, exported
from tests.kit.backends.backend import Backend
from tests.kit.judged import UID, Rows, evidence, is_event, is_receipt, judged, segment, with_key

SEAL = "k8s.audit.seal.open"


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Fixture, Path]]:
    """Return a log with a receipt and a live file, which two exporters map."""
    with Backend() as backend:
        made = Fixture(tmp_path_factory.mktemp("night"), backend)
        made.exporters = ", ".join(
            f"otlp_http/{name}: {{endpoint: {backend.url}, {RETRY}, audit: {{{more}}}}}"
            for name, more in (("a", ""), ("b", "bodies: drop"))
        )
        key = with_key(made)
        segment(made, 0)
        for _ in range(2):
            made.write(9)
            made.once()
        yield made, key


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Fixture, Path]]:
    """Return a log that was never rotated beside one that was."""
    with Backend() as backend:
        made = Fixture(tmp_path_factory.mktemp("new"), backend)
        other = made.log.parent.parent / "other" / "audit.log"
        other.parent.mkdir()
        made.receiver = f"}}, k8s_audit/other: {{include: [{other}]"
        key = with_key(made)
        segment(made, 0)
        other.write_bytes(made.log.read_bytes().replace(b'"auditID":"', b'"auditID":"f'))
        made.once()
        yield made, key


def live(rows: Rows) -> Rows:
    """Return the events of segments without a receipt, of each uid one, in their order."""
    receipted = {row["k8s.audit.segment.identity"] for row in rows if is_receipt(row)}
    events = [r for r in rows if is_event(r) and str(r[UID]).partition("-")[0] not in receipted]
    return [*{str(row[UID]): row for row in events}.values()]


def without(rows: Rows, uids: set[object]) -> Rows:
    return [row for row in rows if row[UID] not in uids]


def test_what_is_still_written_is_compared_with_seals(night: tuple[Fixture, Path]) -> None:
    fixture, key = night
    rows = exported(fixture.backend)
    result = judged(fixture.folder, rows, "--key", str(key))
    assert result.exit_code == 0, result.output
    assert f"and {len(live(rows))} as seals say" in " ".join(result.output.split())


@pytest.mark.parametrize("count", [1, 2, 9])
@pytest.mark.parametrize("first", [0, 3, 10])
def test_events_of_the_live_file_that_are_gone_are_missing(
    night: tuple[Fixture, Path], first: int, count: int
) -> None:
    """Whether they were there at one seal or came after it."""
    fixture, key = night
    rows = exported(fixture.backend)
    gone = {row[UID] for row in live(rows)[first : first + count]}
    result = judged(fixture.folder, without(rows, gone), "--key", str(key))
    assert result.exit_code == 5, result.output
    said = " ".join(result.output.split())
    assert f" {count} missing, " in said
    assert all(f"{uid} is missing" in said for uid in gone) or f"{count} of its records" in said


def test_what_came_after_the_seals_that_are_left_is_not_asked_for(
    night: tuple[Fixture, Path],
) -> None:
    fixture, key = night
    rows = exported(fixture.backend)
    seals = [row for row in rows if SEAL in row]
    newest = {row[UID] for row in live(rows)[10:]}
    sizes = sorted({int(str(row[SEAL]).split()[-1].split("/")[1]) for row in seals})
    kept = [r for r in rows if SEAL not in r or f"/{sizes[-1]}/" not in str(r[SEAL])]
    kept = [r for r in kept if "k8s.audit.seal.key" not in r or SEAL in r]
    result = judged(fixture.folder, without(kept, newest), "--key", str(key))
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("change", [{SEAL: ""}, {SEAL: "0123456789abcdef"}])
def test_what_a_seal_says_of_them_is_signed(
    night: tuple[Fixture, Path], change: dict[str, str]
) -> None:
    fixture, key = night
    rows = [{**row, **change} if SEAL in row else row for row in exported(fixture.backend)]
    result = judged(fixture.folder, rows, "--key", str(key))
    assert result.exit_code == 6, result.output
    assert "its key did not sign" in result.output


def test_a_log_that_was_never_rotated_is_compared_with_seals(new: tuple[Fixture, Path]) -> None:
    """It has no link: what is gone leaves it unproven, as it may be of another back end."""
    fixture, key = new
    rows = exported(fixture.backend)
    assert judged(fixture.folder, rows, "--key", str(key)).exit_code == 0
    first = next(r[UID] for r in live(rows) if str(r["log.file.path"]).endswith("other/audit.log"))
    result = judged(fixture.folder, without(rows, {first}), "--key", str(key))
    assert result.exit_code == 7, result.output


def test_a_table_with_nulls_is_no_alarm(night: tuple[Fixture, Path]) -> None:
    """DataKit gives every row every column: a link has none of what is null."""
    fixture, key = night
    rows = exported(fixture.backend)
    names = sorted({name for row in rows for name in row if name != "body"})
    values = [[*map(row.get, names), row["body"]] for row in rows]
    series = [{"columns": [*names, "message"], "values": values}]
    file = fixture.folder / "answer.json"
    file.write_text(json.dumps({"code": 200, "content": [{"series": series}]}))
    result = evidence("verify", "--against", str(file), "--key", str(key))
    assert result.exit_code == 0, result.output


def test_a_live_file_that_reaches_beyond_the_range_is_named(night: tuple[Fixture, Path]) -> None:
    """An export of that time holds a part of it."""
    fixture, key = night
    rows = exported(fixture.backend)
    times = sorted(json.loads(str(row["body"]))["stageTimestamp"] for row in live(rows))
    result = judged(fixture.folder, rows, "--key", str(key), "--to", times[0])
    assert result.exit_code == 0, result.output
    identity = str(live(rows)[0][UID]).partition("-")[0]
    assert f"open segment ({identity}): reaches beyond the range" in result.output
