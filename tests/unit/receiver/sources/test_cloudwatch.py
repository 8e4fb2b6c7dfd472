"""Streams are read from their positions; what is on disk comes first. The service is moto's."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.config.sources import CloudWatch
from k8s_audit_otlp.receiver.spool.segment_files import SpoolLimits
from k8s_audit_otlp.receiver.spool.spool import Spool
from tests.kit.spools import until
from tests.unit.receiver.sources.between import Between

boto3 = pytest.importorskip("boto3")
server = pytest.importorskip("moto.server")

from k8s_audit_otlp.receiver.sources.cloudwatch import (  # noqa: E402
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


def test_refusals_and_streams_that_come_and_go_cost_no_event(url: str, tmp_path: Path) -> None:
    """Throttled, with credentials that expire, over pages that end within a millisecond."""
    group = GROUP + "-2"
    client = boto3.client("logs", region_name="eu-west-1", endpoint_url=url)
    client.create_log_group(logGroupName=group)
    event = '{"kind":"Event","auditID":"id-%d"}'

    def put_into(number: int, ids: range) -> None:
        stream = f"kube-apiserver-audit-{number}"
        with suppress(client.exceptions.ResourceAlreadyExistsException):
            client.create_log_stream(logGroupName=group, logStreamName=stream)
        put(client, stream, [event % n for n in ids], group)

    put_into(1, range(50))
    spool = Spool(tmp_path, ROOMY)
    spool.open()
    with Between(url, page=7) as between:
        options = options_of(group, between.url, "0.1s")
        source = CloudWatchSource("aws_cloudwatch", options, spool)
        between.errors += ["ThrottlingException"] * 3 + ["ExpiredTokenException"]
        source.start()
        until(lambda: "ExpiredToken" in source.trouble or spool.written)
        until(lambda: spool.written == 50)
        assert between.answered == {"ThrottlingException": 3, "ExpiredTokenException": 1}
        put_into(2, range(50, 80))
        until(lambda: spool.written == 80)
        client.delete_log_stream(logGroupName=group, logStreamName="kube-apiserver-audit-1")
        put_into(3, range(80, 90))
        between.errors += ["ResourceNotFoundException", "InternalFailure", "AccessDeniedException"]
        until(lambda: spool.written == 90)
        until(lambda: source.lag.behind_s < 1.5)
        between.errors += ["AccessDeniedException"] * 1000
        until(lambda: source.lag.behind_s > 1.5)
        between.errors.clear()
        until(lambda: source.lag.behind_s < 1.5)
        source.stop(15.0)
        put_into(2, range(90, 120))
        again = CloudWatchSource("aws_cloudwatch", options, spool)
        again.start()
        until(lambda: spool.written == 120)
        until(lambda: again.trouble == "")
        again.stop(15.0)
    assert ids(spool) == sorted(f"id-{n}" for n in range(120))


MOST = (1 << 20) - 26  # bytes of an event, with what CloudWatch counts for each


def test_an_event_that_was_cut_keeps_who_and_what(url: str, tmp_path: Path) -> None:
    """Its bodies and times are gone; the record says who has cut it."""
    group = GROUP + "-3"
    client = boto3.client("logs", region_name="eu-west-1", endpoint_url=url)
    client.create_log_group(logGroupName=group)
    client.create_log_stream(logGroupName=group, logStreamName="kube-apiserver-audit-1")
    head = '{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"id-1","verb":"create"'
    whole = head + ',"requestObject":{"a":"b"},"stageTimestamp":"2026-01-02T03:04:05.000000Z"}'
    torn = (head + ',"requestObject":{"a":"' + "x" * MOST)[:MOST]
    put(client, "kube-apiserver-audit-1", [torn], group)
    put(client, "kube-apiserver-audit-1", [whole, head], group)
    spool = Spool(tmp_path, ROOMY)
    spool.open()
    options = options_of(group, url, "0.1s")
    source = CloudWatchSource("aws_cloudwatch", options, spool)
    source.start()
    until(lambda: spool.written == 3)
    source.stop(15.0)
    cut, other, rest = spool.path.read_bytes().splitlines()
    made = json.loads(cut)
    assert made.pop("stageTimestamp").endswith("Z")
    assert made == {
        **json.loads(head + "}"),
        "annotations": {"k8s-audit-otlp/cut-by": "CloudWatch"},
    }
    assert (other.decode(), rest.decode()) == (whole, head)
    assert source.cut == 1


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
    options = options_of(GROUP, url, "0.05s")

    def run_until(written: int) -> None:
        source = CloudWatchSource("aws_cloudwatch", options, spool)
        source.start()
        until(lambda: spool.written == written)
        source.stop(15.0)

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


def test_what_retention_deleted_unread_is_a_gap(url: str, tmp_path: Path) -> None:
    """It is told where newer events show that the stream went on, and once."""
    group, stream, quiet = GROUP + "-4", "kube-apiserver-audit-1", "kube-apiserver-audit-0"
    client = boto3.client("logs", region_name="eu-west-1", endpoint_url=url)
    client.create_log_group(logGroupName=group)
    event = '{"kind":"Event","auditID":"id-%d"}'
    for number, name in enumerate((stream, quiet)):
        client.create_log_stream(logGroupName=group, logStreamName=name)
        put(client, name, [event % number], group, days_ago=5)
    spool = Spool(tmp_path, ROOMY)
    spool.open()
    options = options_of(group, url, "0.05s", start_age="10d")

    def begun() -> CloudWatchSource:
        source = CloudWatchSource("aws_cloudwatch", options, spool)
        source.start()
        return source

    def lost_until(written: int, source: CloudWatchSource) -> list[str]:
        until(lambda: spool.written == written)
        begin = source.lag.now()
        until(lambda: source.lag.now() - source.lag.behind_s > begin)  # all was looked at again
        source.stop(15.0)
        return [lost.what for lost in source.lost]

    assert lost_until(2, begun()) == []
    client.put_retention_policy(logGroupName=group, retentionInDays=3)
    put(client, stream, [event % 2], group)
    source = begun()
    until(lambda: source.lost)
    assert spool.written == 2
    source.on_record = 1
    (told,) = lost_until(3, source)
    assert told.startswith(stream)
    assert "the log group keeps 3 days" in told
    assert lost_until(3, begun()) == []


def test_each_stream_is_read_whole_and_not_asked_when_it_is_over(url: str, tmp_path: Path) -> None:
    """One that began while the agent was away, too; an empty page is not the last."""
    group = GROUP + "-5"
    client = boto3.client("logs", region_name="eu-west-1", endpoint_url=url)
    client.create_log_group(logGroupName=group)
    event = '{"kind":"Event","auditID":"id-%d"}'

    def put_into(stream: str, number: int, days_ago: float) -> None:
        client.create_log_stream(logGroupName=group, logStreamName=stream)
        put(client, stream, [event % number], group, days_ago=days_ago)

    old, now, late = (f"kube-apiserver-audit-{n}" for n in range(3))
    put_into(old, 1, 5)
    put_into(now, 2, 0)
    spool = Spool(tmp_path, ROOMY)
    spool.open()

    def read(written: int, poll: str, between: Between) -> None:
        source = CloudWatchSource("aws_cloudwatch", options_of(group, between.url, poll), spool)
        source.start()
        until(lambda: spool.written == written)
        source.stop(15.0)

    with Between(url, page=7) as between:
        read(1, "10m", between)  # the older one is older than start_age
        put_into(late, 3, 2.5)
        read(2, "10m", between)
        assert ids(spool) == ["id-2", "id-3"]
        put(client, now, [event % 4], group)
        between.asked.clear()
        read(3, "0.1s", between)
    assert set(between.asked) == {now}
