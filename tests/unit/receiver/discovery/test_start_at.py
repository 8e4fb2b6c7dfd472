"""Where an exporter without a position begins."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.receiver.blocks import BlockReader
from k8s_audit_otlp.receiver.start_at import start_at_end, start_since
from k8s_audit_otlp.state.ledger import Ledger


@pytest.mark.parametrize("size", [10, 70_000, 200_000])
def test_the_end_is_where_the_last_line_begins_that_is_not_whole(
    receive: Callable[..., Any], log_dir: Path, event: Callable[..., Any], size: int
) -> None:
    """That line is sent when it is; nothing before it is."""
    live = log_dir / "audit.log"
    half = event(1, size)[: size + 60]
    live.write_bytes(event(0) + half)
    receiver = receive()
    receiver.log.scan()
    skipped = start_at_end(receiver.log)
    assert skipped.bytes == len(event(0))
    receiver.ledger = Ledger()
    for seq, offset in skipped.offsets.items():
        receiver.ledger.begin(seq, offset)
    with live.open("ab") as file:
        file.write(event(1, size)[size + 60 :] + event(2))
    assert receiver.drain() == [event(1, size), event(2)]


EVENT = (
    b'{"kind":"Event","requestObject":{"timestamp":"2019-01-01T00:00:00Z"},"stageTimestamp":"%b"}'
)


def framed(line: bytes) -> bytes:
    return json.dumps({"log": line.decode() + "\n", "stream": "stdout"}).encode()


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(EVENT, id="json"),
        pytest.param(EVENT.replace(b":", b" : "), id="json with spaces"),
        pytest.param(framed(EVENT), id="docker"),
        pytest.param(framed(framed(EVENT)), id="framed twice"),
        pytest.param(b"%b stdout F {}", id="cri"),
        pytest.param(b'%b AUDIT: id="1" ip="127.0.0.1" method="GET"', id="before 1.12"),
        pytest.param(b'{"protoPayload":{},"timestamp":"%b"}', id="gke"),
    ],
)
def test_what_was_written_before_is_skipped_and_nothing_else(
    receive: Callable[..., Any], log_dir: Path, form: bytes
) -> None:
    """Whatever frames a line; one that tells no time is skipped only before an older one."""
    if b" : " in form:
        form = form.replace(b"T00 : 00 : 00Z", b"T00:00:00Z")

    def at(*days: int) -> list[bytes]:
        return [form % (b"2026-01-%02dT03:04:05.678901234Z" % day) + b"\n" for day in days]

    lines = [b"no time\n", *at(1, 2), b"no time either\n", *at(4, 3, 5), b"nor here\n"]
    (log_dir / "audit.log").write_bytes(b"".join(lines))
    receiver = receive()
    receiver.log.scan()
    since = datetime(2026, 1, 3, 12, tzinfo=UTC)
    reader = BlockReader(receiver.log)
    skipped = start_since(receiver.log, reader, round(since.timestamp() * 1e9))
    assert skipped.bytes == sum(map(len, lines[:3]))


def test_a_log_that_tells_no_time_is_sent(receive: Callable[..., Any], log_dir: Path) -> None:
    """Nothing proves that it is old."""
    (log_dir / "audit.log").write_bytes(b"no time\n" * 100)
    receiver = receive()
    receiver.log.scan()
    assert start_since(receiver.log, BlockReader(receiver.log), 1_767_323_045 * 10**9).bytes == 0


def test_a_long_line_of_which_only_the_head_tells_a_time_is_never_parted(
    receive: Callable[..., Any], log_dir: Path
) -> None:
    """What is read of it at once is not its end."""
    lines = [b"2026-01-01T00:00:00.000000Z stdout F " + b"x" * 3_000_000 + b"\n"]
    lines.append(b"2026-01-05T00:00:00.000000Z stdout F {}\n")
    (log_dir / "audit.log").write_bytes(b"".join(lines))
    receiver = receive()
    receiver.log.scan()
    since = datetime(2026, 1, 3, tzinfo=UTC)
    skipped = start_since(receiver.log, BlockReader(receiver.log), round(since.timestamp() * 1e9))
    assert skipped.bytes == 0
