"""CloudWatch Logs as moto serves it."""

import json
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from k8s_audit_otlp.config.sources import CloudWatch
from k8s_audit_otlp.receiver.spool.segment_files import SpoolLimits
from k8s_audit_otlp.receiver.spool.spool import Spool

pytest.importorskip("boto3")
server = pytest.importorskip("moto.server")

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


def options_of(group: str, url: str, poll: str, **keys: str) -> CloudWatch:
    region = {"region": "eu-west-1", "endpoint_url": url}
    return CloudWatch.model_validate({"log_group": group, "poll_interval": poll, **region, **keys})


def put(
    client: Any, stream: str, messages: list[str], group: str = GROUP, *, days_ago: float = 0.0
) -> None:
    now = round((time.time() - days_ago * 86_400) * 1000)
    client.put_log_events(
        logGroupName=group,
        logStreamName=stream,
        logEvents=[{"timestamp": now, "message": each} for each in messages],
    )


def ids(spool: Spool) -> list[str]:
    return sorted(json.loads(line)["auditID"] for line in spool.path.read_bytes().splitlines())
