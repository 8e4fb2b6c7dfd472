"""Reads a configuration from the OTEL_EXPORTER_OTLP_* variables.

Source: https://opentelemetry.io/docs/specs/otel/protocol/exporter/. The LOGS form of a variable
wins. TIMEOUT is in milliseconds, as specified; a value under 100 is taken for seconds by mistake
(upstream Python reads seconds) and refused rather than guessed.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

from k8s_audit_otlp.config.load import Loaded, load_tree
from k8s_audit_otlp.config.mistakes import ConfigError, Mistake

SOURCE: Final = "environment"
PREFIX: Final = "OTEL_EXPORTER_OTLP_"
LEAST_TIMEOUT_MS: Final = 100
_PROTOCOLS: Final = {"http/protobuf": "otlp_http", "grpc": "otlp_grpc"}
_DEFAULT_ENDPOINTS: Final = {
    "otlp_http": "http://localhost:4318",
    "otlp_grpc": "http://localhost:4317",
}
_TLS_FILES: Final = {
    "CERTIFICATE": "ca_file",
    "CLIENT_KEY": "key_file",
    "CLIENT_CERTIFICATE": "cert_file",
}


def from_environment(
    path: str, state_dir: str | None, env: Mapping[str, str], **receiver: Any
) -> Loaded:
    """Return a configuration that sends the log at *path* where the variables say.

    Raise ConfigError with every mistake, each under the name of its variable.
    """
    tree, sources, mistakes = _tree(env)
    tree["receivers"] = {"k8s_audit": {**receiver, "include": [_literal(path)]}}
    tree["service"] = {"state_dir": _literal(state_dir)} if state_dir else {}
    if mistakes:
        raise ConfigError(SOURCE, mistakes)
    try:
        return load_tree(tree, SOURCE, env)
    except ConfigError as error:
        raise ConfigError(SOURCE, [_renamed(one, sources) for one in error.mistakes]) from None


def _tree(env: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str], list[Mistake]]:
    """Return the tree, the variable behind each key, and what cannot be understood."""
    mistakes: list[Mistake] = []
    kind = _protocol(env, mistakes)
    block: dict[str, Any] = {}
    sources: dict[str, str] = {}

    def put(key: str, name: str, value: Any) -> None:
        sources[key] = name
        *parents, last = key.split("::")
        inside = block
        for parent in parents:
            inside = inside.setdefault(parent, {})
        inside[last] = value

    endpoint = _find(env, "ENDPOINT")
    if endpoint is None:
        block["endpoint"] = _DEFAULT_ENDPOINTS[kind]
    else:
        key = "logs_endpoint" if kind == "otlp_http" and "_LOGS_" in endpoint[0] else "endpoint"
        put(key, endpoint[0], _literal(_with_root(endpoint[1]) if "logs" in key else endpoint[1]))
    if compression := _find(env, "COMPRESSION"):
        put("compression", *compression)
    if timeout := _find(env, "TIMEOUT"):
        put("timeout", timeout[0], _timeout(*timeout, mistakes))
    if headers := _find(env, "HEADERS"):
        put("headers", headers[0], _headers(*headers, mistakes))
    for name, key in _TLS_FILES.items():
        if file := _find(env, name):
            put(f"tls::{key}", file[0], _literal(file[1]))
    if kind == "otlp_grpc" and (insecure := _find(env, "INSECURE")):
        put("tls::insecure", *insecure)
    return {"exporters": {kind: block}}, sources, mistakes


def _find(env: Mapping[str, str], name: str) -> tuple[str, str] | None:
    """Return full name and value, the LOGS form's before the general one's; empty means unset."""
    for full in (f"{PREFIX}LOGS_{name}", f"{PREFIX}{name}"):
        if value := env.get(full, "").strip():
            return full, value
    return None


def _protocol(env: Mapping[str, str], mistakes: list[Mistake]) -> str:
    name, protocol = _find(env, "PROTOCOL") or ("", "http/protobuf")
    if protocol not in _PROTOCOLS:
        what = f"the protocol {protocol!r} is not spoken"
        mistakes.append(Mistake(name, what, "set http/protobuf or grpc"))
    return _PROTOCOLS.get(protocol, "otlp_http")


def _timeout(name: str, value: str, mistakes: list[Mistake]) -> str:
    if not value.isdecimal():
        what = f"{value!r} is not a number of milliseconds"
        mistakes.append(Mistake(name, what, "set 10000 for ten seconds"))
    elif int(value) < LEAST_TIMEOUT_MS:
        what = f"{value} is in milliseconds, too short for any answer"
        mistakes.append(Mistake(name, what, f"set {int(value) or 10}000 for seconds"))
    return f"{value}ms"


def _headers(name: str, text: str, mistakes: list[Mistake]) -> dict[str, str]:
    """Read `k=v,k2=v2`: values may be percent-encoded, hold `=`, or raw spaces."""
    headers: dict[str, str] = {}
    for number, item in enumerate(text.split(","), 1):
        if not item.strip():
            continue
        key, equals, value = item.partition("=")
        if not equals or not key.strip():
            what = f"item {number} is not key=value (it is not shown)"
            mistakes.append(Mistake(name, what, "set key=value,key2=value2 with , written as %2C"))
            continue
        headers[unquote(key.strip())] = _literal(unquote(value.strip()))
    return headers


def _with_root(url: str) -> str:
    """Give a URL without a path the path /, as the specification wants."""
    scheme, slashes, rest = url.partition("://")
    return f"{scheme}{slashes}{rest}/" if slashes and rest and "/" not in rest else url


def _literal(text: str) -> str:
    """Keep a $ of a variable's value from being read as a reference."""
    return text.replace("$", "$$")


def _renamed(mistake: Mistake, sources: Mapping[str, str]) -> Mistake:
    """Name the variable in place of the key that it stands for."""
    key = mistake.where.partition("::")[2].partition("::")[2]
    for prefix, name in sources.items():
        if f"{key}::".startswith(f"{prefix}::") or prefix.startswith(f"{key}::"):
            return Mistake(name, mistake.what, mistake.hint)
    return mistake
