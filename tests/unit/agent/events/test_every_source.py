"""One log by every way that events come: each event arrives with equal attributes and body.

One agent reads it as a file, in the frames of files with pieces as long as they are in life, and
takes it by webhook, from a broker and from CloudWatch. Among its lines are awkward ones.
"""

import base64
import gzip
import http.client
import json
import operator
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import yaml

from k8s_audit_otlp.config.load import load_text
from k8s_audit_otlp.event import json_scan
from k8s_audit_otlp.event.lenient_json import is_json
from tests.kit.agent import events_of, running
from tests.kit.backends.backend import Backend
from tests.kit.backends.kafka import mock_brokers
from tests.kit.backends.received import Record

boto3 = pytest.importorskip("boto3")
kafka = pytest.importorskip("confluent_kafka")
moto = pytest.importorskip("moto.server")

pytestmark = pytest.mark.filterwarnings("ignore")  # of moto's own making
# moto keeps what is made for as long as the process lives, whichever test made it.
GROUP, STREAM = "/aws/eks/every-way/cluster", "kube-apiserver-audit-1"
TIME = "2026-01-02T03:04:05.678901234Z"
OF_CONTAINERS = 16 << 10  # bytes of a piece, in containerd and docker
OF_AZURE = 32 << 10
PLACES = ("log.record.uid", "log.file.name", "log.file.path", "log.file.record_offset")
HEAD = '{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse"'


def event(audit_id: str, more: str) -> str:
    times = '"requestReceivedTimestamp":"2026-01-02T03:04:05.000000Z"'
    who = '"stage":"ResponseComplete","verb":"create","requestURI":"/api?a=b\\u0026c=d"'
    return f'{HEAD},"auditID":"{audit_id}",{who},{more},{times},"stageTimestamp":"{STAMP}"}}'


STAMP = "2026-01-02T03:04:05.000001Z"
OBJECT = '"objectRef":{"resource":"configmaps","namespace":"a","name":"b"}'
AWKWARD = [
    event("non-ascii", '"user":{"username":"jürgen-王-🦊\u2028x"},' + OBJECT),
    event("escapes", r'"user":{"username":"a\"b\\c\/\b\f\n\r\t\u003cx\u003e\u0000"},' + OBJECT),
    event("half a character", r'"user":{"username":"u"},"userAgent":"\ud83d x \udc00"'),
    event("nobody", '"user":{},"responseStatus":{"metadata":{},"code":401}'),
    event("no object", '"user":null,"sourceIPs":null,"annotations":null'),
    event("frames", r'"user":{"username":"x stdout P y"},"userAgent":"{\"log\":\"{}\\n\"}"'),
    event("within", r'"userAgent":"{\"kind\":\"Event\",\"auditID\":\"none\"}"'),
    event("braces", '"userAgent":"}}]]{{[[","requestObject":{"a":"]}","b":["{"]}'),
    event("numbers", '"responseObject":{"a":1e400,"b":-0.0,"c":12345678901234567890}'),
    event("blanks", '"requestObject":{ "a" : [ 1 , 2 ] ,\t"b":" "}'),
    event("deep", '"requestObject":' + '{"a":[' * 1_500 + "1" + "]}" * 1_500),
    event("long", r'"requestObject":{"kind":"Widget","spec":"' + r"é\n\"x" * 20_000 + '"}'),
    event("longest", '"responseObject":{"kind":"Widget","spec":"' + "y" * 900_000 + '"}'),
]


def pieces(text: str, size: int) -> list[str]:
    """Part a text as a runtime does, but within no character: JSON could not say it."""
    data, found, at = text.encode(), [], 0
    while at < len(data):
        end = at + size
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        found.append(data[at:end].decode())
        at = end
    return found


def cri(text: str) -> Iterator[str]:
    *begun, last = pieces(text, OF_CONTAINERS)
    yield from (f"{TIME} stdout P {one}" for one in begun)
    yield f"{TIME} stdout F {last}"


def docker(text: str) -> Iterator[str]:
    for one in pieces(text + "\n", OF_CONTAINERS):
        yield json.dumps({"log": one, "stream": "stdout", "time": TIME})


def azure(text: str) -> Iterator[str]:
    for one in pieces(text, OF_AZURE):
        log = {"log": one, "stream": "stdout", "pod": "kube-apiserver-1", "containerID": "c"}
        record = {"time": TIME, "category": "kube-audit", "properties": log}
        yield json.dumps({"records": [record]})


def subscription(text: str) -> str:
    found = {"id": "1", "timestamp": 1, "message": text}
    return json.dumps({"messageType": "DATA_MESSAGE", "logGroup": GROUP, "logEvents": [found]})


def firehose(text: str) -> str:
    data = base64.b64encode(gzip.compress(subscription(text).encode())).decode()
    return json.dumps({"records": [{"data": data}]})


FRAMES: dict[str, Callable[[str], Sequence[str] | Iterator[str]]] = {
    "file": lambda text: [text],
    "crlf": lambda text: [text + "\r"],
    "cri": cri,
    "docker": docker,
    "journald": lambda text: [json.dumps({"MESSAGE": text, "_PID": "1"})],
    "azure": azure,
    "cloudwatch": lambda text: [json.dumps({"message": text})],
    "subscription": lambda text: [subscription(text)],
    "firehose": lambda text: [firehose(text)],
    "rancher": lambda text: ['{"auditLog":' + text + "}"],
}


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run a CloudWatch."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "made-up")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")
    server = moto.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def into_cloud(url: str, texts: Sequence[str]) -> None:
    client = boto3.client("logs", region_name="eu-west-1", endpoint_url=url)
    client.create_log_group(logGroupName=GROUP)
    client.create_log_stream(logGroupName=GROUP, logStreamName=STREAM)
    now = round(time.time() * 1000)
    for number, text in enumerate(texts):
        one = {"timestamp": now + number, "message": text}
        client.put_log_events(logGroupName=GROUP, logStreamName=STREAM, logEvents=[one])


def into_broker(address: str, frames: Sequence[str], topic: str) -> None:
    producer = kafka.Producer({"bootstrap.servers": address, "message.max.bytes": 4 << 20})
    for one in frames:
        producer.produce(topic, one.encode(), b"one key")
    assert producer.flush(60) == 0


def into_webhook(address: str, texts: Sequence[str]) -> None:
    """Post a list as an apiserver does: its items have no kind of their own."""
    head = '{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":['
    items = (
        "{" + text.removeprefix('{"kind":"Event","apiVersion":"audit.k8s.io/v1",') for text in texts
    )
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    connection.request("POST", "/audit", (head + ",".join(items) + "]}").encode())
    assert connection.getresponse().status == 200
    connection.close()


def once(backend: Backend) -> dict[tuple[str, str], Record]:
    """Return the events by their way and uid: a request may be repeated on a busy machine."""
    return {(record.resource["by"], record.uid): record for record in events_of(backend)}


def shown(record: Record) -> tuple[object, ...]:
    attributes = {key: one for key, one in record.attributes.items() if key not in PLACES}
    return (record.body, attributes, record.time_ns, record.severity_number, record.event_name)


@pytest.mark.timeout(300)  # seconds; a busy machine takes long
def test_one_log_by_every_way(
    tmp_path: Path, backend: Backend, cloud: str, wait_for: Callable[..., None]
) -> None:
    """Each event once, whatever it was cut into on its way."""
    golden = Path("tests/golden/events.log").read_text("utf-8").splitlines()
    texts = [t for t in golden if t.startswith(HEAD[:50]) and is_json(t.encode())]
    texts += AWKWARD
    assert all(map(json_scan.whole, map(str.encode, texts)))
    into_cloud(cloud, texts)
    files = {}
    for name, frame in FRAMES.items():
        files[name] = {"include": [str(tmp_path / name)], "resource": {"by": name}}
        lines = "".join(one + "\n" for text in texts for one in frame(text))
        (tmp_path / name).write_bytes(lines.encode())
    with mock_brokers("audit") as broker:
        into_broker(broker, texts, "audit")
        reads = {"brokers": [broker], "topics": ["audit"]}
        aws = {
            "log_group": GROUP,
            "region": "eu-west-1",
            "endpoint_url": cloud,
            "poll_interval": "100ms",
        }
        tree = {
            "receivers": {
                **{f"k8s_audit/{name}": keys for name, keys in files.items()},
                "k8s_audit_webhook": {"endpoint": "127.0.0.1:0", "resource": {"by": "webhook"}},
                "kafka": {**reads, "resource": {"by": "kafka"}},
                "aws_cloudwatch": {**aws, "resource": {"by": "aws"}},
            },
            "exporters": {"otlp_http": {"endpoint": backend.url}},
            "service": {"state_dir": str(tmp_path / "state")},
        }
        config = load_text(yaml.safe_dump(tree, allow_unicode=True), "test", {}).config
        ways = [*FRAMES, "webhook", "kafka", "aws"]
        with running(config) as agent:
            into_webhook(agent.sources.addresses["k8s_audit_webhook"], texts)
            wait_for(lambda: len(once(backend)) >= len(texts) * len(ways), 240)
    found: dict[str, list[tuple[object, ...]]] = {way: [] for way in ways}
    for record in once(backend).values():
        found[record.resource["by"]].append(shown(record))
    for way in ways:  # requests may overtake each other
        assert len(found[way]) == len(texts), way
        assert all(map(operator.eq, sorted(found[way], key=str), sorted(found["file"], key=str))), (
            way
        )
