"""`evidence`: what a back end's export proves by itself, on what a real agent sent."""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from k8s_audit_otlp.cli import main
from k8s_audit_otlp.cli.exit_codes import NOTHING
from tests.kit.agent import Fixture, exported
from tests.kit.backends.backend import Backend


def evidence(*words: str) -> Result:
    return CliRunner().invoke(main, ["evidence", *words])


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fixture]:
    """Let an agent with a key send three segments and be restarted between them.

    All tests read what it has left; who changes a file changes a copy.
    """
    with Backend() as backend:
        fixture = Fixture(tmp_path_factory.mktemp("sealed"), backend)
        key = fixture.folder / "seal.key"
        assert evidence("keygen", str(key)).exit_code == 0
        fixture.service = f"evidence: {{key_file: {key}, seal_file: {fixture.folder / 'seals'}}}, "
        for n in range(3):
            fixture.write(20)
            fixture.rotate(f"audit-2026-01-02T03-0{n}-05.000.log")
            fixture.write(1)
            fixture.once()
            fixture.once()
        yield fixture


def judged(fixture: Fixture, rows: list[dict[str, Any]], *more: str) -> Result:
    file = fixture.folder / "export.ndjson"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return evidence("verify", "--against", str(file), *more)


def is_receipt(row: dict[str, Any]) -> bool:
    return str(row["event.name"]) == "k8s.audit.segment"


def test_what_a_real_agent_sent_is_complete_sound_and_sealed(sealed: Fixture) -> None:
    """Restarts and seals of the process before are in it."""
    key = str(sealed.folder / "seal.key.pub")
    result = judged(sealed, exported(sealed.backend), "--key", key, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["complete"]
    assert report["sound"]
    (chain,) = report["chains"]
    assert chain["last"] == chain["sealed"] >= 3
    text = judged(sealed, exported(sealed.backend), "--key", key).output
    assert "sealed up to" in text
    assert f" by {chain['sealed_by']}, 0 without a seal after it" in text
    assert "sound: the chain holds" in text
    assert "newest seal" not in text
    late = judged(sealed, exported(sealed.backend), "--key", key, "--to", "2100-01-01")
    assert late.exit_code == 0, late.output
    assert "not judged: otlp_http" in late.output
    assert "the agent was stopped then, as the seal says" in late.output


def test_an_export_that_breaks_off_proves_nothing(sealed: Fixture) -> None:
    """Though all is there that its receipts speak of: a gap may have come after them."""
    key, file = str(sealed.folder / "seal.key.pub"), sealed.folder / "cut.ndjson"
    data = "".join(json.dumps(row) + "\n" for row in exported(sealed.backend))
    file.write_text(data + data[: data.index("\n") // 2])
    result = evidence("verify", "--against", str(file), "--key", key)
    assert result.exit_code == 7, result.output
    assert f"{file}: 1 line of it cannot be read, or it breaks off" in result.output


def test_receipts_without_their_counts_were_changed(sealed: Fixture) -> None:
    """Nothing is left to judge by them, and the chain shows why."""
    rows = exported(sealed.backend)
    for row in filter(is_receipt, rows):
        del row["k8s.audit.segment.delivered"]
    result = judged(sealed, rows, "--key", str(sealed.folder / "seal.key.pub"))
    assert result.exit_code == 6, result.output
    assert "changed: number" in result.output


def test_an_event_that_is_gone_is_missing(sealed: Fixture) -> None:
    rows = exported(sealed.backend)
    gone = next(i for i, row in enumerate(rows) if row["event.name"] == "k8s.audit.event")
    del rows[gone]
    result = judged(sealed, rows)
    assert result.exit_code == 5, result.output
    assert "1 missing" in result.output


def event_at(rows: list[dict[str, Any]], at: int) -> dict[str, Any]:
    """Return an event of the first segment that has a receipt."""
    receipt = next(row for row in rows if is_receipt(row))
    start = receipt["k8s.audit.segment.identity"] + "-"
    return [row for row in rows if str(row["log.record.uid"]).startswith(start)][at]


def test_an_event_that_is_gone_and_one_that_was_changed_are_named(sealed: Fixture) -> None:
    """Both in one segment: from the receipt alone, without the log."""
    rows = exported(sealed.backend)
    gone, changed = event_at(rows, 4), event_at(rows, 11)
    rows.remove(gone)
    changed["body"] = changed["body"].replace('"verb":"', '"verb":"x')
    result = judged(sealed, rows)
    assert result.exit_code == 6, result.output
    assert f"{gone['log.record.uid']} is missing" in result.output
    assert f"{changed['log.record.uid']} was changed" in result.output


def test_what_an_export_has_no_bodies_of_is_said_to_be_unjudged(sealed: Fixture) -> None:
    rows = [{k: v for k, v in row.items() if k != "body"} for row in exported(sealed.backend)]
    result = judged(sealed, rows)
    assert result.exit_code == 7, result.output
    assert "NOT PROVEN" in result.output
    assert "the export has no bodies" in result.output
    assert "receipts: 0 records of 0 segments" in result.output


def test_seals_are_appended_to_a_file_that_can_be_kept_elsewhere(sealed: Fixture) -> None:
    """A back end that loses its newest receipts is shown by the seals of somebody else."""
    rows = exported(sealed.backend)
    last = max((r for r in rows if is_receipt(r)), key=lambda r: r["k8s.audit.chain.number"])
    rows = [r for r in rows if r is not last and r["event.name"] != "k8s.audit.seal"]
    assert judged(sealed, rows).exit_code in (0, 5)
    key, seals = str(sealed.folder / "seal.key.pub"), str(sealed.folder / "seals")
    result = judged(sealed, rows, "--against", seals, "--key", key)
    assert result.exit_code == 6, result.output
    assert "sealed and not there" in result.output
    assert Path(seals).stat().st_mode & 0o777 == 0o600


def test_an_export_without_receipts_proves_nothing(sealed: Fixture) -> None:
    result = judged(sealed, [{"log.record.uid": "0123456789abcdef-0", "event.name": ""}])
    assert result.exit_code == NOTHING
    assert "nothing proves anything" in result.output


def of_segment(rows: list[dict[str, Any]], at: int) -> tuple[dict[str, Any], str]:
    """Return the receipt of a segment, and its identity."""
    receipt = [row for row in rows if is_receipt(row)][at]
    return receipt, str(receipt["k8s.audit.segment.identity"])


def test_a_cluster_is_judged_without_the_others(sealed: Fixture) -> None:
    """What another cluster lacks raises no alarm here; a cluster that is not there is an error."""
    mine = [{**row, "k8s.cluster.name": "mine"} for row in exported(sealed.backend)]
    theirs = [
        json.loads(json.dumps(row).replace(identity, identity[::-1]))
        for _, identity in [of_segment(mine, 0)]
        for row in mine
        if identity in json.dumps(row)
    ]
    del theirs[2]
    theirs = [{**row, "k8s.cluster.name": "theirs"} for row in theirs]
    key = str(sealed.folder / "seal.key.pub")
    assert judged(sealed, mine + theirs, "--key", key).exit_code == 6
    result = judged(sealed, mine + theirs, "--key", key, "--cluster", "mine")
    assert result.exit_code == 0, result.output
    result = judged(sealed, mine, "--cluster", "other")
    assert result.exit_code == NOTHING
    assert "no receipt is of other; there are of mine" in result.output


def test_a_segment_that_reaches_beyond_the_range_is_named_and_not_judged(sealed: Fixture) -> None:
    rows = exported(sealed.backend)
    _, identity = of_segment(rows, 0)
    gone = event_at(rows, 0)
    rows.remove(gone)
    assert judged(sealed, rows).exit_code == 5
    begins = [int(of_segment(rows, at)[0]["k8s.audit.segment.first_event_ns"]) for at in (0, 1)]
    assert begins[0] // 1000 < begins[1] // 1000
    since = datetime.fromtimestamp(begins[1] // 10**9, UTC).isoformat()[:19]
    since += f".{begins[1] % 10**9 // 1000:06}Z"
    result = judged(sealed, rows, "--from", since, "--json")
    report = json.loads(result.stdout)
    assert any(identity in line and "beyond" in line for line in report["not_judged"])
    assert report["missing"] == 0, result.output
    assert judged(sealed, rows, "--from", since, "--to", since).exit_code == 2


def test_files_that_are_still_there_are_held_against_their_receipts(
    sealed: Fixture, tmp_path: Path
) -> None:
    rows = exported(sealed.backend)
    folder = tmp_path / "log"
    shutil.copytree(sealed.log.parent, folder)
    result = judged(sealed, rows, "--raw", str(folder), "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["raw"]["same"] == 3
    assert (
        "no receipt yet: it is still written" in judged(sealed, rows, "--raw", str(folder)).output
    )
    changed, longer, shorter = sorted(folder.glob("audit-*"))
    result = judged(sealed, rows, "--raw", str(changed), "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["raw"]["same"] == 1
    data = changed.read_bytes()
    changed.write_bytes(data.replace(b'"code":200', b'"code":201'))
    longer.write_bytes(longer.read_bytes() + b"{}\n")
    shorter.write_bytes(shorter.read_bytes()[:-10])
    result = judged(sealed, rows, "--raw", str(folder))
    assert result.exit_code == 6, result.output
    for said in ("is not what the agent read", "written to after", "10 bytes are gone"):
        assert said in result.output
    empty = tmp_path / "empty"
    empty.mkdir()
    assert judged(sealed, rows, "--raw", str(empty)).exit_code == NOTHING
    (empty / "audit.log").write_bytes(sealed.log.read_bytes())  # has no receipt yet
    result = judged(sealed, rows, "--raw", str(empty))
    assert result.exit_code == NOTHING
    assert "none of its files can be judged" in result.output
    assert judged(sealed, rows, "--raw", str(empty / "none")).exit_code == 2


def test_the_page_says_what_was_checked_and_escapes_what_an_export_holds(sealed: Fixture) -> None:
    """It loads nothing, and what an attacker writes into an export stays text."""
    rows = exported(sealed.backend)
    receipt, _ = of_segment(rows, 0)
    receipt["k8s.audit.exporter"] = "<script>alert(1)</script>"
    page = sealed.folder / "page.html"
    result = judged(sealed, rows, "--html", str(page))
    assert result.exit_code == 6, result.output
    text = page.read_text()
    assert "changed: number" in text
    assert "<script" not in text
    assert "src=" not in text
    assert "What nobody can know" in text
