"""A line that kills the process does not stop the trail."""

import subprocess
import sys
from pathlib import Path

from k8s_audit_otlp.exporter.safe_mode import SAFE_MODE_BYTES, SafeModeEncoder
from k8s_audit_otlp.model import Block, Span
from k8s_audit_otlp.otlp.encode import Encoder
from k8s_audit_otlp.otlp.record import uid_of
from k8s_audit_otlp.state.marker import Marker
from tests.kit.delivery import body_of

LINES = [
    b'{"kind":"Event","auditID":"%d","requestURI":"/x","requestObject":{"a":"%s"},'
    b'"requestReceivedTimestamp":"2026-01-02T03:04:05.000000Z",'
    b'"stageTimestamp":"2026-01-02T03:04:05.000000Z"}' % (n, b"deadly" if n == 2 else b"fine")
    for n in range(4)
]
DATA = b"\n".join(LINES) + b"\n"

# A process of its own that dies without a word when it is to encode a line with a certain text.
MORTAL = """
import os, sys
from pathlib import Path
from k8s_audit_otlp.exporter.safe_mode import SafeModeEncoder
from k8s_audit_otlp.model import Block, Span
from k8s_audit_otlp.otlp.encode import Encoder
from k8s_audit_otlp.state.marker import Marker

def encode(block):
    if sys.argv[2].encode() in block.data:
        os._exit(9)
    return Encoder().encode_block(block)

marker = Marker(Path(sys.argv[1]))
marker.load()
data = Path(sys.argv[3]).read_bytes()
block = Block(Span(1, 0, len(data)), "id", "audit.log", data, 1)
SafeModeEncoder(encode, marker, marker.forget)(block)
"""


def block() -> Block:
    return Block(Span(1, 0, len(DATA)), "id", "audit.log", DATA, 1)


def live_and_die(folder: Path, text: str) -> int:
    log = folder / "audit.log"
    log.write_bytes(DATA)
    command = [sys.executable, "-c", MORTAL, str(folder), text, str(log)]
    return subprocess.run(command, check=False).returncode


def test_what_safe_mode_encodes_is_the_same(tmp_path: Path) -> None:
    """Nothing changes but the pace."""
    encode = SafeModeEncoder(Encoder().encode_block, Marker(tmp_path), lambda: None)
    assert encode(block()).records == Encoder().encode_block(block()).records


def test_a_line_that_kills_twice_goes_without_its_bodies(tmp_path: Path) -> None:
    """The third process gets past it, and the line's who and what arrive."""
    assert [live_and_die(tmp_path, "deadly") for _ in range(3)] == [9, 9, 0]


def test_a_line_that_kills_whatever_is_left_of_it_is_left_out(tmp_path: Path) -> None:
    """Its place is told by a record that says so; the lines around it are whole."""
    assert [live_and_die(tmp_path, '"auditID":"2"') for _ in range(4)] == [9, 9, 9, 0]
    marker = Marker(tmp_path)
    marker.load()
    encoded = SafeModeEncoder(Encoder().encode_block, marker, lambda: None)(block())
    bodies = [body_of(record) for record in encoded.records]
    assert [body.encode() for body in bodies[:2] + bodies[3:]] == LINES[:2] + LINES[3:]
    assert bodies[2].startswith("[unparsable")
    assert uid_of(encoded.records[2]) == f"id-{len(LINES[0]) + len(LINES[1]) + 2:x}"


def test_a_kill_that_meets_a_line_once_takes_nothing_from_it(tmp_path: Path) -> None:
    """Killed for another reason in the middle of a line, it is sent whole."""
    assert live_and_die(tmp_path, "deadly") == 9
    marker = Marker(tmp_path)
    marker.load()
    encoded = SafeModeEncoder(Encoder().encode_block, marker, lambda: None)(block())
    assert [body_of(record).encode() for record in encoded.records] == LINES


def test_past_the_horizon_nothing_is_remembered(tmp_path: Path) -> None:
    """The marks go once the stretch in which the process died is passed."""
    passed: list[bool] = []
    encode = SafeModeEncoder(Encoder().encode_block, Marker(tmp_path), lambda: passed.append(True))
    filler = b"x" * (SAFE_MODE_BYTES - 1) + b"\n"
    encode(Block(Span(1, 0, len(filler)), "id", "audit.log", filler, 1))
    assert passed == [True]
