"""Requests of OTLP that an exporter has written to a topic are read from it."""

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("confluent_kafka")

from confluent_kafka import Producer

from tests.kit.log.spools import until
from tests.unit.receiver.sources.conftest import spool_in
from tests.unit.receiver.sources.kafka_source import (
    TOPIC,
    broker,
    committed,
    event,
    held,
    produce,
    producer,
    reads,
    settings,
)

__all__ = ["broker", "producer", "settings"]


def otlp(*records: dict[str, Any], cluster: str = "prod") -> bytes:
    of = {"attributes": [{"key": "k8s.cluster.name", "value": {"stringValue": cluster}}]}
    logs = {"resource": of, "scopeLogs": [{"logRecords": records}]}
    return json.dumps({"resourceLogs": [logs]}).encode()


def test_requests_of_an_exporter_are_events_again_and_their_gaps_are_told(
    tmp_path: Path,
    producer: Producer,
    settings: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A gap is on record before its place is passed.

    What cannot be read stays where it is and stops no other partition. Two clusters are told.
    """
    gap = {"eventName": "k8s.audit.gap", "body": {"stringValue": "9 bytes are missing"}}
    requests = (
        otlp(*({"body": {"stringValue": event(n).decode()}} for n in (1, 2)), gap),
        *[otlp({"body": {"stringValue": event(3).decode()}}, cluster="test")] * 9,
        otlp({"body": {"kvlistValue": {}}}),
    )
    for request in requests:
        producer.produce(TOPIC, request, partition=0)
    producer.produce(TOPIC, requests[-1], partition=1)
    producer.flush(10)
    spool = spool_in(tmp_path)
    source = reads(settings, spool)
    source.start()
    until(lambda: len(held(spool)) == 3 and source.lost)
    assert caplog.text.count("several clusters (prod, test)") == 1
    assert "9 bytes are missing" in source.lost[0].what
    assert committed({**settings, "group.id": "g"}) == 0
    source.on_record = 1
    until(lambda: "encoding: raw" in source.trouble)
    producer.produce(TOPIC, event(4), partition=1)
    producer.produce(TOPIC, event(5), partition=2)
    until(lambda: len(held(spool)) == 4)
    source.stop(15.0)
    assert committed(settings) == 11
    assert source.left_out == 0


def test_a_request_that_cannot_be_read_takes_no_offset_back(
    tmp_path: Path, producer: Producer, settings: dict[str, Any]
) -> None:
    """Also where it is the first that comes: the group had read what lies before it."""
    spool = spool_in(tmp_path)
    produce(producer, range(5), partitions=1)
    source = reads(settings, spool)
    source.start()
    until(lambda: committed(settings) == 5)
    source.stop(15.0)
    producer.produce(TOPIC, otlp({"body": {"intValue": "1"}}), partition=0)
    producer.produce(TOPIC, event(5), partition=1)
    producer.flush(10)
    again = reads(settings, spool)
    again.start()
    until(lambda: len(held(spool)) == 6 and "no texts" in again.trouble)
    again.stop(15.0)
    assert committed(settings) == 6
