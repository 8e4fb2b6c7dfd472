"""Framed lines become the same records as plain ones, wherever a block begins."""

import json
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.logs.v1.logs_pb2 import ScopeLogs

from k8s_audit_otlp.exporter.wrapped_lines import UnwrappingEncoder
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


class Shown(NamedTuple):
    uid: str
    body: str


def record_of(record: bytes) -> Shown:
    """Return what a record of the encoder says."""
    fields = ScopeLogs.FromString(record).log_records[0]
    (uid,) = (one.value.string_value for one in fields.attributes if one.key == "log.record.uid")
    return Shown(uid, fields.body.string_value)


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


def docker(text: bytes, *, more: bool = False) -> bytes:
    log = text.decode() + ("" if more else "\n")
    return json.dumps({"log": log, "stream": "stdout", "time": TIME.decode()}).encode() + b"\n"


@given(
    sizes=st.lists(st.integers(1, 120), min_size=1, max_size=6),
    cut=st.integers(5, 60),
    at=st.lists(st.floats(0, 1), min_size=1, max_size=4),
    name=st.sampled_from(["auto", "cri", "docker"]),
    restart=st.booleans(),
)
def test_pieces_are_put_together_over_rotations(
    sizes: list[int], cut: int, at: list[float], name: str, *, restart: bool
) -> None:
    """By who has read the file before and by who only looks back; each event is there once."""
    frame = docker if name == "docker" else cri
    lines: list[bytes] = []
    for number, size in enumerate(sizes):
        text = event(number, size)
        while text:
            piece, text = text[:cut], text[cut:]
            lines.append(frame(piece, more=bool(text)))
    places = [0, *sorted(round(one * len(lines)) for one in at), len(lines)]
    files = [b"".join(lines[a:b]) for a, b in pairwise(places)]

    def look_back(segment: int, offset: int, size: int) -> bytes:
        before = files[segment][:offset] if offset else b"".join(files[:segment])
        return before[-size:]

    going_on = UnwrappingEncoder(Encoder().encode_block, name, lambda *_: b"")
    uids: list[str] = []
    bodies: list[object] = []
    for number, data in enumerate(files):
        if data:
            span = Span(number, 0, len(data))
            fresh = UnwrappingEncoder(Encoder().encode_block, name, look_back)
            block = Block(span, f"{number:016x}", "0.log", data, 1)
            found = (fresh if restart else going_on)(block)
            assert not found.dropped
            for one in map(record_of, found.records):
                uids.append(one.uid)
                bodies.append(json.loads(one.body))
    assert bodies == [json.loads(event(n, size)) for n, size in enumerate(sizes)]
    assert len(set(uids)) == len(sizes)


def azure(text: bytes, *, more: bool = False) -> bytes:  # noqa: ARG001 - Azure does not say it
    record = {"category": "kube-audit", "properties": {"log": text.decode(), "pod": "p"}}
    return json.dumps(record).encode() + b"\n"


FRAMES = {"cri": cri, "docker": docker, "azure": azure}


@pytest.mark.parametrize("restart", [True, False])
@pytest.mark.parametrize("rotated", [None, 1, 2, 3])
@pytest.mark.parametrize("name", FRAMES)
def test_a_piece_whose_end_never_comes_costs_no_other_event(
    name: str, rotated: int | None, *, restart: bool
) -> None:
    """Its process was killed. What is left of it is told, and each record has a uid of its own."""
    frame = FRAMES[name]
    one, two = event(1, 200), event(2, 200)
    lines = [frame(one[:90], more=True), frame(one[90:150], more=True)]
    lines += [frame(two[:90], more=True), frame(two[90:]), frame(event(3))]
    files = [b"".join(lines)] if rotated is None else [lines[:rotated], lines[rotated:]]
    data = [one if isinstance(one, bytes) else b"".join(one) for one in files]

    def look_back(segment: int, offset: int, size: int) -> bytes:
        return (data[segment][:offset] if offset else b"".join(data[:segment]))[-size:]

    going_on = UnwrappingEncoder(Encoder().encode_block, name, look_back)
    found: list[Shown] = []
    for number, text in enumerate(data):
        fresh = UnwrappingEncoder(Encoder().encode_block, name, look_back)
        block = Block(Span(number, 0, len(text)), f"{number:016x}", "0.log", text, 1)
        found += map(record_of, (fresh if restart else going_on)(block).records)
    assert [json.loads(shown.body) for shown in found[1:]] == [
        json.loads(two),
        json.loads(event(3)),
    ]
    assert "unparsable" in found[0].body
    assert len({shown.uid for shown in found}) == 3


@pytest.mark.parametrize("name", ["cri", "docker"])
def test_an_event_of_many_pieces_is_found_again_after_a_restart(name: str) -> None:
    """However far back it began, and whatever the other stream says meanwhile."""
    text = event(1, 6 << 20)
    step = 64 << 10
    parts = [text[at : at + step] for at in range(0, len(text), step)]
    frame = FRAMES[name]
    lines = [frame(part, more=n < len(parts) - 1) for n, part in enumerate(parts)]
    data = frame(event(0)) + b"".join(lines)
    start = len(data) - len(lines[-1])
    found = encoder_for(data, name)(block_of(data, start, len(data)))
    (shown,) = map(record_of, found.records)
    assert len(shown.body) > 6 << 20


def test_the_rest_of_an_event_whose_beginning_is_gone_is_told() -> None:
    """It is no line of another kind: a record says that it could not be read."""
    data = cri(event(1)[70:]) + cri(b"I0102 started", b"stderr")
    found = encoder_for(data)(block_of(data, 0, len(data)))
    (one,) = map(record_of, found.records)
    assert "unparsable" in one.body
    assert list(found.dropped) == [(len(data), "not_audit")]


def test_a_file_that_changes_its_frame_is_read_line_by_line() -> None:
    """Junk before the first event, another runtime behind it, a plain line: each for itself."""
    lines = [b"rest of a torn line\n", b"\n", cri(event(1)), docker(event(2)), event(3) + b"\n"]
    lines += [b"Flag --x has been deprecated\n", b'{"log":"' + event(4)[:40] + b"\n"]
    data = b"".join(lines)
    found = encoder_for(data)(block_of(data, 0, len(data)))
    bodies = [one.body for one in map(record_of, found.records)]
    assert [json.loads(body) for body in bodies[:3]] == [json.loads(event(n)) for n in (1, 2, 3)]
    assert len(found.dropped) == 2 + (len(bodies) == 3)
    assert found.lines == len(lines)


@pytest.mark.parametrize("name", ["auto", "azure"])
def test_each_event_of_a_line_has_a_uid_of_its_own(name: str) -> None:
    """Its place is where its record lies in the line; all end with the line."""
    records = [{"category": "kube-audit", "properties": {"log": event(n).decode()}} for n in (1, 2)]
    data = json.dumps({"records": records}).encode() + b"\n"
    found = encoder_for(data, name)(block_of(data, 0, len(data)))
    places = [data.index(b'{"category"'), data.rindex(b'{"category"')]
    assert list(found.records) == plain(event(1), places[0]) + plain(event(2), places[1])
    assert list(found.ends) == [len(data)] * 2


def test_a_line_of_the_legacy_format_is_an_event_in_a_frame_too() -> None:
    line = (
        b'2026-01-02T03:04:05.678901234Z AUDIT: id="a1" stage="ResponseComplete" ip="127.0.0.1" '
        b'method="get" user="admin" groups="<none>" as="<self>" asgroups="<lookup>" '
        b'namespace="default" uri="/api/v1/pods" response="200"'
    )
    framed = TIME + b" stdout F "
    data = framed + line + b"\n" + framed + b"I0102 03:04:05.678901 1 server.go:1] hello\n"
    (record,) = encoder_for(data)(block_of(data, 0, len(data))).records
    (alone,) = encoder_for(line)(block_of(line + b"\n", 0, len(line) + 1)).records
    assert record_of(record).body == record_of(alone).body
    assert '"auditID":"a1"' in record_of(record).body


def test_an_event_that_began_in_a_file_that_is_gone_lies_where_it_goes_on() -> None:
    """A place in that file would be another event's in this one."""
    before = cri(event(0)) + cri(event(1)[:30], more=True)
    rest = cri(event(1)[30:])
    encode = UnwrappingEncoder(Encoder().encode_block, "cri", lambda *_: b"")
    encode(block_of(before, 0, len(before)))
    found = encode(Block(Span(2, 0, len(rest)), "0123456789abcdef", "audit.log", rest, 2))
    assert [record_of(one) for one in found.records] == [record_of(plain(event(1), 0)[0])]


@pytest.mark.parametrize(("text", "there"), [(b'{"ki', 4), (b"I1128 12:00", 0)])
def test_what_an_event_has_begun_with_is_counted(text: bytes, there: int) -> None:
    """However little of it is there; of another line nothing stays behind."""
    line = b"2026-01-02T03:04:05.000000000Z stdout P " + text + b"\n"
    encode = UnwrappingEncoder(Encoder().encode_block, "cri", lambda _seq, end, _most: line[:end])
    assert encode.begun_before(1, len(line)) == there
