"""Streams are read from their positions; what is on disk comes first. The service is moto's."""

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.receiver.spool.segment_files import SpoolLimits
from k8s_audit_otlp.receiver.spool.spool import Spool

boto3 = pytest.importorskip("boto3")
server = pytest.importorskip("moto.server")

from k8s_audit_otlp.receiver.sources.cloudwatch import (  # noqa: E402
    CloudWatchOptions,
    CloudWatchSource,
)

pytestmark = pytest.mark.filterwarnings("ignore")  # of the service's own making
GROUP = "/aws/eks/prod/cluster"
ROOMY = SpoolLimits(1 << 30, 1 << 20, 0)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Run the service with made-up credentials."""
    made_up = {"AWS_ACCESS_KEY_ID": "made-up", "AWS_SECRET_ACCESS_KEY": "made-up"}
    os.environ.update(made_up)
    running = server.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()
    for name in made_up:
        del os.environ[name]


def put(client: Any, stream: str, messages: list[str]) -> None:
    now = round(time.time() * 1000)
    client.put_log_events(
        logGroupName=GROUP,
        logStreamName=stream,
        logEvents=[{"timestamp": now, "message": each} for each in messages],
    )


def until(what: Callable[[], object], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it does not come true"
        time.sleep(0.02)


def test_each_stream_goes_on_where_it_was(url: str, tmp_path: Path) -> None:
    """Other streams are left, a torn event is kept, an expired token costs no event."""
    client = boto3.client("logs", region_name="eu-west-1", endpoint_url=url)
    client.create_log_group(logGroupName=GROUP)
    for stream in ("kube-apiserver-audit-1", "kube-apiserver-audit-2", "kube-apiserver-1"):
        client.create_log_stream(logGroupName=GROUP, logStreamName=stream)
    event = '{"kind":"Event","auditID":"id-%d"}'
    put(client, "kube-apiserver-audit-1", [event % n for n in range(30)] + ["text"])
    put(client, "kube-apiserver-audit-2", [event % 100, '{"kind":"Event","auditID":"torn'])
    put(client, "kube-apiserver-1", [event % 999])
    spool = Spool(tmp_path, ROOMY)
    spool.open()
    options = CloudWatchOptions(GROUP, region="eu-west-1", endpoint_url=url, poll_s=0.05)

    def run_until(written: int) -> None:
        source = CloudWatchSource("aws_cloudwatch", options, spool)
        source.start()
        until(lambda: spool.written == written)
        source.stop()

    run_until(32)
    put(client, "kube-apiserver-audit-2", [event % 101])
    run_until(33)
    assert spool.repeated == 0
    positions = tmp_path / "streams.json"
    known = json.loads(positions.read_text())
    known["kube-apiserver-audit-2"] |= {"token": "f/expired"}
    positions.write_text(json.dumps(known))
    put(client, "kube-apiserver-audit-2", [event % 102])
    run_until(34)
    held = spool.path.read_text()
    assert "id-999" not in held
    assert held.splitlines().count('{"kind":"Event","auditID":"torn') == 1
