"""A Kafka broker of one node (KRaft), from the jars that are in the cache."""

import os
import shutil
import socket
import subprocess
import time
import uuid
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined] # exported all the same
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from tests.kit.backends.servers import free_port

_NO_LEADER = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE)
JARS = Path(os.environ.get("K8S_AUDIT_OTLP_KAFKA", Path.home() / ".cache/k8s-audit-otlp/kafka"))


def require() -> None:
    """Skip where there is no Java or no jar; kafka.pom.xml says how to fetch them."""
    if shutil.which("java") is None or not list(JARS.glob("kafka_2.13-*.jar")):
        pytest.skip(f"there is no Java, or no Kafka in {JARS}")


# A broker lives for seconds: what a compiler or collector of garbage would gain comes too late.
QUICK_START = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
START_S = 180.0  # a Java program takes long beside other load
USERS = {"agent": "made-up", "other": "made-up-too"}


def secured_listener(port: int, pem: Path) -> str:
    """Return the lines of one more listener: TLS with the key and certificate in *pem*, SASL, ACLs.

    Who comes to the plain listener may do all.
    """
    users = " ".join(f'user_{name}="{password}"' for name, password in USERS.items())
    return (
        f"listeners+=SASL_SSL://127.0.0.1:{port}\ninter.broker.listener.name=PLAINTEXT\n"
        "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,"
        "SASL_SSL:SASL_SSL\n"
        f"ssl.keystore.type=PEM\nssl.keystore.location={pem}\n"
        "sasl.enabled.mechanisms=PLAIN\nlistener.name.sasl_ssl.plain.sasl.jaas.config="
        f"org.apache.kafka.common.security.plain.PlainLoginModule required {users};\n"
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n"
        "super.users=User:ANONYMOUS\n"
    )


class Broker:
    """Listens at `address` between `start` and `kill`; keeps its log over both."""

    def __init__(self, folder: Path, formatted: Path, more: str = "") -> None:
        """Begin with the empty log in *formatted*; the first broker of a run has Java write it."""
        port, controller = free_port(), free_port()
        self.address = f"127.0.0.1:{port}"
        self._folder = folder
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir()
        self._properties = folder / "server.properties"
        listeners = f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}"
        if more.startswith("listeners+="):
            first, more = more.removeprefix("listeners+=").split("\n", 1)
            listeners += f",{first}"
        self._properties.write_text(
            "process.roles=broker,controller\nnode.id=1\n"
            f"controller.quorum.voters=1@127.0.0.1:{controller}\n"
            f"listeners={listeners}\n"
            "controller.listener.names=CONTROLLER\n"
            f"log.dirs={folder}/data\nnum.partitions=4\n"
            "offsets.topic.replication.factor=1\ntransaction.state.log.replication.factor=1\n"
            "transaction.state.log.min.isr=1\ngroup.initial.rebalance.delay.ms=0\n"
            # One that was killed starts again when its session is over; nine seconds by default.
            f"broker.session.timeout.ms=3000\nbroker.heartbeat.interval.ms=500\n{more}"
        )
        if not formatted.exists():
            format_it = ("kafka.tools.StorageTool", "format", "-t", uuid.uuid4().hex[:22], "-c")
            assert self._java(*format_it, str(self._properties)).wait(START_S) == 0
            shutil.copytree(folder / "data", formatted)
        shutil.copytree(formatted, folder / "data", dirs_exist_ok=True)

    def _java(self, *words: str) -> "subprocess.Popen[bytes]":
        command = ["java", *QUICK_START, "-cp", f"{JARS}/*", *words]
        with (self._folder / "broker.out").open("ab") as out:
            return subprocess.Popen(command, stdout=out, stderr=out)

    def start(self) -> None:
        self._process = self._java("kafka.Kafka", str(self._properties))
        end = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
            except OSError:
                assert time.monotonic() < end, (self._folder / "broker.out").read_text()[-2000:]
                time.sleep(0.2)
            else:
                return

    def topic(self, name: str, config: dict[str, str]) -> None:
        """Make a topic that is configured otherwise than those that are made by themselves."""
        admin = AdminClient({"bootstrap.servers": self.address})
        admin.create_topics([NewTopic(name, 4, 1, config=config)])[name].result(30)

    def allow(self, user: str, *what: tuple[ResourceType, str, AclOperation]) -> None:
        """Let a user do each of *what*: a resource, its name, and what is done to it."""
        admin = AdminClient({"bootstrap.servers": self.address})
        rules = [
            AclBinding(
                kind,
                name,
                ResourcePatternType.LITERAL,
                f"User:{user}",
                "*",
                operation,
                AclPermissionType.ALLOW,
            )
            for kind, name, operation in what
        ]
        for done in admin.create_acls(rules).values():
            done.result(30)

    def messages(self, topic: str) -> int:
        """Count what a topic has taken so far."""
        consumer = Consumer({"bootstrap.servers": self.address, "group.id": "counts"})
        try:
            return sum(_end_of(consumer, TopicPartition(topic, p)) for p in range(4))
        finally:
            consumer.close()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._process = None


def _end_of(consumer: Consumer, place: TopicPartition) -> int:
    """Return the end of a partition; one that was made just now may have no leader yet."""
    deadline = time.monotonic() + 60
    while True:
        try:
            found = consumer.get_watermark_offsets(place, timeout=10)
        except KafkaException as error:
            if error.args[0].code() not in _NO_LEADER or time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return int(found[1]) if found else 0
