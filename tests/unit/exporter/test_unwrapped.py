"""Framed lines become the same records as plain ones, wherever a block begins."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.exporter.unwrapped import UnwrappingEncoder
from k8s_audit_otlp.model import Block, EncodedBlock, Span
from k8s_audit_otlp.otlp.encode import Encoder

TIME = b"2026-01-02T03:04:05.678901234Z"


def event(number: int, size: int = 20) -> bytes:
    body = {
        "kind": "Event",
        "auditID": f"id-{number}",
        "stage": "ResponseComplete",
        "verb": "get",
        "userAgent": "x" * size,
        "stageTimestamp": "2026-01-02T03:04:05.678901Z",
    }
    return json.dumps(body).encode()


def block_of(data: bytes, start: int, end: int) -> Block:
    return Block(Span(1, start, end), "0123456789abcdef", "audit.log", data[start:end], 1)


def encoder_for(data: bytes, name: str = "auto") -> UnwrappingEncoder:
    def look_back(_: int, offset: int, size: int) -> bytes:
        return data[max(0, offset - size) : offset]

    return UnwrappingEncoder(Encoder().encode_block, name, look_back)


def plain(event: bytes, place: int) -> list[bytes]:
    """Return the records of an event as if it stood at *place* of a plain log."""
    span = Span(1, place, place + len(event))
    block = Block(span, "0123456789abcdef", "audit.log", event, 1)
    return list(Encoder().encode_block(block).records)


def cri(text: bytes, stream: bytes = b"stdout", *, more: bool = False) -> bytes:
    return b"%b %b %b %b\n" % (TIME, stream, b"P" if more else b"F", text)


def test_a_plain_log_goes_its_own_way() -> None:
    """Nothing of it is touched, not even what is no event."""
    data = event(1) + b"\n" + b"no event\n"
    found = encoder_for(data)(block_of(data, 0, len(data)))
    assert list(found.records) == list(Encoder().encode_block(block_of(data, 0, len(data))).records)
    assert not found.dropped


def test_other_lines_of_a_container_are_counted_and_left_out() -> None:
    """They are neither shipped nor warned of."""
    data = cri(b"I0102 started", b"stderr") + cri(event(1)) + b"torn line\n"
    found = encoder_for(data)(block_of(data, 0, len(data)))
    first = len(cri(b"I0102 started", b"stderr"))
    assert list(found.records) == plain(event(1), first)
    assert list(found.ends) == [first + len(cri(event(1)))]
    assert list(found.dropped) == [(first, "not_audit"), (len(data), "not_audit")]
    assert found.lines == 3


@given(
    sizes=st.lists(st.integers(1, 120), min_size=1, max_size=8),
    cut=st.integers(5, 60),
    noise=st.lists(st.booleans(), min_size=8, max_size=8),
    at=st.floats(0, 1),
)
def test_pieces_are_put_together_wherever_blocks_begin(
    sizes: list[int], cut: int, noise: list[bool], at: float
) -> None:
    """By the encoder that has read the block before, and by one that begins in the middle."""
    lines: list[bytes] = []
    wanted: list[bytes] = []
    for number, size in enumerate(sizes):
        text, place = event(number, size), sum(map(len, lines))
        wanted += plain(text, place)
        while text:
            piece, text = text[:cut], text[cut:]
            lines.append(cri(piece, more=bool(text)))
            if noise[number]:
                lines.append(cri(b"I0102 other", b"stderr"))
    data = b"".join(lines)
    middle = sum(map(len, lines[: round(at * len(lines))]))
    halves = [block_of(data, 0, middle), block_of(data, middle, len(data))]
    going_on = encoder_for(data, "cri")
    for encoders in ([going_on, going_on], [encoder_for(data, "cri"), encoder_for(data, "cri")]):
        found: list[EncodedBlock] = [e(b) for e, b in zip(encoders, halves, strict=True)]
        assert [record for one in found for record in one.records] == wanted
        assert all(middle < end for end in found[1].ends)


@pytest.mark.parametrize("name", ["auto", "azure"])
def test_each_event_of_a_line_has_a_uid_of_its_own(name: str) -> None:
    """Its place is where its record lies in the line; all end with the line."""
    records = [{"category": "kube-audit", "properties": {"log": event(n).decode()}} for n in (1, 2)]
    data = json.dumps({"records": records}).encode() + b"\n"
    found = encoder_for(data, name)(block_of(data, 0, len(data)))
    places = [data.index(b'{"category"'), data.rindex(b'{"category"')]
    assert list(found.records) == plain(event(1), places[0]) + plain(event(2), places[1])
    assert list(found.ends) == [len(data)] * 2
