"""What becomes of every key of a pasted Collector block. A table; no I/O.

A key of a block's own model that has no rule here is honoured.

Sources, at v0.160.0: config/confighttp, configgrpc, configtls, configretry, configcompression,
exporter/otlphttpexporter, otlpexporter, exporterhelper (sending_queue), contrib's fileexporter,
bearertokenauthextension, basicauthextension, oauth2clientauthextension.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from k8s_audit_otlp.config.reading.kafka_keys import KAFKA_EXPORTER, KAFKA_RECEIVER
from k8s_audit_otlp.config.reading.key_rules import (
    KeyRule,
    Rules,
    deciding,
    different,
    is_false,
    is_one_of,
    is_positive,
    no_effect,
    refused,
    under,
)

_QUEUE_IS_THE_LOG = "the audit log on disk is the queue"
_POOL = "connections are pooled to fit num_consumers"
_OTHER_SIGNAL = "only logs are sent"

TLS: Rules = (
    *refused(
        "min_version",
        "TLS below 1.2 is not spoken",
        "write 1.2 or 1.3",
        is_one_of("1.0", "1.1", "1"),
    ),
    *no_effect("the newest TLS version that both sides know is used", "max_version"),
    *no_effect("files are re-read when they change", "reload_interval"),
    *no_effect("OpenSSL's own choice is used", "curve_preferences", "cipher_suites"),
    *refused(
        "include_insecure_cipher_suites",
        "insecure ciphers are not offered",
        "remove the key, or send through a Collector",
    ),
    *refused("tpm", "keys in a TPM cannot be read", "write key_file, or send through a Collector"),
)

RETRY: Rules = (
    *different(
        "max_elapsed_time",
        "after that time records go to the dead letter; the Collector drops them",
        is_positive,
    ),
    *no_effect("requests are repeated", "enabled"),
    *different(
        "enabled",
        "repeating cannot be switched off, because events would be lost;"
        " max_elapsed_time bounds it",
        is_false,
    ),
)

QUEUE: Rules = (
    *no_effect(
        _QUEUE_IS_THE_LOG,
        "enabled",
        "queue_size",
        "storage",
        "block_on_overflow",
        "wait_for_result",
    ),
    *no_effect("requests carry one receiver's records anyway", "batch::partition"),
    *no_effect("requests are always batched", "batch::enabled"),
    *refused(
        "batch::sizer",
        "a batch is counted in items or bytes",
        "write items or bytes",
        is_one_of("requests"),
    ),
)

_CLIENT: Rules = (
    *refused(
        "middlewares",
        "there are no middlewares here",
        "remove the key, or send through a Collector",
    ),
    *no_effect(_POOL, "read_buffer_size", "write_buffer_size"),
    *under("tls", TLS),
    *under("retry_on_failure", RETRY),
    *under("sending_queue", QUEUE),
)

OTLP_HTTP: Rules = (
    *_CLIENT,
    *no_effect(_OTHER_SIGNAL, "traces_endpoint", "metrics_endpoint", "profiles_endpoint"),
    *no_effect(
        _POOL,
        "max_idle_conns",
        "max_idle_conns_per_host",
        "max_conns_per_host",
        "idle_conn_timeout",
        "keepalive",
    ),
    *no_effect("connections are kept alive", "disable_keep_alives"),
    *no_effect(
        "HTTP/1.1 is spoken", "force_attempt_http2", "http2_read_idle_timeout", "http2_ping_timeout"
    ),
    *refused("cookies", "cookies are not kept", "remove the key, or send through a Collector"),
    *refused(
        "encoding",
        "requests are binary protobuf, which every back end takes",
        "write encoding: proto, or use otlp_file for JSON",
        is_one_of("json"),
    ),
    *refused(
        "compression",
        "this compression is not spoken",
        "write gzip, zstd or none",
        is_one_of("snappy", "x-snappy-framed", "zlib", "deflate", "lz4"),
    ),
)

OTLP_GRPC: Rules = (
    *_CLIENT,
    *no_effect("requests wait and are repeated anyway", "wait_for_ready"),
    *no_effect("the first address that answers is used", "balancer_name"),
    *refused(
        "compression",
        "gRPC is compressed with gzip or not at all",
        "write gzip or none",
        is_one_of("snappy", "zstd", "deflate"),
    ),
)

OTLP_FILE: Rules = (
    *no_effect("age does not remove files; max_backups does", "rotation::max_days"),
    *no_effect("names are in UTC", "rotation::localtime"),
    *no_effect("the file is always appended to", "append"),
    *no_effect("lines are on disk before they count as delivered", "flush_interval"),
    *no_effect("the process's umask applies", "directory_permissions"),
    *no_effect("files are not compressed", "compression_params"),
    *refused("compression", "files are not compressed", "remove the key"),
    *refused("group_by", "one file is written", "use one exporter per file"),
    *refused("encoding", "encodings are extensions of a Collector", "remove the key"),
    *refused("format", "only OTLP JSON lines are written", "write json", is_one_of("proto")),
)

BEARER_TOKEN: Rules = (
    *refused("tokens", "several tokens are for a server", "write token: with one of them"),
)
BASIC_AUTH: Rules = (
    *refused("htpasswd", "htpasswd is for a server", "write client_auth: {username, password}"),
    *refused(
        "client_auth::aws_secrets_manager",
        "AWS Secrets Manager is not read",
        "mount the secret and write username_file and password_file",
    ),
)
OAUTH2_CLIENT: Rules = (
    *under("tls", TLS),
    *refused(
        "grant_type",
        "only client credentials are spoken",
        "write client_credentials or remove the key",
        lambda value: str(value) != "client_credentials",
    ),
    *no_effect("client credentials are the grant type", "grant_type"),
    *(
        rule
        for key in (
            "client_certificate_key_id",
            "client_certificate_key",
            "client_certificate_key_file",
            "signature_algorithm",
            "iss",
            "audience",
            "claims",
        )
        for rule in refused(
            key, "it belongs to the JWT bearer grant", "write client_secret, or use a Collector"
        )
    ),
)
SERVICE: Rules = (
    *no_effect(
        "the agent's log goes to the standard error stream",
        "telemetry::logs::development",
        "telemetry::logs::sampling",
        "telemetry::logs::output_paths",
        "telemetry::logs::error_output_paths",
        "telemetry::logs::initial_fields",
        "telemetry::logs::processors",
        "telemetry::logs::disable_caller",
        "telemetry::logs::disable_stacktrace",
    ),
    *no_effect(
        "write telemetry::metrics::address instead",
        "telemetry::metrics::readers",
        "telemetry::metrics::level",
        "telemetry::metrics::views",
    ),
    *no_effect("the agent makes no traces of itself", "telemetry::traces"),
    *no_effect("the agent names itself", "telemetry::resource"),
)

# types of components that are accepted and do nothing: they serve the Collector itself
IDLE_EXTENSIONS = frozenset({"health_check", "pprof", "zpages", "file_storage", "memory_limiter"})
IDLE_PROCESSORS = frozenset({"batch", "memory_limiter"})

ALIASES: Mapping[str, str] = {"otlphttp": "otlp_http", "otlp": "otlp_grpc", "file": "otlp_file"}
WEBHOOK: Rules = (
    *no_effect("an audit event says itself who asked", "include_metadata"),
    *no_effect("gzip is taken", "compression_algorithms"),
    *no_effect("answers are short", "write_timeout", "response_headers"),
    *no_effect("read_timeout is used", "read_header_timeout"),
    *no_effect("files are re-read when they change", "tls::client_ca_file_reload"),
    *no_effect("files are re-read when they change", "tls::reload_interval"),
    *no_effect("the newest TLS version that both sides know is used", "tls::max_version"),
    *no_effect("connections are kept", "keep_alives_enabled"),
    *refused("cors", "no browser sends audit events", "remove the key"),
)

KEYS: Mapping[str, Rules] = {
    "otlp_http": OTLP_HTTP,
    "otlp_grpc": OTLP_GRPC,
    "otlp_file": OTLP_FILE,
    "sdk": (
        *under("retry_on_failure", RETRY),
        *under("sending_queue", QUEUE),
    ),
    "bearertokenauth": BEARER_TOKEN,
    "basicauth": BASIC_AUTH,
    "oauth2client": OAUTH2_CLIENT,
    "k8s_audit_webhook": WEBHOOK,
    "kafka": (
        *KAFKA_EXPORTER,
        *under("tls", TLS),
        *under("retry_on_failure", RETRY),
        *under("sending_queue", QUEUE),
    ),
    "kafka receiver": (*KAFKA_RECEIVER, *under("tls", TLS)),
    "service": SERVICE,
}


def table_of(section: str, kind: str) -> str:
    """Return under which name the rules of a component are: some names stand for two."""
    receiver = f"{kind} receiver"
    return receiver if section == "receivers" and receiver in KEYS else kind


def rules_met(kind: str, block: Mapping[str, Any]) -> Iterator[KeyRule]:
    """Yield the rule that decides about each key of *block* that has one."""
    return deciding(KEYS.get(kind, ()), block)


def known_keys(kind: str, parent: tuple[str, ...]) -> set[str]:
    """Return the keys that a Collector knows directly under *parent*, for suggestions."""
    depth = len(parent)
    return {
        rule.path[depth]
        for rule in KEYS.get(kind, ())
        if len(rule.path) > depth and rule.path[:depth] == parent
    }
