"""What the checks of an exporter are asked about: back ends, certificates, a port nobody has."""

import ssl
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.config.load import load_text
from k8s_audit_otlp.tools.doctor.exporter_checks import CHECKS
from k8s_audit_otlp.tools.doctor.exporter_facts import ExporterFacts
from tests.kit.backends.backend import Backend
from tests.kit.backends.servers import free_port

TABLE = dict(CHECKS)
KEY = "tkn-0123456789abcdef"


@pytest.fixture
def asked(tmp_path: Path) -> Callable[..., Any]:
    """Ask one check about an exporter with these keys."""

    def ask(
        name: str,
        keys: Any,
        *,
        kind: Any = "otlp_http",
        extensions: Any = "{}",
        env: Any = None,
        **facts: Any,
    ) -> Any:
        text = (
            f"receivers: {{k8s_audit: {{include: ['{tmp_path}/audit.log']}}}}\n"
            f"extensions: {extensions}\nexporters: {{{kind}: {{{keys}}}}}\n"
        )
        config = load_text(text, "test", env or {}).config
        return TABLE[name](ExporterFacts(kind, config.exporters[kind], config, env or {}, **facts))

    return ask


@pytest.fixture
def secure(certificates: Path) -> Callable[..., Any]:
    """Run a back end with one of the certificates."""

    @contextmanager
    def run(name: str) -> Any:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
        with Backend(tls=context) as running:
            yield f"endpoint: '{running.url}', tls: {{ca_file: {certificates}/ca.pem}}"

    return run


def endpoint_of(backend: Backend) -> str:
    return f"endpoint: '{backend.url}'"


@pytest.fixture
def closed_port() -> int:
    return free_port()
