"""Blocks and parsed records for the tests of the mapping."""

from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import ScopeLogs

from k8s_audit_otlp.model import Block, Span
from k8s_audit_otlp.otlp import plain_line
from k8s_audit_otlp.otlp.encode import Encoder
from k8s_audit_otlp.otlp.plain_line import Lines
from tests.unit.otlp.test_plain_line import encoder_of

IDENTITY, FILE, OBSERVED = "0123456789abcdef", "audit.log", 1_764_000_000_123_456_789


@pytest.fixture
def block() -> Callable[..., Any]:
    """Make a block of some bytes at an offset."""

    def make(data: Any, start: Any = 0) -> Any:
        return Block(Span(1, start, start + len(data)), IDENTITY, FILE, data, OBSERVED)

    return make


@pytest.fixture
def parse() -> Callable[..., Any]:
    """Read records with the official messages."""
    return lambda records: list(ScopeLogs.FromString(b"".join(records)).log_records)


@pytest.fixture(scope="session")
def compiled() -> Lines:
    """Return the compiled form of plain lines."""
    lines: Lines = pytest.importorskip(
        "k8s_audit_otlp.otlp._quick_line", reason="no compiler was there"
    )
    return lines


@pytest.fixture(scope="module")
def pair(compiled: Lines) -> tuple[Encoder, Encoder]:
    """Return an encoder by each form, in Python and compiled."""
    return encoder_of(plain_line, redact=True), encoder_of(compiled, redact=True)
