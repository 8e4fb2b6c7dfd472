"""What CloudWatch has no more is told; the service is moto's."""

import json
from functools import partial
from pathlib import Path

import pytest

from k8s_audit_otlp.receiver.spool.spool import Spool
from tests.kit.log.spools import until
from tests.unit.receiver.sources.moto_service import GROUP, ROOMY, options_of, put, url

boto3 = pytest.importorskip("boto3")

from k8s_audit_otlp.receiver.sources.cloudwatch import (  # noqa: E402
    CloudWatchSource,
)

__all__ = ["url"]
pytestmark = pytest.mark.filterwarnings("ignore")  # of the service's own making


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


def test_what_went_with_a_stream_is_a_gap(url: str, tmp_path: Path) -> None:
    """Deleted or made anew while nobody read: told once, unless it was over; and read anew.

    A group that takes the place of another in the configuration has lost nothing.
    """
    group, over, gone, anew = GROUP + "-6", *(f"kube-apiserver-audit-{n}" for n in range(3))
    client = boto3.client("logs", region_name="eu-west-1", endpoint_url=url)
    event = '{"kind":"Event","auditID":"id-%d"}'

    def make(name: str, number: int, days_ago: float = 0.0) -> None:
        client.create_log_stream(logGroupName=group, logStreamName=name)
        put(client, name, [event % number], group, days_ago=days_ago)

    client.create_log_group(logGroupName=group)
    make(over, 1, 3)
    make(gone, 2)
    make(anew, 3)
    spool = Spool(tmp_path, ROOMY)
    spool.open()

    def begun(of: str = group) -> CloudWatchSource:
        options = options_of(of, url, "0.05s", start_age="10d")
        source = CloudWatchSource("aws_cloudwatch", options, spool)
        source.start()
        return source

    def looked(source: CloudWatchSource) -> list[str]:
        begin = source.lag.now()
        until(lambda: source.lag.now() - source.lag.behind_s > begin)
        source.stop(15.0)
        return [lost.what.partition(":")[0] for lost in source.lost]

    source = begun()
    until(lambda: spool.written == 3)
    assert looked(source) == []
    for name in (over, gone, anew):
        client.delete_log_stream(logGroupName=group, logStreamName=name)
    make(anew, 4)
    killed = begun()
    until(lambda: killed.lost)
    killed.stop(15.0)
    source = begun()
    until(lambda: len(source.lost) == 2)
    assert spool.written == 3
    source.on_record = 2
    until(lambda: spool.written == 4)
    assert looked(source) == [gone, anew]
    assert looked(begun()) == []
    client.create_log_group(logGroupName=GROUP + "-7")
    client.create_log_stream(logGroupName=GROUP + "-7", logStreamName="kube-apiserver-audit-9")
    assert looked(begun(GROUP + "-7")) == []


def _has(spool: Spool, events: int) -> bool:
    return spool.written == events


def test_a_clock_that_was_ahead_hides_nothing(url: str, tmp_path: Path) -> None:
    """CloudWatch takes what is two hours ahead; where a token expires, the time is gone by."""
    group, stream = GROUP + "-8", "kube-apiserver-audit-1"
    client = boto3.client("logs", region_name="eu-west-1", endpoint_url=url)
    client.create_log_group(logGroupName=group)
    client.create_log_stream(logGroupName=group, logStreamName=stream)
    event = '{"kind":"Event","auditID":"id-%d"}'
    put(client, stream, [event % 1], group, days_ago=-1 / 24)
    spool = Spool(tmp_path, ROOMY)
    spool.open()
    for number in (1, 2):
        source = CloudWatchSource("aws_cloudwatch", options_of(group, url, "0.05s"), spool)
        source.start()
        until(partial(_has, spool, number))
        source.stop(15.0)
        positions = tmp_path / "streams.json"
        known = json.loads(positions.read_text())
        known[stream] |= {"token": "f/expired"}
        positions.write_text(json.dumps(known))
        put(client, stream, [event % 2], group)
