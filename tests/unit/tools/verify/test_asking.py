"""A store that is asked over HTTP: where it is not reached, the cause is said."""

import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from k8s_audit_otlp.config.blocks import Tls
from k8s_audit_otlp.tools.verify.stores.client import StoreClient, StoreError
from tests.kit.backends.servers import free_port

NOBODY = "http://127.0.0.1:PORT"  # where nobody listens


def asked(url: str, env: dict[str, str]) -> None:
    StoreClient(url, {}, Tls(), env, sleep=lambda _: None).page("GET", "/", {})


@pytest.mark.parametrize(
    ("url", "env", "why"),
    [
        (NOBODY, {}, "no connection: Connection refused"),
        ("http://no.such.host.invalid", {}, "the host name cannot be resolved"),
        (
            "http://store",
            {"HTTP_PROXY": NOBODY},
            "through the proxy 127.0.0.1:PORT: no connection: Connection refused",
        ),
    ],
)
def test_why_a_store_is_not_reached_is_said(url: str, env: dict[str, str], why: str) -> None:
    port = str(free_port())
    with pytest.raises(StoreError, match=re.escape(why.replace("PORT", port))):
        asked(url.replace("PORT", port), {k: v.replace("PORT", port) for k, v in env.items()})


def test_tls_on_a_port_that_speaks_none_is_named() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    Thread(target=server.serve_forever, daemon=True).start()
    with pytest.raises(StoreError, match=re.escape("does the port speak plain http://?")):
        asked(f"https://127.0.0.1:{server.server_port}", {})
    server.shutdown()
    server.server_close()
