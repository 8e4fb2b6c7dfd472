"""The same events by every way in: equal bodies, attributes, times and severities at the back end.

Whole agents; the webhook is posted to, the broker is librdkafka's mock, CloudWatch is moto's.
"""

import base64
import gzip
import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.agent.agent import Agent
from k8s_audit_otlp.config.load import load_text
from tests.kit.agent import events_of
from tests.kit.agent import running as running_agent
from tests.kit.backends.backend import Backend
from tests.kit.log.events import EventSource

GOLDEN = Path(__file__).parents[3] / "golden" / "events.log"
HEAD = b'{"kind":"Event","apiVersion":"audit.k8s.io/v1",'
TIME = "2026-01-02T03:04:05.678901234Z"
# where an event lay says which way it came
OF_THE_WAY = {"log.record.uid", "log.file.name", "log.file.record_offset", "log.file.path"}
COMMON = "retry_on_failure: {initial_interval: 20ms, max_interval: 100ms}"


def plain_events() -> list[bytes]:
    """Return events of every shape, each as a line of the apiserver."""
    lines = [line for line in GOLDEN.read_bytes().splitlines() if line.startswith(HEAD)]
    whole = [line for line in lines if line.count(b'{"kind":"Event"') == 1]
    source = EventSource(7)
    return whole + [source.event()[1] for _ in range(200)]


EVENTS = plain_events()


def texts(frame: Callable[[str], object]) -> bytes:
    lines = (json.dumps(frame(event.decode()), ensure_ascii=False) for event in EVENTS)
    return "".join(line + "\n" for line in lines).encode()


def cri() -> bytes:
    """Return the lines that kubelet writes, in pieces, with others between."""
    found = []
    for event in EVENTS:
        text, cut = event.decode(), len(event) // 3
        while len(text) > cut:
            found.append(f"{TIME} stdout P {text[:cut]}\n")
            text = text[cut:]
        found.append(f"{TIME} stderr F I0102 03:04:05 started\n{TIME} stdout F {text}\n")
    return "".join(found).encode()


def zipped(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode())).decode()


def halves(text: str) -> tuple[str, str]:
    return text[: len(text) // 2], text[len(text) // 2 :]


def many(frame: Callable[[list[bytes]], object]) -> bytes:
    """Return frames of seven events each."""
    parts = (EVENTS[n : n + 7] for n in range(0, len(EVENTS), 7))
    return b"".join(json.dumps(frame(part)).encode() + b"\n" for part in parts)


def docker_in_pieces() -> bytes:
    """Return the lines that docker writes of long ones: only the last piece ends its line."""
    found = []
    for event in EVENTS:
        begin, end = halves(event.decode())
        for log in (begin, end + "\n"):
            found += [json.dumps({"log": log, "stream": "stdout", "time": TIME}), "\n"]
    return "".join(found).encode()


FILES: dict[str, Callable[[], bytes]] = {
    "file": lambda: b"".join(event + b"\n" for event in EVENTS),
    "cri": cri,
    "docker": lambda: texts(lambda e: {"log": e + "\n", "stream": "stdout", "time": TIME}),
    "journald": lambda: texts(lambda e: {"MESSAGE": e, "_PID": "1"}),
    "cloudwatch": lambda: texts(lambda e: {"message": e, "timestamp": 1}),
    "azure": lambda: texts(
        lambda e: {"records": [{"category": "kube-audit", "properties": {"log": e}}]}
    ),
    "firehose": lambda: texts(
        lambda e: {"records": [{"data": zipped(json.dumps({"message": e}))}]}
    ),
    "rancher": lambda: texts(lambda e: {"auditLog": e}),
    "journald, no text": lambda: texts(lambda e: {"MESSAGE": list(e.encode()), "_PID": "1"}),
    "docker, in pieces": docker_in_pieces,
    "cloudwatch, a subscription": lambda: many(
        lambda some: {
            "messageType": "DATA_MESSAGE",
            "logGroup": "/aws/eks/x/cluster",
            "logEvents": [{"id": "1", "timestamp": 1, "message": e.decode()} for e in some],
        }
    ),
    "cloudwatch, an export": lambda: b"".join(
        b"2026-01-02T03:04:05.678Z %b\n" % event for event in EVENTS
    ),
    "cloudwatch, a query": lambda: texts(lambda e: {"@timestamp": "x", "@message": e}),
    "azure, texts": lambda: texts(
        lambda e: {"category": "kube-audit", "properties": json.dumps({"log": e})}
    ),
    "azure, torn": lambda: many(
        lambda some: {
            "records": [
                {"category": "kube-audit", "properties": {"log": piece}}
                for e in some
                for piece in halves(e.decode())
            ]
        }
    ),
    "kinesis": lambda: many(
        lambda some: {
            "Records": [
                {"kinesis": {"data": zipped(b"\n".join(some).decode()), "partitionKey": "1"}}
            ]
        }
    ),
    "firehose, a subscription": lambda: many(
        lambda some: {
            "requestId": "1",
            "records": [
                {
                    "data": zipped(
                        json.dumps(
                            {
                                "messageType": "DATA_MESSAGE",
                                "logEvents": [{"message": e.decode()} for e in some],
                            }
                        )
                    )
                }
            ],
        }
    ),
}


@contextmanager
def running(folder: Path, backend: Backend, receivers: str) -> Iterator[Agent]:
    text = f"""
receivers: {{{receivers}}}
exporters: {{otlp_http: {{endpoint: {backend.url}, {COMMON}}}}}
service: {{state_dir: {folder / "state"}, shutdown_timeout: 2s}}
"""
    with running_agent(load_text(text, "test", {}).config, join_s=30) as agent:
        yield agent


def until_all_are_there(backend: Backend) -> None:
    end = time.monotonic() + 60
    while len(events_of(backend)) < len(EVENTS) and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(0.2)  # more would be too many


def said(backend: Backend) -> list[tuple[Any, ...]]:
    """Return what is the same by every way, in the order of the ids."""
    return sorted(
        (
            one.body,
            json.dumps({k: v for k, v in one.attributes.items() if k not in OF_THE_WAY}),
            one.time_ns,
            one.severity_number,
            one.severity_text,
            one.event_name,
        )
        for one in events_of(backend)
    )


def from_file(folder: Path, backend: Backend, data: bytes) -> list[tuple[Any, ...]]:
    log = folder / "audit.log"
    log.write_bytes(data)
    with running(folder, backend, f"k8s_audit: {{include: [{log}]}}"):
        until_all_are_there(backend)
    return said(backend)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, ...]]:
    """Return what arrives of the apiserver's own file."""
    folder = tmp_path_factory.mktemp("expected")
    with Backend() as backend:
        found = from_file(folder, backend, FILES["file"]())
    assert len(found) == len(EVENTS)
    return found


@pytest.mark.parametrize("frame", [name for name in FILES if name != "file"])
def test_a_framed_file_arrives_as_the_apiservers_own(
    tmp_path: Path, backend: Backend, expected: list[tuple[Any, ...]], frame: str
) -> None:
    """Found by `format: auto`; the frame leaves no trace."""
    assert from_file(tmp_path, backend, FILES[frame]()) == expected


def test_the_webhook_arrives_as_the_file(
    tmp_path: Path, backend: Backend, expected: list[tuple[Any, ...]]
) -> None:
    """Its items have no kind; the record's body does, as in the file."""
    items = [b"{" + event.removeprefix(HEAD) for event in EVENTS]
    listed = b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[%b]}'
    receiver = 'k8s_audit_webhook: {endpoint: "127.0.0.1:0", spool: {min_free_disk: 1B}}'
    with running(tmp_path, backend, receiver) as agent:
        address = agent.sources.addresses["k8s_audit_webhook"]
        connection = http.client.HTTPConnection(address, timeout=20)
        for start in range(0, len(items), 100):
            connection.request("POST", "/audit", listed % b",".join(items[start : start + 100]))
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200
        connection.close()
        until_all_are_there(backend)
    assert said(backend) == expected


def test_kafka_arrives_as_the_file(
    tmp_path: Path, backend: Backend, expected: list[tuple[Any, ...]]
) -> None:
    """Events, lists and Azure's records in one topic."""
    kafka = pytest.importorskip("confluent_kafka")
    host = kafka.Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1})
    (broker,) = host.list_topics("audit", timeout=20).brokers.values()
    third = len(EVENTS) // 3
    for event in EVENTS[:third]:
        host.produce("audit", event)
    host.produce("audit", b"[" + b",".join(EVENTS[third : 2 * third]) + b"]")
    for event in EVENTS[2 * third :]:
        record = {"category": "kube-audit", "properties": {"log": event.decode()}}
        host.produce("audit", json.dumps({"records": [record]}, ensure_ascii=False))
    host.flush(20)
    receiver = (
        f'kafka: {{brokers: ["{broker.host}:{broker.port}"], topics: [audit], '
        "session_timeout: 6s, spool: {min_free_disk: 1B}}"
    )
    with running(tmp_path, backend, receiver):
        until_all_are_there(backend)
    assert said(backend) == expected


@pytest.mark.filterwarnings("ignore")  # of the service's own making
def test_cloudwatch_arrives_as_the_file(
    tmp_path: Path,
    backend: Backend,
    expected: list[tuple[Any, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One stream of the group of an EKS cluster."""
    boto3 = pytest.importorskip("boto3")
    moto = pytest.importorskip("moto.server")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "made-up")
    service = moto.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    service.start()
    host, port = service.get_host_and_port()
    url = f"http://{host}:{port}"
    place = {"logGroupName": "/aws/eks/paths/cluster", "logStreamName": "kube-apiserver-audit-1"}
    client = boto3.client("logs", region_name="eu-west-1", endpoint_url=url)
    client.create_log_group(logGroupName=place["logGroupName"])
    client.create_log_stream(**place)
    now = round(time.time() * 1000)
    messages = [{"timestamp": now, "message": event.decode()} for event in EVENTS]
    client.put_log_events(**place, logEvents=messages)
    receiver = (
        f"aws_cloudwatch: {{log_group: {place['logGroupName']}, region: eu-west-1, "
        f"endpoint_url: '{url}', poll_interval: 100ms, spool: {{min_free_disk: 1B}}}}"
    )
    try:
        with running(tmp_path, backend, receiver):
            until_all_are_there(backend)
    finally:
        service.stop()
    assert said(backend) == expected
