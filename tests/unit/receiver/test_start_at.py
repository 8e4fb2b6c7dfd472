"""Where an exporter without a position begins."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.receiver.start_at import _TIME, start_at_end
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


@pytest.mark.parametrize("colon", [b":", b": ", b" : "])
def test_the_time_of_a_line_is_found_whatever_its_spacing(colon: bytes) -> None:
    """A tool that writes JSON with spaces would have its whole log taken for older."""
    line = b'{"kind":"Event","stageTimestamp"' + colon + b'"2026-01-02T03:04:05.678901Z"}'
    found = _TIME.search(line)
    assert found is not None
    assert found[1] == b"2026-01-02T03:04:05.678901Z"
