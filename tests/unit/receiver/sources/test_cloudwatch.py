"""Streams are read from their positions; what is on disk comes first. The service is moto's."""

import json
from contextlib import suppress
from pathlib import Path

import pytest

from k8s_audit_otlp.receiver.spool.spool import Spool
from tests.kit.backends.between import Between
from tests.kit.log.spools import until
from tests.unit.receiver.sources.moto_service import GROUP, ROOMY, ids, options_of, put, url

boto3 = pytest.importorskip("boto3")

from k8s_audit_otlp.receiver.sources.cloudwatch import (  # noqa: E402
    CloudWatchSource,
)

__all__ = ["url"]
pytestmark = pytest.mark.filterwarnings("ignore")  # of the service's own making


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
        until(lambda: source.lost)
        source.on_record = 1
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
    """Other streams are left, a torn event is kept, an expired token costs no event.

    Not even one that came after a newer one.
    """
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
    put(client, "kube-apiserver-audit-2", [event % 103], days_ago=5 / 1440)
    run_until(35)
    held = spool.path.read_text()
    assert "id-999" not in held
    assert held.splitlines().count('{"kind":"Event","auditID":"torn') == 1


def test_the_first_stream_of_a_group_is_read_whole_where_it_comes_later(
    url: str, tmp_path: Path
) -> None:
    """The age that counts at the start leaves nothing out of what is written afterwards."""
    group, stream = GROUP + "-9", "kube-apiserver-audit-1"
    client = boto3.client("logs", region_name="eu-west-1", endpoint_url=url)
    client.create_log_group(logGroupName=group)
    spool = Spool(tmp_path, ROOMY)
    spool.open()
    options = options_of(group, url, "0.05s", start_age="0s")
    source = CloudWatchSource("aws_cloudwatch", options, spool)
    source.start()
    until(lambda: "no stream" in source.trouble)
    client.create_log_stream(logGroupName=group, logStreamName=stream)
    put(client, stream, ['{"kind":"Event","auditID":"id-1"}'], group, days_ago=0.001)
    until(lambda: spool.written == 1)
    source.stop(15.0)


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
