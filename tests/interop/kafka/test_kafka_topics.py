"""Topics as brokers have them: codecs, transactions, tombstones, compaction; and what one deletes.

What was deleted before it was read is a gap: it reaches the back ends, and reading goes on.
"""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from tests.faults.processes import GAP
from tests.interop.kafka import kafka_broker
from tests.interop.kafka.kafka_agents import agent, event, reader, to, until
from tests.kit.backends.backend import Backend

pytestmark = [pytest.mark.interop, pytest.mark.timeout(400, func_only=True)]


def write(broker: kafka_broker.Broker, numbers: range, partition: int = 0, **settings: Any) -> None:
    """Write events to one partition, and return when the broker has them."""
    producer = Producer({"bootstrap.servers": broker.address, **settings})
    for number in numbers:
        producer.produce("audit", event(number), partition=partition)
    assert producer.flush(60) == 0


def in_transactions(broker: kafka_broker.Broker) -> None:
    """Write 900-919, give 920-939 up, write 940-959: each in a transaction of its own."""
    producer = Producer({"bootstrap.servers": broker.address, "transactional.id": "made-up"})
    producer.init_transactions(60)
    for first in (900, 920, 940):
        producer.begin_transaction()
        for number in range(first, first + 20):
            producer.produce("audit", event(number), f"k-{number}", partition=3)
        producer.flush(60)
        if first == 920:
            producer.abort_transaction(60)
        else:
            producer.commit_transaction(60)


def test_whatever_a_topic_holds_the_events_arrive_once(
    broker: kafka_broker.Broker, tmp_path: Path
) -> None:
    """Every codec; what a transaction gave up does not; tombstones and headers are no events."""
    broker.topic("audit", {"cleanup.policy": "compact,delete"})
    codecs = ("none", "gzip", "snappy", "lz4", "zstd")
    keyed = Producer({"bootstrap.servers": broker.address})
    for number, codec in enumerate(codecs):
        producer = Producer({"bootstrap.servers": broker.address, "compression.type": codec})
        for each in range(number * 100, (number + 1) * 100):
            headers: dict[str, str | bytes | None] = {
                "content-type": b"application/json",
                "x": None,
            }
            producer.produce("audit", event(each), f"k-{each}", partition=0, headers=headers)
        assert producer.flush(60) == 0
    keyed.produce("audit", None, "k-1", partition=0)
    assert keyed.flush(60) == 0
    in_transactions(broker)
    wanted = {f"id-{n}" for n in (*range(500), *range(900, 920), *range(940, 960))}
    with (
        Backend(keep="uids") as backend,
        agent(tmp_path, "reader", reader(broker), to(backend)) as running,
    ):
        running.start()
        until(lambda: not wanted - set(backend.received.audit_ids))
        assert set(backend.received.audit_ids) == wanted
        assert backend.received.audit_ids.total() == len(wanted)
        assert not gaps(backend)
    doctor = subprocess.run(
        [sys.executable, "-m", "k8s_audit_otlp", "doctor", "--config", tmp_path / "reader.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "cleanup.policy has `compact`" in " ".join(doctor.stdout.split())


def gaps(backend: Backend) -> list[str]:
    return [str(n) for n in backend.received.notices if n.event_name == GAP]


def make_anew(broker: kafka_broker.Broker) -> None:
    admin = AdminClient({"bootstrap.servers": broker.address})
    admin.delete_topics(["audit"])["audit"].result(30)
    until(lambda: "audit" not in admin.list_topics(timeout=10).topics)
    broker.topic("audit", {})


def test_what_a_broker_deleted_unread_is_a_gap(broker: kafka_broker.Broker, tmp_path: Path) -> None:
    """By its retention while the agent was away, or with the whole topic, both here and away.

    Or before what brokers have forgotten of the group.
    """
    broker.topic("audit", {})
    admin = AdminClient({"bootstrap.servers": broker.address})
    write(broker, range(50))
    with (
        Backend(keep="uids") as backend,
        agent(tmp_path, "reader", reader(broker), to(backend)) as running,
    ):
        running.start()
        until(lambda: len(backend.received.audit_ids) >= 50)
        running.end(signal.SIGTERM)
        write(broker, range(50, 150))
        deleted = admin.delete_records([TopicPartition("audit", 0, 120)])
        for done in deleted.values():
            done.result(30)
        running.start()
        kept = {f"id-{n}" for n in (*range(50), *range(120, 150))}
        until(lambda: set(backend.received.audit_ids) >= kept and gaps(backend))
        assert set(backend.received.audit_ids) == kept
        assert "messages 50 to 119 were deleted unread" in gaps(backend)[0]
        time.sleep(1)  # what was read is committed
        make_anew(broker)
        write(broker, range(150, 200))
        until(lambda: "id-199" in backend.received.audit_ids)
        assert set(backend.received.audit_ids) == kept | {f"id-{n}" for n in range(150, 200)}
        until(lambda: len(gaps(backend)) == 2)
        assert "it was made anew" in gaps(backend)[1]
        running.end(signal.SIGTERM)
        make_anew(broker)
        write(broker, range(200, 250))
        running.start()
        until(lambda: "id-249" in backend.received.audit_ids and len(gaps(backend)) == 3)
        assert "it was made anew" in gaps(backend)[2]
        running.end(signal.SIGTERM)
        running.start()  # and it is told once
        write(broker, range(250, 260))
        until(lambda: "id-259" in backend.received.audit_ids)
        assert len(gaps(backend)) == 3
        running.end(signal.SIGTERM)
        write(broker, range(260, 270))
        for done in admin.delete_records([TopicPartition("audit", 0, 40)]).values():
            done.result(30)
        admin.delete_consumer_groups(["k8s-audit-otlp"])["k8s-audit-otlp"].result(30)
        running.start()  # as when brokers forget the offsets of a group that was away for long
        until(lambda: "id-269" in backend.received.audit_ids and len(gaps(backend)) == 4)
        assert "the group has no offset any more" in gaps(backend)[3]
        assert backend.received.audit_ids.total() == len(backend.received.audit_ids)
    log = (tmp_path / "reader.log").read_text()
    assert "messages 50 to 119 were deleted unread" in log
