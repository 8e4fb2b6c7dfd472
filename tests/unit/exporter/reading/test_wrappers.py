"""One log in every frame that is known arrives with equal attributes and bodies.

Generated events go as a plain log, in each frame through a file, and as a message of a broker.
"""

import base64
import gzip
import json
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ScopeLogs

from k8s_audit_otlp.event.processor import EventProcessor
from k8s_audit_otlp.event.redact import Redactor
from k8s_audit_otlp.exporter.wrapped_lines import UnwrappingEncoder
from k8s_audit_otlp.model import Block, Span
from k8s_audit_otlp.otlp.encode import Encoder
from k8s_audit_otlp.receiver.sources.partition import lines_in
from tests.kit.strategies import events

TIME = "2026-01-02T03:04:05.678901234"
PIECE = 90  # characters; 16 KiB where it is real

PLACES = ("log.record.uid", "log.file.record_offset")

Frame = Callable[[Sequence[str]], Sequence[Any]]


def lines(found: Sequence[Any]) -> bytes:
    """Write each a line: a text as it stands, anything else as JSON."""
    return "".join((o if isinstance(o, str) else json.dumps(o)) + "\n" for o in found).encode()


def pieces(text: str) -> list[str]:
    return [text[at : at + PIECE] for at in range(0, len(text), PIECE)]


def cri(text: str, zone: str = "Z") -> list[str]:
    *begun, last = pieces(text)
    return [f"{TIME}{zone} stdout P {one}" for one in begun] + [f"{TIME}{zone} stdout F {last}"]


def docker(text: str) -> list[dict[str, str]]:
    return [{"log": one, "stream": "stdout", "time": TIME + "Z"} for one in pieces(text + "\n")]


def azure(text: str) -> dict[str, Any]:
    log = {"log": text, "stream": "stdout", "pod": "kube-apiserver-1", "containerID": "c"}
    return {"time": TIME, "category": "kube-audit", "properties": log}


def subscription(texts: Sequence[str]) -> dict[str, Any]:
    found = [{"id": str(n), "timestamp": n, "message": text} for n, text in enumerate(texts)]
    return {"messageType": "DATA_MESSAGE", "logGroup": "g", "logEvents": found}


def packed(*members: bytes) -> dict[str, str]:
    return {"data": base64.b64encode(b"".join(map(gzip.compress, members))).decode()}


def each(frame: Callable[[str], Any]) -> Frame:
    return lambda texts: [frame(text) for text in texts]


FRAMES: dict[str, Frame] = {
    "cri": lambda texts: [one for text in texts for one in cri(text)],
    "cri of another zone": lambda texts: [one for text in texts for one in cri(text, "+02:00")],
    "cri beside klog": lambda texts: [
        one for t in texts for one in (*cri(t), f"{TIME}Z stderr F I0102 03:04:05 {{x")
    ],
    "docker": lambda texts: [one for text in texts for one in docker(text)],
    "fluent bit, no end of line": each(lambda t: {"log": t, "stream": "stdout", "date": 1.5}),
    "fluent bit, merged": each(
        lambda t: {"stream": "stdout", "log": t, **json.loads(t), "kubernetes": {"pod_name": "p"}}
    ),
    "fluentd, a tag before it": each(lambda t: f"{TIME}Z\tkube.audit\t{json.dumps({'log': t})}"),
    "filebeat": each(
        lambda t: {"log": {"offset": 1, "file": {"path": "/a"}}, "message": t, "stream": "stdout"}
    ),
    "journald": each(lambda t: {"MESSAGE": t, "_PID": "1"}),
    "journald, bytes": each(lambda t: {"MESSAGE": list(t.encode())}),
    "journald, json-seq": each(lambda t: "\x1e" + json.dumps({"MESSAGE": t})),
    "cloudwatch": each(lambda t: {"message": t}),
    "cloudwatch, exported": each(lambda t: f"{TIME[:23]}Z {t}"),
    "cloudwatch, tailed": each(lambda t: f"{TIME} kube-apiserver-audit-1 {t}"),
    "a subscription": lambda texts: [subscription(texts)],
    "subscriptions in one line": lambda texts: [
        "".join(json.dumps(subscription([text])) for text in texts)
    ],
    "a function": lambda texts: [{"awslogs": packed(json.dumps(subscription(texts)).encode())}],
    "firehose": lambda texts: [{"records": [packed(lines([subscription([t])])) for t in texts]}],
    "firehose, one behind the other": lambda texts: [
        {"records": [packed("".join(json.dumps(subscription([t])) for t in texts).encode())]}
    ],
    "kinesis, many members": lambda texts: [
        {"Records": [{"kinesis": packed(*(lines([subscription([t])]) for t in texts))}]}
    ],
    "azure": lambda texts: [{"records": [azure(text) for text in texts]}],
    "azure, torn": lambda texts: [{"records": [azure(p)]} for t in texts for p in pieces(t)],
    "azure, batches in one line": lambda texts: [
        "".join(json.dumps({"records": [azure(text)]}) for text in texts)
    ],
    "azure, other categories": lambda texts: [
        {"records": [azure(t), {"category": "guard", "properties": {"log": "x"}}]} for t in texts
    ],
    "rancher": each(lambda t: '{"auditLog":' + t + "}"),
    "pub/sub": each(lambda t: {"message": packed(t.encode()), "subscription": "s"}),
    "oc adm node-logs": each(lambda t: f"master-0.example.com {t}"),
    "kubectl logs --prefix": each(lambda t: f"[pod/kube-apiserver-a/kube-apiserver] {t}"),
    "syslog": each(lambda t: f'<13>1 {TIME}Z host k3s 12 - [a b="c"] {t}'),
    "k3s": lambda texts: [
        one
        for text in texts
        for one in ("I0102 03:04:05.678901 12 server.go:12] hi", text, 'time="2026" msg="x"')
    ],
    "a member": each(lambda t: {"labels": {"a": "b"}, "line": t}),
    "an answer of Logs Insights": lambda texts: [
        {"results": [[{"field": "@ptr", "value": "p"}, {"value": t}] for t in texts]}
    ],
    "hits of a search": lambda texts: [
        {"took": 1, "hits": {"hits": [{"_id": "1", "_source": {"message": t}} for t in texts]}}
    ],
    "a push to Loki": lambda texts: [
        {"streams": [{"stream": {}, "values": [["1", f"{TIME}Z stdout F {t}"] for t in texts]}]}
    ],
    "an answer of Loki": lambda texts: [
        {"data": {"result": [{"stream": {}, "values": [["1", t]]} for t in texts]}}
    ],
    "a collector of CRI without a parser": each(lambda t: {"log": f"{TIME}Z stdout F {t}"}),
    "docker in CloudWatch": each(
        lambda t: {"message": json.dumps({"log": t + "\n", "stream": "stdout"})}
    ),
    "kafka connect": each(lambda t: {"schema": {"type": "string"}, "payload": t}),
    "a text of JSON": each(json.dumps),
    "an object": each(lambda t: '{"insertId":"a","jsonPayload":' + t + "}"),
}  # fmt: skip


def encoded(data: bytes) -> list[LogRecord]:
    """Return the records of a log as an exporter sends them."""
    processor = EventProcessor(None, Redactor())
    encoder = Encoder(transform=processor, clean=processor.clean_parts())
    unwrapping = UnwrappingEncoder(encoder.encode_block, "auto", lambda *_: b"")
    block = Block(Span(1, 0, len(data)), "0123456789abcdef", "audit.log", data, 1)
    found = unwrapping(block).records
    return [ScopeLogs.FromString(record).log_records[0] for record in found]


def without_place(record: LogRecord) -> bytes:
    """Leave out what tells where a record lay."""
    shown = LogRecord.FromString(record.SerializeToString())
    del shown.attributes[:]
    kept = [one for one in record.attributes if one.key not in PLACES]
    shown.attributes.extend(sorted(kept, key=lambda one: one.key))
    return bytes(shown.SerializeToString(deterministic=True))


def uid_of(record: LogRecord) -> str:
    (uid,) = (one.value.string_value for one in record.attributes if one.key == PLACES[0])
    return str(uid)


@settings(max_examples=8, phases=[Phase.explicit, Phase.generate])  # to shrink takes minutes
@given(
    found=st.lists(events, min_size=1, max_size=3, unique_by=lambda event: str(event["auditID"]))
)
def test_whatever_frames_a_log_it_arrives_the_same(found: list[dict[str, Any]]) -> None:
    """Each event once, in order, with a uid of its own."""
    texts = [json.dumps({"kind": "Event", **event}, ensure_ascii=False) for event in found]
    plain = lines(texts)
    expected = list(map(without_place, encoded(plain)))
    for name, frame in FRAMES.items():
        framed = lines(frame(texts))
        records = encoded(framed)
        assert list(map(without_place, records)) == expected, name
        assert len(set(map(uid_of, records))) == len(texts), name
        assert lines_in(framed)[0] == plain.splitlines(keepends=True), name
