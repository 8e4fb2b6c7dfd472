"""What becomes of the keys of a pasted Kafka exporter or receiver. Tables; no I/O.

Source, at v0.160.0: contrib's internal/kafka/configkafka, exporter/kafkaexporter,
receiver/kafkareceiver.
"""

from k8s_audit_otlp.config.reading.key_rules import (
    Rules,
    is_one_of,
    no_effect,
    refused,
)

_SHARED: Rules = (
    *no_effect("it is asked of the brokers", "protocol_version", "auth::sasl::version"),
    *no_effect("the client finds the brokers by itself", "metadata", "use_leader_epoch"),
    *no_effect("all addresses of a name are tried", "resolve_canonical_bootstrap_servers_only"),
    *no_effect("connections are kept", "conn_idle_timeout"),
    *refused("auth::kerberos", "Kerberos is not spoken", "write auth::sasl, or use a Collector"),
    *refused(
        "auth::plain_text", "it has another name now", "write auth: {sasl: {mechanism: PLAIN, …}}"
    ),
    *refused("auth::tls", "it has another place now", "write tls: beside auth"),
    *refused(
        "auth::sasl::mechanism",
        "this mechanism is not spoken",
        "write PLAIN or SCRAM-SHA-512, or send through a Collector",
        is_one_of("aws_msk_iam_oauthbearer", "oauthbearer", "aws_msk_iam"),
    ),
    *refused("auth::sasl::aws_msk", "AWS IAM is not spoken", "write SCRAM-SHA-512"),
)
_EXPORTER: Rules = (
    *refused(
        "producer::required_acks",
        "an event that one broker has can be lost with it",
        "write all",
        is_one_of("0", "1"),
    ),
    *no_effect("a request is one message", "producer::flush_max_messages"),
    *no_effect(
        "auto.create.topics.enable of the brokers decides", "producer::allow_auto_topic_creation"
    ),
    *no_effect(
        "the key of a message is the segment of the log",
        "partition_logs_by_resource_attributes",
        "partition_logs_by_trace_id",
        "record_partitioner",
    ),
    *no_effect("only logs are sent", "traces", "metrics", "profiles", "partition_traces_by_id"),
    *no_effect("only logs are sent", "partition_metrics_by_resource_attributes"),
    *refused("topic_from_attribute", "there is one topic", "write topic: NAME"),
    *refused("logs::topic_from_metadata_key", "there is one topic", "write topic: NAME"),
    *refused("include_metadata_keys", "there are no headers", "remove the key"),
)
_RECEIVER: Rules = (
    *refused("topic", "several topics can be read", "write topics: [NAME]"),
    *refused("logs", "topics have another place here", "write topics: [NAME]"),
    *refused(
        "encoding",
        "audit events are read, in any frame, and no requests of OTLP",
        "write encoding: raw where they are written, or let a Collector read the topic",
        is_one_of("otlp_proto", "otlp_json"),
    ),
    *no_effect("frames are told by what a message holds", "encoding"),
    *no_effect(
        "offsets are committed when the events are on disk",
        "autocommit",
        "message_marking",
        "error_backoff",
    ),
    *no_effect(
        "the client fetches as much as it can hold",
        "min_fetch_size",
        "default_fetch_size",
        "max_fetch_size",
        "max_fetch_wait",
        "max_partition_fetch_size",
        "rack_id",
    ),
    *no_effect("headers are not read", "header_extraction"),
    *no_effect("the client shares the partitions by itself", "group_rebalance_strategy"),
)
KAFKA_EXPORTER: Rules = (*_SHARED, *_EXPORTER)
KAFKA_RECEIVER: Rules = (*_SHARED, *_RECEIVER)
