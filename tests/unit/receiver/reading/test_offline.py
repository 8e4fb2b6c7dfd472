"""What tools read of a log is what the agent reads of it: blocks, offsets, identities."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.receiver.listing import Entry
from k8s_audit_otlp.state.ledger import Tally
from k8s_audit_otlp.tools.offline import OfflineSegment, files_of, segments
from tests.unit.receiver.conftest import Receiver


def by_the_agent(receiver: Receiver) -> list[tuple[str, int, int, bytes]]:
    """Return (identity, start, end, bytes) of every block; a gap holds nothing."""
    found: list[tuple[str, int, int, bytes]] = []
    receiver.log.scan()
    while (segment := receiver.log.next_segment(receiver.ledger)) is not None:
        block = receiver.reader.read(segment, receiver.ledger.next_offset(segment.seq))
        if block is None:
            return found
        data = getattr(block, "data", b"")
        found.append((segment.state.identity, block.span.start, block.span.end, data))
        receiver.ledger.settle(receiver.ledger.open(block.span), Tally())
    return found


def by_a_tool(path: Path) -> list[tuple[str, int, int, bytes]]:
    return [
        (block.identity, block.span.start, block.span.end, block.data)
        for segment in segments(files_of(path), {})
        if isinstance(segment, OfflineSegment)
        for block in segment.blocks()
    ]


@pytest.mark.parametrize(
    "odd",
    [
        b"",
        bytes(300_000) + b"after a hole\n",
        b"\xef\xbb\xbfmarked\n",
        b"\n" * 600_000,
        b"long " + b"x" * 2_000_000 + b"\n",
        b"no newline at the end",
    ],
    ids=["nothing", "hole", "mark", "blank", "long", "half"],
)
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("packed", [True, False])
def test_blocks_are_those_of_the_agent(
    receive: Callable[..., Any],
    log_dir: Path,
    event: Callable[..., Any],
    odd: bytes,
    first: bool,
    packed: bool,
) -> None:
    """Whatever a backup holds, packed or not; equal first events are numbered alike."""
    whole = b"".join(event(n, 900) for n in range(700))
    backup = log_dir / "audit.log.2"
    if packed:
        backup = backup.with_name("audit.log.2.gz")
    data = odd + whole if first else whole + odd
    backup.write_bytes(gzip.compress(data, 1) if packed else data)
    (log_dir / "audit.log.1").write_bytes(event(0, 900) + event(5000))
    (log_dir / "audit.log").write_bytes(event(6000) + b"half a line")
    agent = by_the_agent(receive(settle_s=0.0))
    assert by_a_tool(log_dir / "audit.log") == agent
    assert len({identity for identity, *_ in agent}) == 3


def test_what_makes_no_segment_of_its_own_comes_as_its_entry(
    log_dir: Path, event: Callable[..., Any]
) -> None:
    """A copy, a file without a line, one that cannot be unpacked."""
    (log_dir / "audit.log.3.gz").write_bytes(b"\xfeno gzip")
    (log_dir / "audit.log.2").write_bytes(event(0))
    (log_dir / "audit.log.1").write_bytes(b"")
    (log_dir / "audit.log").write_bytes(event(0) + event(1))
    damage: dict[str, Any] = {}
    found = list(segments(files_of(log_dir / "audit.log"), damage))
    kinds = [f.name.name if isinstance(f, Entry) else f.identity for f in found]
    assert kinds[0::2] == ["audit.log.3.gz", "audit.log.1"]
    assert isinstance(found[1], OfflineSegment)
    assert kinds[3] == "audit.log"
    assert list(damage) == ["audit.log.3.gz"]
