"""What a service hands over becomes lines, whatever has framed it."""

import base64
import gzip
import json

import pytest

from k8s_audit_otlp.receiver.sources.partition import lines_in

ITEM = b'{"level":"Metadata","auditID":"a","stage":"Panic"}'
AZURE = b'{"records":[{"category":"kube-audit","properties":{"log":%b}}]}'


@pytest.mark.parametrize(
    "message",
    [
        AZURE % json.dumps('me":"x"},"stageTimestamp":"2026-01-02T03:04:05Z"}').encode(),
        (AZURE % json.dumps(ITEM.decode()).encode())[:-20],
        b"[" + ITEM + b',{"auditID"',
        ITEM[10:],
        b"\n" + ITEM[:-3] + b"\n",
    ],
)
def test_what_is_left_of_a_torn_event_is_a_line(message: bytes) -> None:
    """Its record says that it could not be read; to count it as another line would hide it."""
    lines, left_out = lines_in(message)
    assert (len(lines), left_out) == (1, 0)
    assert lines[0].count(b"\n") == 1
    assert lines_in(b"I0102 03:04:05 started") == ([], 1)


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("form", ["object", "array", "lines"])
def test_the_records_of_azure_come_in_any_shape(form: str, indent: int | None) -> None:
    """An object with `records`, a bare array, an object a line; over one line or many."""
    records = [
        {"category": "kube-audit", "properties": {"log": ITEM.decode(), "pod": "p"}},
        {"category": "guard", "properties": {"log": "I0102 started"}},
        {"category": "kube-audit-admin", "properties": {"log": json.loads(ITEM)}},
    ]
    if form == "lines":
        message = "\n".join(map(json.dumps, records)).encode()
    else:
        whole = {"records": records} if form == "object" else records
        message = json.dumps(whole, indent=indent).encode()
    lines, left_out = lines_in(message)
    assert [json.loads(line)["auditID"] for line in lines] == ["a", "a"]
    assert left_out == 1


@pytest.mark.parametrize("value", [rb'"\ud83d"', b'"\xff"', b"[" * 2_000 + b"]" * 2_000])
def test_what_a_client_wrote_hides_no_event_beside_it(value: bytes) -> None:
    """A patch is the client's own bytes, and some of them no fast decoder reads."""
    own = b'{"kind":"Event","auditID":"a","requestObject":%b}\n' % value
    other = b'{"kind":"Event","auditID":"b"}\n'
    assert lines_in(own + other)[0] == [own, other]
    both = own.strip() + b"," + other.strip()
    assert lines_in(b"[" + both + b"]")[0] == [own, other]
    for frame in (
        b'{"auditLog":%b}',
        b'{"records":[{"category":"kube-audit","properties":{"log":%b}}]}',
    ):
        assert lines_in(frame % own.strip() + b"\n" + frame % other.strip())[0] == [own, other]


def test_pieces_within_a_message_are_put_together() -> None:
    """Those of two apiservers may be mixed; what has no end is a line that says so."""
    pieces = [("p", ITEM[:20]), ("q", ITEM[:30]), ("p", ITEM[20:]), ("q", ITEM[30:])]
    records = [
        {"category": "kube-audit", "properties": {"log": text.decode(), "pod": pod}}
        for pod, text in [*pieces, ("p", ITEM[:40])]
    ]
    lines, left_out = lines_in(json.dumps({"records": records}).encode())
    assert [line.count(b"Panic") for line in lines] == [1, 1, 0]
    assert left_out == 0


GKE = {"insertId": "a", "protoPayload": {"methodName": "io.k8s.core.v1.pods.create"}}
IN_BASE64 = base64.b64encode(json.dumps(GKE).encode()).decode()


@pytest.mark.parametrize(
    "value",
    [
        GKE,
        IN_BASE64,
        json.dumps(GKE),
        {"message": IN_BASE64, "logging.googleapis.com/timestamp": "2026-01-02T03:04:05Z"},
        {"schema": {"type": "struct"}, "payload": {"message": IN_BASE64}},
        {"schema": {"type": "bytes", "optional": False}, "payload": IN_BASE64},
        {"schema": {"type": "string", "optional": False}, "payload": json.dumps(GKE)},
    ],
)
def test_what_kafka_connect_writes_is_read_with_each_converter(value: object) -> None:
    """Seen of Google's connector for Pub/Sub: its default is JSON with a schema."""
    lines, left_out = lines_in(json.dumps(value).encode())
    assert [json.loads(line)["auditID"] for line in lines] == ["a"]
    assert left_out == 0


def test_a_packed_message_is_opened() -> None:
    """As a stream of CloudWatch is written to a broker; a broken one stops nobody."""
    packed = gzip.compress(ITEM) + gzip.compress(b"\n" + ITEM)
    line = lines_in(ITEM)[0][0]
    assert lines_in(packed) == ([line, line], 0)
    assert lines_in(packed * 600) == ([line] * 1200, 0)
    assert lines_in(packed + b"\x1f\x8b\xff") == ([line, line], 1)
    assert lines_in(gzip.compress(ITEM, mtime=0)[:10] + b"\xff\xff") == ([], 1)
