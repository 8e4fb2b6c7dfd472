"""The agent's log: equal lines once a minute with a count, different ones always."""

import io
import json
import logging
import subprocess
import sys
import time
from contextlib import AbstractContextManager
from typing import Any

import pytest

from k8s_audit_otlp.exporter.backpressure import Gate
from k8s_audit_otlp.model import LogKey
from k8s_audit_otlp.telemetry import logs
from k8s_audit_otlp.telemetry.journal import ExporterCounts, ExporterJournal, LogJournal
from k8s_audit_otlp.telemetry.logs import (
    level_of,
    set_up_logs,
    unknown_level,
)
from tests.conftest import ManualClock

logger = logging.getLogger("k8s_audit_otlp")


def holding_back() -> AbstractContextManager[object]:
    """Let the minute end only when all is said, however slow this thread is."""
    lock = logging.getLogger().handlers[0].lock
    assert lock is not None
    return lock


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_lines_that_name_what_they_are_about_are_equal_whatever_they_say(
    written: io.StringIO, clock: ManualClock
) -> None:
    """A count in a line does not make it another one; when the minute is over the last is said."""
    for count in range(3):
        logger.warning("%d events were cut", count, extra={"once": "cut a"})
        logger.warning("%d events were cut", count, extra={"once": "cut b"})
    clock.advance(61)
    logger.warning("3 events were cut", extra={"once": "cut a"})
    assert [line["message"] for line in lines(written)] == [
        "0 events were cut",
        "0 events were cut",
        "3 events were cut (2 more times)",
    ]


def test_an_equal_line_is_written_once_a_minute(written: io.StringIO, clock: ManualClock) -> None:
    """With how often it was held back."""
    for _ in range(5):
        logger.warning("the disk is %s", "full")
        clock.advance(10)
    clock.advance(11)
    logger.warning("the disk is full")
    first, second = lines(written)
    assert "repeated" not in first
    assert second["repeated"] == 4
    assert second["message"] == "the disk is full (4 more times)"


def test_a_traceback_is_written_once_a_minute_too(written: io.StringIO, clock: ManualClock) -> None:
    """A thread that dies again and again must not fill the disk either."""
    for _ in range(3):
        try:
            raise ValueError("odd")  # noqa: TRY301 - as code deep inside does
        except ValueError:
            logger.exception("it failed")
    clock.advance(61)
    logger.error("it failed")
    first, second = lines(written)
    assert "ValueError: odd" in str(first["exception"])
    assert second["repeated"] == 2


def test_what_was_held_back_is_written_when_the_time_is_over() -> None:
    """The log that is away for the second time and stays so; with its own time, in order."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    set_up_logs("info", "json", stream, monotonic=ManualClock(), repeat_s=0.5)
    try:
        with holding_back():
            for _ in range(3):
                logger.warning("it is away")
                logger.warning("it is back")
            logger.warning("it is away")
        end = time.monotonic() + 60
        while len(said := lines(stream)) < 4 and time.monotonic() < end:
            time.sleep(0.05)
        assert [(line["message"], line.get("repeated", 0)) for line in said] == [
            ("it is away", 0),
            ("it is back", 0),
            ("it is back (1 more time)", 1),
            ("it is away (2 more times)", 2),
        ]
        logger.warning("at the end")
        logger.warning("at the end")
        root.handlers[0].close()
        assert len(lines(stream)) == 6, "nothing that is held back is lost at the end"
    finally:
        root.handlers[:], root.level = before, level


def test_a_reload_begins_no_new_minute_of_a_trouble(clock: ManualClock) -> None:
    """It would be told once more with each; how the next agent begins is told each time.

    What is held back comes in the form that is asked for by then.
    """
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    old, new = io.StringIO(), io.StringIO()
    try:
        set_up_logs("info", "console", old, monotonic=clock)
        for stream in (old, new, new):
            set_up_logs("info", "console" if stream is old else "json", stream)
            logger.info("reloaded")
            logger.warning("it is away")
        clock.advance(61)
        logger.warning("it is away")
        assert [line.split()[-1] for line in old.getvalue().splitlines()] == ["reloaded", "away"]
        assert [line["message"] for line in lines(new)] == [
            "reloaded", "reloaded", "it is away (2 more times)"
        ]  # fmt: skip
    finally:
        root.handlers[:], root.level = before, level


def test_an_end_of_a_trouble_is_told_after_a_reload(written: io.StringIO) -> None:
    """It was the reload that ended it, or not; how long it took is counted from its begin."""
    counts, gates = ExporterCounts(), [Gate(lambda: None), Gate(lambda: None)]
    journals = [ExporterJournal("otlp_http", gate, counts=counts) for gate in gates]
    journals[0].retrying("HTTP 401", 1.0, "misconfigured")
    gates[1].acknowledged()
    journals[1].accepted(1, 100, 0, notices=False)
    assert [line["event"] for line in lines(written)] == ["retrying", "recovered"]


def test_the_same_words_about_something_else_are_written(written: io.StringIO) -> None:
    """A second gap of a file of the same name is no repeat."""
    for offset in (0, 4096):
        logs.logger.error("gap", "bytes of audit.log are lost", offset=offset)
    assert [line["offset"] for line in lines(written)] == [0, 4096]


def test_every_line_has_an_event(written: io.StringIO) -> None:
    """Also where who wrote it gave none."""
    logger.info("something")
    (line,) = lines(written)
    assert line["event"] == "test_logs"
    assert line["level"] == "info"
    assert str(line["time"]).endswith("+00:00")


@pytest.mark.parametrize(
    ("delay_s", "says"),
    [(0.0, "within a second"), (0.4, "within a second"), (0.95, "in 1 s"), (17.6, "in 18 s")],
)
def test_when_it_is_tried_again_is_said_in_words_that_hold(
    written: io.StringIO, delay_s: float, says: str
) -> None:
    """Nobody waits 0 s."""
    journal = ExporterJournal("otlp_http", Gate(lambda: None), endpoint="h:1")
    journal.retrying("no answer", delay_s, "connection")
    (line,) = lines(written)
    assert line["message"] == f"otlp_http: no answer; nothing is lost, trying again {says}"


def test_another_reason_is_no_repeat(written: io.StringIO, clock: ManualClock) -> None:
    """A key that is revoked while the back end is busy is said at once; what it was before, too.

    The same again within the minute is one, and its end is not told either: who has a thousand
    records refused would fill the disk with the two lines.
    """
    gate = Gate(lambda: None)
    journal = ExporterJournal("otlp_http", gate)
    for _ in range(3):
        journal.retrying("HTTP 503", 1.0, "retryable")
        journal.retrying("HTTP 401", 1.0, "misconfigured")
    assert [line["reason"] for line in lines(written)] == ["retryable", "misconfigured"]
    for _ in range(5):
        gate.acknowledged()
        journal.accepted(1, 100, 0, notices=False)
        journal.retrying("HTTP 401", 2.0, "misconfigured")
    assert [line["event"] for line in lines(written)[2:]] == ["recovered"]
    clock.now += 60.0
    journal.retrying("HTTP 401", 2.0, "misconfigured")
    gate.acknowledged()
    journal.accepted(1, 100, 0, notices=False)
    assert [line["event"] for line in lines(written)[3:]] == ["retrying", "recovered"]
    assert lines(written)[3]["repeated"] == 7


def test_a_clock_that_is_set_back_leaves_no_trouble_behind(written: io.StringIO) -> None:
    """What was acknowledged after a failure is, whatever the clock said in between."""
    gate = Gate(lambda: None)
    journal = ExporterJournal("otlp_http", gate, endpoint="h:1")
    journal.retrying("no answer", 0.1, "connection")
    journal.counts.last_retry_at += 3600.0
    gate.acknowledged()
    journal.accepted(1, 100, 0, notices=False)
    assert journal.counts.last_retry_at <= journal.counts.acknowledged_at
    (_, line) = lines(written)
    assert line["event"] == "recovered"
    assert line["seconds"] < 60.0


@pytest.mark.parametrize(
    ("named", "level", "unknown"),
    [("", "info", ""), ("Warn", "warn", ""), ("none", "error", ""), ("loud", "info", "loud")],
)
def test_the_level_of_the_environment(named: str, level: str, unknown: str) -> None:
    """What is no level counts for nothing, and is said."""
    assert level_of(None, {"OTEL_LOG_LEVEL": named}) == level
    assert level_of("debug", {"OTEL_LOG_LEVEL": named}) == "debug"
    assert unknown_level({"OTEL_LOG_LEVEL": named}) == unknown


UNFORESEEN = """
import threading, warnings
from k8s_audit_otlp.telemetry.logs import log_tracebacks, set_up_logs

class Bad:
    def __del__(self):
        raise ValueError("at its end")

set_up_logs("info", "json")
log_tracebacks()
Bad()
thread = threading.Thread(target=lambda: 1 / 0, name="read siem")
thread.start()
thread.join()
warnings.warn("a library says so")
raise RuntimeError("nobody foresaw it")
"""


def test_one_trouble_of_one_file_after_the_other_is_a_line_a_minute(
    written: io.StringIO, clock: ManualClock
) -> None:
    """A rotation that makes a backup unreadable with each file writes no line with each."""
    journal, log = LogJournal(), LogKey("k8s_audit", "/log/audit.log")
    for n in range(20):
        journal.trouble(log, f"/log/audit-{n}.log: Permission denied")
    journal.trouble(log, "/log/audit.log: Input/output error")
    clock.advance(61)
    journal.trouble(log, "/log/audit-20.log: Permission denied")
    assert [line["message"] for line in lines(written)] == [
        "/log/audit-0.log: Permission denied",
        "/log/audit.log: Input/output error",
        "/log/audit-20.log: Permission denied (19 more times)",
    ]


def test_how_long_it_took_makes_no_other_line(written: io.StringIO) -> None:
    """A library says with each try after how many milliseconds it failed."""
    for taken in (0, 7, 19):
        logger.error("Connect to broker:9092 failed (after %dms in state CONNECT)", taken)
    assert len(lines(written)) == 1


def test_what_ends_an_agent_is_a_line_of_its_log() -> None:
    """Of another command it would be one line of plain text; here JSON is asked for."""
    code = (
        "from k8s_audit_otlp.cli import main\n"
        "from k8s_audit_otlp.telemetry.logs import log_tracebacks, set_up_logs\n"
        "set_up_logs('info', 'json')\n"
        "log_tracebacks()\n"
        "main(['demo', '--keep', '/proc/no/such'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (line,) = [json.loads(line) for line in done.stderr.splitlines()]
    assert "/proc/no" in line["exception"]
    assert "FileNotFoundError" in line["exception"]


def test_tracebacks_and_warnings_are_lines_too() -> None:
    """Of every thread, of what ends the process, and of what Python only mutters."""
    done = subprocess.run(
        [sys.executable, "-c", UNFORESEEN], capture_output=True, text=True, check=False, timeout=120
    )
    said = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in said] == ["failed", "failed", "warnings", "failed"]
    for line, kind in zip(
        [said[0], said[1], said[3]], ("ValueError", "ZeroDiv", "Runtime"), strict=True
    ):
        assert kind in line["message"]
        assert kind in line["exception"]
    assert said[1]["part"] == "read siem"
    assert done.returncode == 1
