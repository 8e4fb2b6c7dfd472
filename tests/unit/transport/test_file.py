"""OTLP JSON lines: what is in them, and that a line on disk is whole, bounded and durable."""

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict, Parse
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, LogsData, SeverityNumber

from k8s_audit_otlp.config.exporters import OtlpFile
from k8s_audit_otlp.model import Delivered, Outcome, Retry, TooLarge
from k8s_audit_otlp.otlp.resource import export_request
from k8s_audit_otlp.transport.file import FileSender
from k8s_audit_otlp.transport.otlp_json import to_line
from k8s_audit_otlp.transport.sender import ExportRequest

MAX_LINE_BYTES = 1 << 20  # what a Collector takes as it is set up


@pytest.fixture
def sender(resource_scopes: dict[str, tuple[bytes, bytes]]) -> Iterator[Callable[..., Any]]:
    made = []

    def make(path: Path, **options: Any) -> Any:
        edges = {k: options.pop(k) for k in ("stdout", "now") if k in options}
        made.append(FileSender(OtlpFile(path=str(path), **options), resource_scopes, **edges))
        return made[-1]

    yield make
    for one in made:
        one.close()


def write(sender: FileSender, record: Callable[..., Any], *uids: Any, size: int = 0) -> Outcome:
    return sender.send(sender.prepare("k8s_audit", [record(uid, size=size) for uid in uids]))


def uids(path: Path) -> list[str]:
    found = []
    for line in path.read_bytes().splitlines():
        for logs in json.loads(line)["resourceLogs"]:
            for scope in logs["scopeLogs"]:
                for one in scope["logRecords"]:
                    values = {a["key"]: a["value"] for a in one["attributes"]}
                    found.append(values["log.record.uid"]["stringValue"])
    return found


def test_a_line_is_the_request_in_otlp_json(
    resource_scopes: dict[str, tuple[bytes, bytes]], record: Callable[..., Any]
) -> None:
    """It parses back to the same message."""
    request = export_request(*resource_scopes["k8s_audit"], [record("a"), record("b")])
    line = to_line(request)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert Parse(line, LogsData()) == LogsData.FromString(request)


def test_every_kind_of_value_is_written_as_the_specification_says() -> None:
    """Ids in hex, enums as numbers, 64-bit integers as text, bytes in base64."""
    values = [
        AnyValue(string_value="s\n\u2028\U0001f600"),
        AnyValue(bool_value=False),
        AnyValue(int_value=-(2**63)),
        AnyValue(double_value=0.25),
        AnyValue(bytes_value=b"\x00\xff"),
        AnyValue(array_value=ArrayValue(values=[AnyValue(int_value=1), AnyValue()])),
        AnyValue(
            kvlist_value=KeyValueList(values=[KeyValue(key="k", value=AnyValue(bool_value=True))])
        ),
        AnyValue(),
    ]
    record = LogRecord(
        time_unix_nano=2**63,
        severity_number=SeverityNumber.SEVERITY_NUMBER_INFO,
        trace_id=bytes(range(16)),
        span_id=bytes(range(8)),
        flags=1,
        dropped_attributes_count=2,
        attributes=[KeyValue(key=str(i), value=v) for i, v in enumerate(values)],
    )
    request = ExportLogsServiceRequest()
    request.resource_logs.add().scope_logs.add().log_records.append(record)
    written = json.loads(to_line(request.SerializeToString()))
    one = written["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]
    theirs = MessageToDict(record, use_integers_for_enums=True)
    assert (one["traceId"], one["spanId"]) == (bytes(range(16)).hex(), bytes(range(8)).hex())
    assert {k: v for k, v in one.items() if k not in {"traceId", "spanId"}} == {
        k: v for k, v in theirs.items() if k not in {"traceId", "spanId"}
    }


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_lacks_become_the_words_of_protobuf(number: float) -> None:
    """NaN, Infinity, -Infinity."""
    request = ExportLogsServiceRequest()
    one = request.resource_logs.add().scope_logs.add().log_records.add()
    one.body.double_value = number
    line = to_line(request.SerializeToString())
    assert repr(Parse(line, LogsData())) == repr(LogsData.FromString(request.SerializeToString()))


def test_requests_are_appended_and_only_the_owner_may_read(
    sender: Callable[..., Any], record: Callable[..., Any], tmp_path: Path
) -> None:
    """One line each."""
    path = tmp_path / "audit.jsonl"
    s = sender(path)
    assert write(s, record, "a", "b") == Delivered()
    assert write(s, record, "c") == Delivered()
    assert uids(path) == ["a", "b", "c"]
    assert len(path.read_bytes().splitlines()) == 2
    assert path.stat().st_mode & 0o777 == 0o600


def test_no_line_is_longer_than_a_collector_reads(
    sender: Callable[..., Any], record: Callable[..., Any], tmp_path: Path
) -> None:
    """A large request becomes several lines."""
    path = tmp_path / "audit.jsonl"
    names = [f"u{i}" for i in range(30)]
    assert write(sender(path), record, *names, size=100_000) == Delivered()
    assert uids(path) == names
    assert max(map(len, path.read_bytes().splitlines())) < MAX_LINE_BYTES


def test_a_record_that_a_collector_would_cut_is_too_large(
    sender: Callable[..., Any], record: Callable[..., Any], tmp_path: Path
) -> None:
    """It is shrunk then; who keeps the file without a Collector sets no bound."""
    path = tmp_path / "out.jsonl"
    assert isinstance(write(sender(path), record, "a", size=MAX_LINE_BYTES), TooLarge)
    assert not path.exists()
    assert write(sender(path), record, "b", size=MAX_LINE_BYTES // 2) == Delivered()
    unbound = sender(path, max_line_bytes=0)
    assert write(unbound, record, "c", size=MAX_LINE_BYTES) == Delivered()
    assert uids(path) == ["b", "c"]


def test_a_line_that_a_crash_has_cut_is_removed(
    sender: Callable[..., Any], record: Callable[..., Any], tmp_path: Path
) -> None:
    """Its records were not acknowledged and come again."""
    path = tmp_path / "audit.jsonl"
    write(sender(path), record, "a")
    with path.open("ab") as file:
        file.write(b'{"resourceLogs":[' + b"x" * 200_000)
    assert write(sender(path), record, "b") == Delivered()
    assert uids(path) == ["a", "b"]


def test_a_file_of_one_cut_line_begins_anew(
    sender: Callable[..., Any], record: Callable[..., Any], tmp_path: Path
) -> None:
    """Nothing of it was acknowledged."""
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b"x" * 300_000)
    assert write(sender(path), record, "b") == Delivered()
    assert uids(path) == ["b"]


def test_a_file_is_put_aside_at_its_size_and_the_oldest_go(
    sender: Callable[..., Any], record: Callable[..., Any], tmp_path: Path
) -> None:
    """Rotation by size; the names sort by time."""
    path = tmp_path / "audit.jsonl"
    clock = [datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)]

    def now() -> Any:
        clock[0] += timedelta(seconds=1)
        return clock[0]

    s = sender(path, rotation={"max_megabytes": 1, "max_backups": 2}, now=now)
    for i in range(20):
        assert write(s, record, f"u{i}", size=300_000) == Delivered()
    backups = sorted(tmp_path.glob("audit-*.jsonl"))
    assert len(backups) == 2
    assert all(p.stat().st_size <= 1 << 20 for p in [*backups, path])
    kept = [uid for p in [*backups, path] for uid in uids(p)]
    assert kept == [f"u{i}" for i in range(20)][-len(kept) :]


def test_a_file_that_somebody_else_puts_aside_is_opened_anew(
    sender: Callable[..., Any], record: Callable[..., Any], tmp_path: Path
) -> None:
    """Logrotate renames it under us."""
    path = tmp_path / "audit.jsonl"
    s = sender(path)
    write(s, record, "a")
    path.rename(tmp_path / "audit.jsonl.1")
    write(s, record, "b")
    assert uids(path) == ["b"]


def test_what_is_put_aside_while_it_is_written_is_written_anew(
    sender: Callable[..., Any], tmp_path: Path
) -> None:
    """Logrotate may have packed it already, and deletes it then."""
    path, aside = tmp_path / "audit.jsonl", tmp_path / "audit.jsonl.1"
    path.touch()
    long = ExportRequest(bytes(16 << 20) + b"\n", 0, "k8s_audit")
    with ThreadPoolExecutor() as pool:
        sent = pool.submit(sender(path).send, long)
        while not path.stat().st_size:
            pass
        path.rename(aside)
    assert sent.result() == Retry(f"{path}: it was put aside while it was written", reached=False)
    assert aside.stat().st_size == 0


def test_the_directory_is_made_only_when_asked(
    sender: Callable[..., Any], record: Callable[..., Any], tmp_path: Path
) -> None:
    """create_directory; else it is waited for."""
    path = tmp_path / "x" / "y" / "audit.jsonl"
    outcome = write(sender(path), record, "a")
    assert isinstance(outcome, Retry)
    assert not outcome.reached
    assert outcome.why.startswith(f"{path}: its directory is not there; make it")
    assert write(sender(path, create_directory=True), record, "a") == Delivered()


def test_a_full_disk_leaves_no_half_line(
    sender: Callable[..., Any], record: Callable[..., Any]
) -> None:
    """/dev/full refuses every byte; what cannot be written is waited for, not searched."""
    outcome = write(sender("/dev/full"), record, "a")
    assert outcome == Retry("/dev/full: No space left on device", reached=False)


def test_the_standard_output_takes_the_same_lines(
    sender: Callable[..., Any], record: Callable[..., Any]
) -> None:
    """`-`, for a pipe into something else."""
    out, into = os.pipe()
    assert write(sender("-", stdout=into), record, "a") == Delivered()
    assert json.loads(os.read(out, 65_536))["resourceLogs"]
    os.close(out)
    os.close(into)


def test_no_link_is_followed(
    sender: Callable[..., Any], record: Callable[..., Any], tmp_path: Path
) -> None:
    """Whoever may write to the directory could else have events written anywhere."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"mine")
    (tmp_path / "out.jsonl").symlink_to(elsewhere)
    outcome = write(sender(tmp_path / "out.jsonl"), record, "a")
    assert isinstance(outcome, Retry)
    assert "a symbolic link is not followed" in outcome.why
    assert elsewhere.read_bytes() == b"mine"


def test_nothing_is_written_through_a_hard_link(
    sender: Callable[..., Any], record: Callable[..., Any], tmp_path: Path
) -> None:
    """What has the other name keeps its bytes, its torn end and its mode."""
    elsewhere, path = tmp_path / "elsewhere", tmp_path / "out.jsonl"
    elsewhere.write_bytes(b"mine")
    elsewhere.chmod(0o644)
    path.hardlink_to(elsewhere)
    assert write(sender(path), record, "a") == Delivered()
    assert uids(path) == ["a"]
    assert elsewhere.read_bytes() == b"mine"
    assert elsewhere.stat().st_mode & 0o777 == 0o644


def test_a_pipe_waits_for_its_reader(
    sender: Callable[..., Any], record: Callable[..., Any], tmp_path: Path
) -> None:
    """What nobody reads is lost when the pipe is closed, so it is not delivered."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    outcome = write(sender(pipe), record, "a")
    assert isinstance(outcome, Retry)
    assert outcome.why == f"{pipe}: a pipe that nobody reads; start its reader"
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert write(sender(pipe), record, "a") == Delivered()
    assert json.loads(os.read(reader, 1 << 16))["resourceLogs"]
    os.close(reader)


def test_a_file_that_others_may_read_is_tightened(
    sender: Callable[..., Any], record: Callable[..., Any], tmp_path: Path
) -> None:
    """It may have been made by another program."""
    path = tmp_path / "out.jsonl"
    path.touch()
    path.chmod(0o664)
    assert write(sender(path), record, "a") == Delivered()
    assert path.stat().st_mode & 0o777 == 0o600
