"""Asks Kafka brokers whether the topics of a receiver or an exporter are there, and keep all.

A compacted topic keeps the last message of each key alone: of a segment, which is the key of what
an agent writes, that is one request.
"""

from collections.abc import Sequence
from typing import Any

from k8s_audit_otlp.config.exporters import KafkaExporter
from k8s_audit_otlp.config.kafka import KafkaBlock
from k8s_audit_otlp.tools.doctor.exporter_facts import ExporterFacts
from k8s_audit_otlp.tools.doctor.findings import CheckResult, fail, ok, warn

TIMEOUT_S = 5.0


def topics_are_there(
    block: KafkaBlock, wanted: Sequence[str], *, may_be_made: bool = False
) -> CheckResult:
    """Ask for *wanted*; a name that begins with ^ is a pattern, and stands for no topic.

    *may_be_made*: brokers may make one that is missing.
    """
    from confluent_kafka import KafkaException  # noqa: PLC0415 - an extra
    from confluent_kafka.admin import AdminClient  # noqa: PLC0415

    said: list[str] = []
    client = None
    try:
        settings: dict[str, Any] = {**block.client_settings(), "log_level": 0}
        settings["error_cb"] = lambda error: said.append(error.str())
        client = AdminClient(settings)
        topics = client.list_topics(timeout=TIMEOUT_S).topics
    except OSError as error:
        return fail(f"{error.filename}: {error.strerror}", "correct auth or tls")
    except KafkaException as error:
        if client is not None:
            client.poll(0)  # what the client has to say besides
        why = said[0] if said else error.args[0].str()
        return fail(
            f"the brokers do not answer: {why}",
            "see brokers, tls and auth::sasl; Event Hubs wants port 9093, tls: {} and PLAIN",
        )
    named = [topic for topic in wanted if topic[0] != "^"]
    if missing := [topic for topic in named if topic not in topics]:
        why = f"there is no topic {', '.join(missing)}, or it may not be read"
        if may_be_made:
            return warn(why, "make it, or let the brokers: auto.create.topics.enable")
        return fail(why, "correct topics, or allow Describe and Read on them")
    if compacted := [topic for topic in named if _is_compacted(client, topic)]:
        return fail(
            f"{', '.join(compacted)}: cleanup.policy has `compact`, and brokers delete all but the "
            "last message of a key",
            "set cleanup.policy=delete, or take another topic",
        )
    return ok(f"{len(topics)} topics are there, and those of the configuration are among them")


def _is_compacted(client: Any, topic: str) -> bool:
    """Say so where the brokers tell; who may not ask is not told."""
    from confluent_kafka import KafkaException  # noqa: PLC0415
    from confluent_kafka.admin import (  # type: ignore[attr-defined] # noqa: PLC0415 - exported all the same
        ConfigResource,
        ResourceType,
    )

    asked = client.describe_configs([ConfigResource(ResourceType.TOPIC, topic)])
    try:
        found = [answer.result(TIMEOUT_S) for answer in asked.values()]
    except (KafkaException, TimeoutError):
        return False
    return any("compact" in (one["cleanup.policy"].value or "") for one in found)


def topic(facts: ExporterFacts) -> CheckResult | None:
    """Look at the topic that is written; other exporters write to none."""
    if not isinstance(facts.exporter, KafkaExporter):
        return None
    return topics_are_there(facts.exporter, [facts.exporter.to_topic], may_be_made=True)
