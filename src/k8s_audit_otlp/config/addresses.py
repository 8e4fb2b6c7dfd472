"""The types of addresses in a configuration: where to send, and where to listen. No I/O."""

import re
from dataclasses import replace
from ipaddress import ip_address
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import PlainValidator

from k8s_audit_otlp.config.secret import Secret, safe_url
from k8s_audit_otlp.config.types import TEXT_SCHEMA, known_value, mistake, shown, to_secret
from k8s_audit_otlp.transport.url import UnusableError, Url

_MAX_PORT = 65_535
_PORT_0 = re.compile(r"^(?:[^/?#]*//)?[^/?#]*:0+(?:[/?#]|$)")
_HOST_AND_PORT = re.compile(r"(?:\[[^\[\]@]+\]|[^:\[\]/@]+):(\d{1,5})/?")
_HOST_NAME = re.compile(r"[\w-]{1,63}(\.[\w-]{1,63})*\.?")
_VARIABLE = re.compile(r"(?:[A-Za-z][\w+.-]*://)?(?:[^/?#]*@)?[^/?#@${}]*([${}])")  # in the host
_HTTP = re.compile(r"https?://", re.IGNORECASE)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://")
# what grpc's name resolution takes: https://github.com/grpc/grpc/blob/master/doc/naming.md
_GRPC_SCHEMES = ("http://", "https://", "dns:", "unix:", "ipv4:", "ipv6:", "passthrough:")


def _as_url(value: Any) -> tuple[Secret, str | None]:
    secret = replace(to_secret(value), is_url=True)
    text = known_value(secret)
    if text == "":
        raise mistake("is empty", "write where to send, or leave the key out")
    if text is not None and re.search(r"\s", text):
        raise mistake("holds white space", "remove it")
    if sign := _VARIABLE.match(text or ""):  # as from the environment
        what = f"its host holds {sign[1]}, as a variable that nobody replaced"
        raise mistake(what, "write the host")
    try:
        _ = urlsplit(text or "").port
    except ValueError:
        raise mistake("its port is no number up to 65535", "correct the port") from None
    if _PORT_0.search(text or ""):
        raise mistake("its port is 0, where nothing listens", "correct the port")
    return secret, text


def _http_url(value: Any) -> Secret:
    secret, text = _as_url(value)
    if text is None or _HTTP.match(text):
        try:
            Url.parse(text or "http://unknown")
        except UnusableError:
            raise mistake(
                "names no host, or one with a part that is empty or over 63 letters",
                "write http://HOST:PORT",
            ) from None
        return secret
    if scheme := _SCHEME.match(text):
        raise mistake(f"the scheme {scheme[0]} is not HTTP", "write http:// or https://")
    head = safe_url(text)
    hint = "https" if head.endswith(":443") else "http"
    more = "" if head == text else "..."
    raise mistake(f"'{head}{more}' has no scheme", f"write {hint}://{head}{more}")


def _base_url(value: Any) -> Secret:
    secret = _http_url(value)
    if re.search(r"[?#]", known_value(secret) or ""):
        raise mistake("has a query, and /v1/logs would be appended to it", "write logs_endpoint")
    if (known_value(secret) or "").rstrip("/").endswith("/v1/logs"):
        raise mistake("ends in /v1/logs, which is appended once more", "write it as logs_endpoint")
    return secret


def _grpc_target(value: Any) -> Secret:
    secret, text = _as_url(value)
    if text is None:
        return secret
    scheme = _SCHEME.match(text)
    if scheme and not text.lower().startswith(_GRPC_SCHEMES):
        raise mistake(
            f"gRPC does not know the scheme {scheme[0]}", "write host:port, http:// or https://"
        )
    named = not scheme and not text.lower().startswith(_GRPC_SCHEMES)
    if named and not re.search(r":\d+/?$", text):
        raise mistake(f"'{safe_url(text)}' has no port", f"write {safe_url(text)}:4317")
    found = _HOST_AND_PORT.fullmatch(text)
    if named and (found is None or int(found[1]) > _MAX_PORT):
        what = f"'{safe_url(text)}' is no host and port up to {_MAX_PORT}"
        raise mistake(what, "write HOST:4317, an address of IPv6 in [ ]")
    return secret


def _host_and_port(value: Any, example: str) -> tuple[str, int]:
    host, colon, port = str(value).rpartition(":")
    if not colon or "/" in host or not port.isdecimal() or int(port) > _MAX_PORT:
        what = f"{shown(value)} is no host:port with a port up to {_MAX_PORT}"
        raise mistake(what, f"write {example}")
    return host, int(port)


def check_broker(value: str) -> None:
    """Raise a mistake where *value* is not the host and port of a server to connect to."""
    if not all(_host_and_port(value, "HOST:9092")):
        raise mistake(f"{shown(value)} has no host, or port 0", "write HOST:9092")


def _address(value: Any) -> str:
    host, _ = _host_and_port(value, "one such as 127.0.0.1:9464")
    if host and not _is_host(host.strip("[]")):
        hint = "write an address of this host, or 0.0.0.0 for all of them"
        raise mistake(f"{shown(host)} is no name and no address of a host", hint)
    return str(value)


def _is_host(host: str) -> bool:
    """Say whether a host may be one, without asking the network."""
    try:
        return bool(ip_address(host))
    except ValueError:
        return _HOST_NAME.fullmatch(host) is not None


Address = Annotated[str, PlainValidator(_address), TEXT_SCHEMA]
HttpUrl = Annotated[Secret, PlainValidator(_http_url), TEXT_SCHEMA]
BaseUrl = Annotated[Secret, PlainValidator(_base_url), TEXT_SCHEMA]
GrpcTarget = Annotated[Secret, PlainValidator(_grpc_target), TEXT_SCHEMA]


def with_path(base: Secret, path: str) -> Secret:
    """Append *path* to a base URL with exactly one slash between them."""
    *head, last = base.parts
    if not isinstance(last, str):
        return Secret((*base.parts, f"/{path}"), is_url=True)
    return Secret((*head, f"{last.rstrip('/')}/{path}"), is_url=True)
