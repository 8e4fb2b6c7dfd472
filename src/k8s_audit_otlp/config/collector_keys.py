"""What becomes of every key of a pasted Collector block. A table; no I/O.

Sources, at v0.160.0: config/confighttp, configgrpc, configtls, configretry, configcompression,
exporter/otlphttpexporter, otlpexporter, exporterhelper (sending_queue), contrib's fileexporter,
bearertokenauthextension, basicauthextension, oauth2clientauthextension.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, TypeAlias

from k8s_audit_otlp.config.durations import duration_ns


class Use(StrEnum):
    """The four things that can become of a key."""

    HONOURED = "honoured"
    NO_EFFECT = "no effect"
    DIFFERENT = "different"
    REFUSED = "refused"


def _always(_: Any) -> bool:
    return True


def _is_set(value: Any) -> bool:
    """Tell a key that asks for something from one written out with its empty default."""
    if isinstance(value, Mapping) and "enabled" in value:
        return _is_true(value["enabled"])
    return bool(value) and str(value).lower() not in {"false", "0", "0s"}


def _is_true(value: Any) -> bool:
    return str(value).lower() == "true"


def _is_false(value: Any) -> bool:
    return str(value).lower() == "false"


def _is_positive(value: Any) -> bool:
    try:
        return duration_ns(str(value)) > 0
    except ValueError:
        return False


def _is_one_of(*values: str) -> Callable[[Any], bool]:
    return lambda value: str(value).lower() in values


@dataclass(frozen=True, slots=True)
class Rule:
    """One key of a block; `key` joins nested keys with `::`."""

    key: str
    use: Use
    why: str = ""
    way_out: str = ""
    when: Callable[[Any], bool] = _always

    @property
    def path(self) -> tuple[str, ...]:
        return tuple(self.key.split("::"))


Rules: TypeAlias = tuple[Rule, ...]


def _honoured(*keys: str) -> Rules:
    return tuple(Rule(key, Use.HONOURED) for key in keys)


def _no_effect(why: str, *keys: str) -> Rules:
    return tuple(Rule(key, Use.NO_EFFECT, why) for key in keys)


def _refused(key: str, why: str, way_out: str, when: Callable[[Any], bool] = _is_set) -> Rules:
    return (Rule(key, Use.REFUSED, why, way_out, when),)


def _different(key: str, why: str, when: Callable[[Any], bool] = _always) -> Rules:
    return (Rule(key, Use.DIFFERENT, why, when=when),)


def _under(prefix: str, rules: Rules) -> Rules:
    return tuple(replace(rule, key=f"{prefix}::{rule.key}") for rule in rules)


_QUEUE_IS_THE_LOG = "the audit log on disk is the queue"
_POOL = "connections are pooled to fit num_consumers"
_OTHER_SIGNAL = "only logs are sent"

TLS: Rules = (
    *_honoured("insecure", "insecure_skip_verify", "server_name_override", "min_version"),
    *_honoured("ca_file", "ca_pem", "cert_file", "cert_pem", "key_file", "key_pem"),
    *_honoured("include_system_ca_certs_pool"),
    *_refused(
        "min_version",
        "TLS below 1.2 is not spoken",
        "write 1.2 or 1.3",
        _is_one_of("1.0", "1.1", "1"),
    ),
    *_no_effect("the newest TLS version that both sides know is used", "max_version"),
    *_no_effect("files are re-read when they change", "reload_interval"),
    *_no_effect("OpenSSL's own choice is used", "curve_preferences", "cipher_suites"),
    *_refused(
        "include_insecure_cipher_suites",
        "insecure ciphers are not offered",
        "remove the key, or send through a Collector",
    ),
    *_refused("tpm", "keys in a TPM cannot be read", "write key_file, or send through a Collector"),
)

RETRY: Rules = (
    *_honoured("initial_interval", "max_interval", "multiplier", "randomization_factor"),
    *_honoured("max_elapsed_time"),
    *_different(
        "max_elapsed_time",
        "after that time records go to the dead letter; the Collector drops them",
        _is_positive,
    ),
    *_no_effect("requests are repeated", "enabled"),
    *_different(
        "enabled",
        "repeating cannot be switched off, because events would be lost;"
        " max_elapsed_time bounds it",
        _is_false,
    ),
)

QUEUE: Rules = (
    *_honoured("num_consumers", "sizer", "batch::flush_timeout", "batch::min_size"),
    *_honoured("batch::max_size", "batch::sizer"),
    *_no_effect(
        _QUEUE_IS_THE_LOG,
        "enabled",
        "queue_size",
        "storage",
        "block_on_overflow",
        "wait_for_result",
    ),
    *_no_effect("requests carry one receiver's records anyway", "batch::partition"),
    *_no_effect("requests are always batched", "batch::enabled"),
    *_refused(
        "batch::sizer",
        "a batch is counted in items or bytes",
        "write items or bytes",
        _is_one_of("requests"),
    ),
)

_CLIENT: Rules = (
    *_honoured("endpoint", "headers", "compression", "timeout", "auth::authenticator"),
    *_refused(
        "middlewares",
        "there are no middlewares here",
        "remove the key, or send through a Collector",
    ),
    *_no_effect(_POOL, "read_buffer_size", "write_buffer_size"),
    *_under("tls", TLS),
    *_under("retry_on_failure", RETRY),
    *_under("sending_queue", QUEUE),
)

OTLP_HTTP: Rules = (
    *_CLIENT,
    *_honoured("logs_endpoint", "compression_params::level", "proxy_url", "encoding"),
    *_no_effect(_OTHER_SIGNAL, "traces_endpoint", "metrics_endpoint", "profiles_endpoint"),
    *_no_effect(
        _POOL,
        "max_idle_conns",
        "max_idle_conns_per_host",
        "max_conns_per_host",
        "idle_conn_timeout",
        "keepalive",
    ),
    *_no_effect("connections are kept alive", "disable_keep_alives"),
    *_no_effect(
        "HTTP/1.1 is spoken", "force_attempt_http2", "http2_read_idle_timeout", "http2_ping_timeout"
    ),
    *_refused("cookies", "cookies are not kept", "remove the key, or send through a Collector"),
    *_refused(
        "encoding",
        "requests are binary protobuf, which every back end takes",
        "write encoding: proto, or use otlp_file for JSON",
        _is_one_of("json"),
    ),
    *_refused(
        "compression",
        "this compression is not spoken",
        "write gzip, zstd or none",
        _is_one_of("snappy", "x-snappy-framed", "zlib", "deflate", "lz4"),
    ),
)

OTLP_GRPC: Rules = (
    *_CLIENT,
    *_honoured("authority", "user_agent"),
    *_honoured("keepalive::time", "keepalive::timeout", "keepalive::permit_without_stream"),
    *_no_effect("requests wait and are repeated anyway", "wait_for_ready"),
    *_no_effect("the first address that answers is used", "balancer_name"),
    *_refused(
        "compression",
        "gRPC is compressed with gzip or not at all",
        "write gzip or none",
        _is_one_of("snappy", "zstd", "deflate"),
    ),
)

OTLP_FILE: Rules = (
    *_honoured("path", "format", "create_directory"),
    *_honoured("rotation::max_megabytes", "rotation::max_backups"),
    *_no_effect("age does not remove files; max_backups does", "rotation::max_days"),
    *_no_effect("names are in UTC", "rotation::localtime"),
    *_no_effect("the file is always appended to", "append"),
    *_no_effect("lines are on disk before they count as delivered", "flush_interval"),
    *_no_effect("the process's umask applies", "directory_permissions"),
    *_no_effect("files are not compressed", "compression_params"),
    *_refused("compression", "files are not compressed", "remove the key"),
    *_refused("group_by", "one file is written", "use one exporter per file"),
    *_refused("encoding", "encodings are extensions of a Collector", "remove the key"),
    *_refused("format", "only OTLP JSON lines are written", "write json", _is_one_of("proto")),
)

BEARER_TOKEN: Rules = (
    *_honoured("scheme", "header", "token", "filename"),
    *_refused("tokens", "several tokens are for a server", "write token: with one of them"),
)
BASIC_AUTH: Rules = (
    *_honoured("client_auth::username", "client_auth::username_file"),
    *_honoured("client_auth::password", "client_auth::password_file"),
    *_refused("htpasswd", "htpasswd is for a server", "write client_auth: {username, password}"),
    *_refused(
        "client_auth::aws_secrets_manager",
        "AWS Secrets Manager is not read",
        "mount the secret and write username_file and password_file",
    ),
)
OAUTH2_CLIENT: Rules = (
    *_honoured("client_id", "client_id_file", "client_secret", "client_secret_file"),
    *_honoured("token_url", "scopes", "endpoint_params", "timeout", "expiry_buffer"),
    *_under("tls", TLS),
    *_refused(
        "grant_type",
        "only client credentials are spoken",
        "write client_credentials or remove the key",
        lambda value: str(value) != "client_credentials",
    ),
    *_no_effect("client credentials need none of it", "grant_type"),
)
SERVICE: Rules = (
    *_honoured("extensions", "pipelines", "telemetry::logs::level", "telemetry::logs::encoding"),
    *_honoured("telemetry::metrics::address"),
    *_no_effect(
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
    *_no_effect(
        "write telemetry::metrics::address instead",
        "telemetry::metrics::readers",
        "telemetry::metrics::level",
        "telemetry::metrics::views",
    ),
    *_no_effect("the agent makes no traces of itself", "telemetry::traces"),
    *_no_effect("the agent names itself", "telemetry::resource"),
)

# types of components that are accepted and do nothing: they serve the Collector itself
IDLE_EXTENSIONS = frozenset({"health_check", "pprof", "zpages", "file_storage", "memory_limiter"})
IDLE_PROCESSORS = frozenset({"batch", "memory_limiter"})

ALIASES: Mapping[str, str] = {"otlphttp": "otlp_http", "otlp": "otlp_grpc", "file": "otlp_file"}
KEYS: Mapping[str, Rules] = {
    "otlp_http": OTLP_HTTP,
    "otlp_grpc": OTLP_GRPC,
    "otlp_file": OTLP_FILE,
    "sdk": (
        *_under("retry_on_failure", RETRY),
        *_under("sending_queue", QUEUE),
    ),
    "bearertokenauth": BEARER_TOKEN,
    "basicauth": BASIC_AUTH,
    "oauth2client": OAUTH2_CLIENT,
    "service": SERVICE,
}


def rules_met(kind: str, block: Mapping[str, Any]) -> Iterator[Rule]:
    """Yield the rule that decides about each key of *block*, except the honoured ones."""
    decided: set[str] = set()
    special = (rule for rule in KEYS.get(kind, ()) if rule.when is not _always)
    plain = (rule for rule in KEYS.get(kind, ()) if rule.when is _always)
    for rule in (*special, *plain):
        found, value = _look_up(block, rule.path)
        if not found or value is None or rule.key in decided or not rule.when(value):
            continue
        if rule.use is not Use.HONOURED:
            decided.add(rule.key)
            yield rule


def _look_up(block: Any, path: tuple[str, ...]) -> tuple[bool, Any]:
    for part in path:
        if not isinstance(block, Mapping) or part not in block:
            return False, None
        block = block[part]
    return True, block


def is_honoured(kind: str, key: str) -> bool:
    """Tell whether *key* has a meaning here, so that it stays in the block."""
    return any(rule.key == key and rule.use is Use.HONOURED for rule in KEYS.get(kind, ()))


def known_keys(kind: str, parent: tuple[str, ...]) -> set[str]:
    """Return the keys that a Collector knows directly under *parent*, for suggestions."""
    depth = len(parent)
    return {
        rule.path[depth]
        for rule in KEYS.get(kind, ())
        if len(rule.path) > depth and rule.path[:depth] == parent
    }
