"""Chooses the proxy for a URL from the environment. Pure.

Rules: golang.org/x/net/http/httpproxy, which the Collector uses: HTTP_PROXY, HTTPS_PROXY and
NO_PROXY in upper or lower case; this host itself is never reached through a proxy.
"""

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit


def proxy_for(url: str, env: Mapping[str, str]) -> str:
    """Return the URL of the proxy for *url*, '' for none or where *url* cannot be read."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return ""
    scheme = parts.scheme.lower()
    proxy = _look_up(env, f"{scheme}_proxy")
    if not proxy or is_local(host):
        return ""
    if scheme == "http" and env.get("REQUEST_METHOD"):
        return ""  # in CGI a client's header Proxy: would be the variable
    port = port or (443 if scheme == "https" else 80)
    excluded = _look_up(env, "no_proxy").split(",")
    if any(_matches(entry.strip().lower(), host, port) for entry in excluded):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def _look_up(env: Mapping[str, str], name: str) -> str:
    return (env.get(name.upper()) or env.get(name) or "").strip()


def is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _matches(entry: str, host: str, port: int) -> bool:
    if not entry:
        return False
    if entry == "*":
        return True
    if "/" in entry:
        return _in_network(host, entry)
    if entry.startswith("[") or entry.count(":") == 1:
        entry, _, wanted = entry.rpartition(":") if not entry.endswith("]") else (entry, "", "")
        entry = entry.strip("[]")
        if wanted and wanted != str(port):
            return False
    entry = entry.removeprefix("*")
    if entry.startswith("."):
        return host.endswith(entry)
    return host == entry or host.endswith(f".{entry}")


def _in_network(host: str, entry: str) -> bool:
    try:
        return ip_address(host) in ip_network(entry, strict=False)
    except ValueError:
        return False
