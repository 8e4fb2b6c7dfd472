"""`verify` says what is missing, in its exit code, in a table and in JSON."""

import gzip
import json
import os
import pty
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from k8s_audit_otlp.cli.actions.exports import open_export
from k8s_audit_otlp.tools.verify.disk import DiskLog, DiskSegment
from k8s_audit_otlp.tools.verify.exports.export import UID_FIELD, Export
from k8s_audit_otlp.tools.verify.exports.uids import uid_of
from tests.kit.log.events import EventSource
from tests.kit.log.lumberjack import LumberjackLog

COMMAND = (sys.executable, "-m", "k8s_audit_otlp", "verify")


@pytest.fixture
def audit_log(log_dir: Path) -> Path:
    """Write two compressed backups and a live file, 30 events each."""
    path, source = log_dir / "audit.log", EventSource(1)
    with LumberjackLog(path, compress=True) as log:
        for generation in range(3):
            for _ in range(30):
                log.write(source.line())
            if generation < 2:
                log.rotate()
    return path


@pytest.fixture
def uids(audit_log: Path) -> list[str]:
    return [uid_of(s.identity, place) for s in _segments(audit_log) for place in s.places]


def _segments(audit_log: Path) -> list[DiskSegment]:
    log = DiskLog(audit_log)
    return list(log.segments(log.files()))


def verify(path: Path, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "--path", str(path), *arguments],
        input=given,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "120"},
    )


def test_everything_there_is_exit_code_0(audit_log: Path, uids: list[str], tmp_path: Path) -> None:
    """From a directory with several files, each read for what it is."""
    export = tmp_path / "export"
    export.mkdir()
    (export / "a.txt").write_text("\n".join(uids[:40]))
    rows = [json.dumps({"attributes": {"log.record.uid": uid}}) for uid in uids[40:]]
    (export / "b.ndjson").write_text("\n".join(rows))
    done = verify(audit_log, "--against", str(export))
    assert done.returncode == 0, done.stderr
    assert "complete: 90 events on disk, 90 arrived, 0 missing" in done.stdout
    assert done.stderr == ""


def test_something_missing_is_exit_code_5(audit_log: Path, uids: list[str]) -> None:
    """Read from a pipe; the table names the segment, the text the events."""
    given = "\n".join(uid for uid in uids if uid not in uids[35:38])
    done = verify(audit_log, "--against", "-", given=given)
    assert done.returncode == 5
    (row,) = (line for line in done.stdout.splitlines() if " 27 " in line)
    assert row.split()[0].endswith(".log.gz")
    assert f"missing {', '.join(uids[35:38])}" in done.stdout
    assert "NOT COMPLETE: 90 events on disk, 87 arrived, 3 missing" in done.stdout


@pytest.mark.parametrize("told", [False, True])
def test_a_backup_that_cannot_be_read_is_not_complete(
    audit_log: Path, uids: list[str], tmp_path: Path, *, told: bool
) -> None:
    """All that can be read has arrived, and nobody knows of the rest; unless a gap tells of it."""
    backup = next(iter(sorted(audit_log.parent.glob("*.gz"))))
    backup.write_bytes(backup.read_bytes()[:-40])
    (damaged,) = [s for s in _segments(audit_log) if s.damage]
    lines = [*uids]
    if told:
        lines.append(f"gap-otlp_http-{damaged.identity}-{damaged.size:x}-ffffff")
    arrived = tmp_path / "arrived"
    arrived.write_text("\n".join(lines))
    done = verify(audit_log, "--against", str(arrived))
    assert done.returncode == (0 if told else 7), done.stdout + done.stderr
    assert ("NOT PROVEN" in done.stdout) is not told
    assert f"{backup.name}: the file breaks off" in done.stdout


def test_a_backup_of_which_nothing_can_be_read_is_not_complete(
    audit_log: Path, uids: list[str], tmp_path: Path
) -> None:
    backup = next(iter(sorted(audit_log.parent.glob("*.gz"))))
    backup.write_bytes(backup.read_bytes()[:40])  # nothing of it can be read, by root too
    arrived = tmp_path / "arrived"
    arrived.write_text("\n".join(uids))
    done = verify(audit_log, "--against", str(arrived))
    assert done.returncode == 7, done.stdout + done.stderr
    assert f"{backup.name}: " in done.stdout
    assert "NOT PROVEN" in done.stdout


def test_a_packed_export_that_breaks_off_is_said(
    audit_log: Path, uids: list[str], tmp_path: Path
) -> None:
    arrived = tmp_path / "arrived.gz"
    arrived.write_bytes(gzip.compress("\n".join(uids).encode())[:-12])
    done = verify(audit_log, "--against", str(arrived))
    assert done.returncode == 2
    assert "breaks off where it is packed; get it anew" in done.stderr


def test_how_much_of_an_export_is_read_is_counted_as_it_lies_on_disk(
    uids: list[str], tmp_path: Path
) -> None:
    """A packed one has more bytes than its file: the bar would be full before half is read."""
    packed = tmp_path / "arrived.gz"
    packed.write_bytes(gzip.compress("\n".join(uids).encode()))
    steps: list[int] = []
    with closing(open_export(str(packed), steps.append)) as stream:
        assert [item.uid for item in Export("arrived.gz", stream, UID_FIELD)] == uids
    assert sum(steps) == packed.stat().st_size


@pytest.mark.parametrize("records", [90, 100])
def test_an_answer_that_may_be_cut_is_said(
    audit_log: Path, uids: list[str], tmp_path: Path, records: int
) -> None:
    """Loki gives 100 records where nothing else is asked for: what is missing may lie behind."""
    values = [["1", "{}", {"log_record_uid": uid}] for uid in (uids * 2)[:records]]
    answer = {"data": {"result": [{"stream": {}, "values": values}]}}
    (tmp_path / "loki.json").write_text(json.dumps(answer))
    done = verify(audit_log, "--against", str(tmp_path / "loki.json"))
    assert done.returncode == 0, done.stderr
    assert ("holds exactly 100 records" in done.stderr) == (records == 100)


def test_json_holds_every_count(audit_log: Path, uids: list[str], tmp_path: Path) -> None:
    """For programs: segment by segment, with repeats and strangers."""
    export = tmp_path / "uids"
    strange = uids[0].partition("-")[0] + "-1"
    export.write_text("\n".join([*uids[1:], *uids[1:4], strange, "what"]))
    done = verify(audit_log, "--against", str(export), "--json")
    assert done.returncode == 6
    found = json.loads(done.stdout)
    assert (found["missing"], found["repeated"], found["foreign"]) == (1, 3, 1)
    assert strange in found["put_in"][0]
    assert [s["events"] for s in found["segments"]] == [30, 30, 30]
    assert found["segments"][0]["missing_uids"] == [uids[0]]
    assert found["complete"] is False


def test_the_live_file_may_be_left_out(audit_log: Path, uids: list[str], tmp_path: Path) -> None:
    """It is still written: what is newest in it is on its way, unless nothing comes at all."""
    export = tmp_path / "uids"
    export.write_text("\n".join(uids[:70]))
    done = verify(audit_log, "--against", str(export))
    assert done.returncode == 7, done.stdout
    assert "audit.log: its newest 20 events: not there yet, pending" in done.stdout
    assert "NOT PROVEN: 90 events on disk, 70 arrived, 0 missing, 20 pending" in done.stdout
    assert verify(audit_log, "--against", str(export), "--closed").returncode == 0
    export.write_text("")
    assert verify(audit_log, "--against", str(export)).returncode == 5


def test_since_takes_a_duration_or_a_time(audit_log: Path, tmp_path: Path) -> None:
    """An exporter may have begun later than the log; nonsense is refused with the reason."""
    export = tmp_path / "uids"
    export.write_text("")
    assert verify(audit_log, "--against", str(export), "--since", "1h").returncode == 5
    later = verify(audit_log, "--against", str(export), "--since", "2100-01-01T00:00:00Z")
    assert later.returncode == 8
    assert "nothing to compare" in later.stderr
    assert verify(audit_log, "--against", str(export), "--since", "2020-01-31").returncode == 5
    wrong = verify(audit_log, "--against", str(export), "--since", "yesterday")
    assert wrong.returncode == 2
    assert "--since" in wrong.stderr


def test_since_asks_of_what_is_gone_what_can_be_judged(audit_log: Path, tmp_path: Path) -> None:
    """A segment of before is not asked for; one of which a part is, is not called missing."""
    export, rows = tmp_path / "export.ndjson", list[str]()
    for n, (first, last) in enumerate([(1, 2), (1, 6 * 10**18), (5 * 10**18, 6 * 10**18)]):
        said = {"identity": f"{n:016}", "delivered": 1, "first_event_ns": first}
        fields = {f"k8s.audit.segment.{k}": v for k, v in {**said, "last_event_ns": last}.items()}
        rows.append(json.dumps({"log.record.uid": f"receipt-{n:016}-1", **fields}))
    rows.append(json.dumps({"log.record.uid": f"{2:016}-0"}))
    asked = ("--against", str(export), "--since", "2100-01-01", "--json")
    for given, code in ((rows[:1] + rows[2:], 0), (rows, 7), (rows[:-1], 5)):
        export.write_text("\n".join(given))
        done = verify(audit_log, *asked)
        assert done.returncode == code, done.stdout
        assert json.loads(done.stdout)["missing"] == (code == 5)


@pytest.mark.parametrize(
    ("log", "against", "says"),
    [
        ("nowhere/audit.log", "uids", "nowhere: No such file"),
        ("log/audit.log", "nothing-there", "nothing-there: No such file"),
        ("log/audit.log", "table", "--uid-field"),
        ("log/other.log", "uids", "there is no log of that name"),
        ("log/other.log", "uids", "holds audit-20"),
        ("log", "uids", "is a directory; name the live file in it"),
    ],
)
def test_a_mistake_is_exit_code_2_and_never_looks_like_a_loss(
    audit_log: Path, tmp_path: Path, log: str, against: str, says: str
) -> None:
    """A wrong path, a wrong file, a file without uids."""
    assert audit_log.exists()
    (tmp_path / "uids").write_text("0011223344556677-0\n")
    (tmp_path / "table").write_text("time,message\n1,x\n")
    (tmp_path / "empty").touch()
    done = verify(tmp_path / log, "--against", str(tmp_path / against))
    assert done.returncode == 2
    assert says in done.stderr


def test_receipts_alone_are_compared_only_where_that_is_asked_for(tmp_path: Path) -> None:
    """No log is needed then, and a log beside it is a contradiction."""
    export = tmp_path / "uids"
    export.write_text("0011223344556677-0\n")
    done = subprocess.run(
        [*COMMAND, "--receipts-only", "--against", str(export)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 8
    assert "no receipt is among what arrived" in done.stderr
    both = verify(tmp_path / "audit.log", "--against", str(export), "--receipts-only")
    assert both.returncode == 2
    assert "--receipts-only" in both.stderr


def test_a_terminal_shows_how_far_it_is(audit_log: Path, uids: list[str], tmp_path: Path) -> None:
    """A bar on standard error, and only there."""
    export = tmp_path / "uids"
    export.write_text("\n".join(uids))
    ours, theirs = pty.openpty()
    command = [*COMMAND, "--path", str(audit_log), "--against", str(export), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs, check=True)
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert "what arrived" in shown
    assert "the log" in shown
    assert json.loads(done.stdout)["complete"]
