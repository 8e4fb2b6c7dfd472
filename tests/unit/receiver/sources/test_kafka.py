"""Offsets are committed only after the events are on disk. The broker is librdkafka's own mock."""

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("confluent_kafka")

from confluent_kafka import Consumer, Producer, TopicPartition

from tests.kit.log.spools import until
from tests.unit.receiver.sources.conftest import spool_in, spool_on_a_failing_disk
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


def test_events_come_out_of_any_frame_and_go_on_from_the_commit(
    tmp_path: Path, producer: Producer, settings: dict[str, Any]
) -> None:
    """What holds no event is counted; a second consumer of the group repeats nothing."""
    azure = {"records": [{"category": "kube-audit", "properties": {"log": event(2).decode()}}]}
    for value in (
        b"\n" + event(1),
        b"\r\n " + json.dumps(azure).encode(),
        b"hello",
        b"\xff\x00",
        None,
    ):
        producer.produce(TOPIC, value)
    producer.flush(10)
    spool = spool_in(tmp_path)
    source = reads(settings, spool)
    source.start()
    until(lambda: source.left_out == 2)
    until(lambda: sorted(held(spool))[:1] != [] and len(held(spool)) == 2)
    source.stop(15.0)
    bodies = sorted(json.loads(line)["auditID"] for line in held(spool))
    assert bodies == ["id-1", "id-2"]
    producer.produce(TOPIC, event(3))
    producer.flush(10)
    again = reads(settings, spool)
    again.start()
    until(lambda: len(held(spool)) == 3)
    again.stop(15.0)
    assert spool.repeated == 0


def test_nothing_is_committed_before_it_is_on_disk(
    tmp_path: Path, producer: Producer, settings: dict[str, Any]
) -> None:
    """While the disk fails, the broker keeps what it has; afterwards all of it is taken."""
    spool, disk = spool_on_a_failing_disk(tmp_path)
    produce(producer, range(20))
    source = reads(settings, spool)
    source.start()
    until(lambda: spool.refused)
    assert committed({**settings, "group.id": "g"}) == 0
    disk.fails = False
    until(lambda: spool.written == 20)
    source.stop(15.0)
    assert committed(settings) == 20


def test_a_gap_is_on_record_before_its_place_is_passed(
    tmp_path: Path, producer: Producer, settings: dict[str, Any]
) -> None:
    """Whoever is killed before finds it again and tells it again; then reading goes on behind it.

    That the topic was made anew is told by a group that is ahead of it.
    """
    produce(producer, range(10), partitions=1)
    spool = spool_in(tmp_path)
    ahead = Consumer(settings)
    ahead.commit(offsets=[TopicPartition(TOPIC, 0, 50)], asynchronous=False)
    ahead.close()
    killed = reads(settings, spool)
    killed.start()
    until(lambda: killed.lost)
    killed.stop(15.0)
    assert committed(settings) == 50
    source = reads(settings, spool)
    source.start()
    until(lambda: source.lost)
    assert "50 was to be read" in source.lost[0].what
    source.on_record = 1
    until(lambda: len(held(spool)) == 10)
    source.stop(15.0)
    assert committed(settings) == 10
    assert len(source.lost) == 1


def test_settings_that_change_are_taken_up_when_a_broker_refuses(
    tmp_path: Path, producer: Producer, settings: dict[str, Any]
) -> None:
    """A password or a certificate is renewed in its file: nobody has to start the agent again."""
    producer.produce(TOPIC, event(1))
    producer.flush(10)
    right = settings["bootstrap.servers"]
    spool, settings["bootstrap.servers"] = spool_in(tmp_path), "127.0.0.1:1"
    source = reads(settings, spool)
    source.start()
    until(lambda: source.trouble)
    settings["bootstrap.servers"] = right
    until(lambda: len(held(spool)) == 1)
    source.stop(15.0)


def test_what_waits_is_measured_while_nothing_can_be_taken(
    tmp_path: Path, producer: Producer, settings: dict[str, Any]
) -> None:
    """Messages that are not on disk, and since when; none of it once all of them are."""
    spool, disk = spool_on_a_failing_disk(tmp_path)
    produce(producer, range(20))
    source = reads(settings, spool, measure_every_s=0.1)
    source.start()
    until(lambda: sum(source.lag.waiting.values()) == 20)
    produce(producer, range(20, 30))
    until(lambda: sum(source.lag.waiting.values()) == 30)
    assert all(place.startswith(f"{TOPIC}/") for place in source.lag.waiting)
    until(lambda: source.lag.behind_s > 3.0)
    disk.fails = False
    until(lambda: source.lag.behind_s < 3.0)
    until(lambda: sum(source.lag.waiting.values()) == 0)
    source.stop(15.0)
    assert spool.written == 30
    stopped = source.lag.behind_s
    until(lambda: source.lag.behind_s > stopped)


def test_from_the_end_is_where_a_group_begins_once(
    tmp_path: Path, producer: Producer, settings: dict[str, Any]
) -> None:
    """What comes to a partition that was empty till then, while nobody reads, is not older.

    Where brokers have forgotten the group's offsets, which another group stands for, all is read.
    """
    settings["auto.offset.reset"], ids = "latest", {TOPIC: "a"}
    produce(producer, range(10), partitions=1)
    spool = spool_in(tmp_path)
    first = reads(settings, spool, ids)
    first.start()
    until(lambda: committed(settings) == 10)
    first.stop(15.0)
    produce(producer, range(10, 20), partitions=2)
    second = reads(settings, spool, ids)
    second.start()
    until(lambda: len(held(spool)) == 10)
    second.stop(15.0)
    assert set(held(spool)) == {event(number) for number in range(10, 20)}
    third = reads({**settings, "group.id": "other"}, spool, ids)
    third.start()
    until(lambda: len(held(spool)) == 20)
    third.stop(15.0)
    assert set(held(spool)) == {event(number) for number in range(20)}


def test_a_partition_that_is_new_is_read_from_its_beginning(
    tmp_path: Path, producer: Producer, settings: dict[str, Any]
) -> None:
    """A topic grows at any time, and what comes before it is noticed is not older than the group.

    The group has noted that it began when there were two partitions.
    """
    settings["auto.offset.reset"] = "latest"
    produce(producer, range(40), partitions=4)
    grown = Consumer(settings)
    grown.commit(offsets=[TopicPartition(TOPIC, 1, 10, "2")], asynchronous=False)
    grown.close()
    spool = spool_in(tmp_path)
    source = reads(settings, spool)
    source.start()
    until(lambda: len(held(spool)) == 20)
    source.stop(15.0)
    assert set(held(spool)) == {event(number) for number in range(40) if number % 4 > 1}


def test_a_topic_that_was_made_anew_is_told_and_read_from_its_beginning(
    tmp_path: Path, producer: Producer, settings: dict[str, Any]
) -> None:
    """It may hold as many messages as were read of the old one: its id tells, not its offsets."""
    spool = spool_in(tmp_path)
    first = reads(settings, spool, {TOPIC: "one"})
    first.start()
    produce(producer, range(10), partitions=1)
    until(lambda: committed(settings) == 10)
    first.stop(15.0)
    settings["auto.offset.reset"] = "latest"
    second = reads(settings, spool, {TOPIC: "two"})
    second.start()
    until(lambda: second.lost)
    assert "made anew" in second.lost[0].what
    kept = spool.path.with_name("topics.json")
    assert json.loads(kept.read_bytes()) == {TOPIC: "one"}  # who is killed now tells it again
    second.on_record = 1
    producer.produce(TOPIC, event(10), partition=0)
    until(lambda: len(held(spool)) == 11)
    second.stop(15.0)
    assert (spool.repeated, json.loads(kept.read_bytes())) == (10, {TOPIC: "two"})
