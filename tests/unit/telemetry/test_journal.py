"""What an exporter's journal keeps for the page, and what that of the logs says."""

import io
import json
import logging
from pathlib import Path

from k8s_audit_otlp.exporter.backpressure import Gate
from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.telemetry.journal import ExporterJournal, LogJournal


def test_records_that_wait_apart_push_no_gap_off_the_page() -> None:
    """What is told again moves: a back end that flaps all night says the same two things."""
    journal = ExporterJournal("otlp_http", Gate(lambda: None))
    journal.dead_lettered("HTTP 400", notices=False)
    for _ in range(100):
        journal.set_aside("HTTP 500", 0.1, "retryable")
        journal.taken_back()
    assert [one.kind for one in journal.counts.recent] == ["dead letter", *["quarantine"] * 2]
    assert "is delivered" in journal.counts.recent[-1].text


def test_what_waited_apart_before_a_reload_waits_no_more() -> None:
    """It is read again like all that was not acknowledged; what is lost stays on the page."""
    before = ExporterJournal("otlp_http", Gate(lambda: None))
    before.set_aside("HTTP 401", 0.1, "misconfigured")
    before.dead_lettered("HTTP 400", notices=False)
    after = ExporterJournal("otlp_http", Gate(lambda: None), counts=before.counts)
    assert [one.kind for one in after.counts.recent] == ["dead letter"]


def test_every_file_that_is_passed_over_is_named(written: io.StringIO, tmp_path: Path) -> None:
    """In one line, and those that come later in another one, within the minute too."""
    log = AuditLog("k8s_audit", tmp_path / "audit.log", LogJournal())
    rounds = (
        ["audit-backup.log", "audit.log.2.xz", "audit.log.old"],
        ["audit.log.bak", "audit.log~"],
    )
    (tmp_path / "audit.log").touch()
    for names in rounds:
        for name in names:
            (tmp_path / name).touch()
        log.scan()
        log.scan()
    lines = [json.loads(line)["message"] for line in written.getvalue().splitlines()]
    assert [line.split(": ")[2] for line in lines] == [
        f"{', '.join(names)}; rename it to have it sent" for names in rounds
    ]


def test_a_line_that_was_held_back_has_the_time_at_which_it_is_written(
    written: io.StringIO,
) -> None:
    """So no line goes back in time; when it was is said."""
    root = logging.getLogger()
    root.warning("the disk is full")
    for created in (0.0, 1.0):
        record = logging.makeLogRecord({"msg": "the disk is full", "levelno": logging.WARNING})
        record.created = created
        root.handle(record)
    root.handlers[0].flush()
    first, second = [json.loads(line) for line in written.getvalue().splitlines()]
    assert second["time"] >= first["time"]
    assert second["message"] == "the disk is full (1 more time, the last at 00:00:01)"
