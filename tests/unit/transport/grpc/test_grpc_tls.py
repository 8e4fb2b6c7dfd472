"""gRPC over TLS: whom it trusts, how it shows itself, and what gRPC cannot do."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from k8s_audit_otlp.config.blocks import Tls
from k8s_audit_otlp.model import Delivered, Misconfigured, Retry
from tests.kit.backends.certificates import Authority, Pair
from tests.kit.backends.grpc_backend import GrpcBackend
from tests.unit.transport.grpc.grpc_sender import grpc_backend, post, sender

__all__ = ["grpc_backend", "sender"]


def credentials(pair: Pair, clients: Path | None = None) -> grpc.ServerCredentials:
    pairs = [(pair.key.read_bytes(), pair.cert.read_bytes())]
    if clients is None:
        return grpc.ssl_server_credentials(pairs)
    return grpc.ssl_server_credentials(pairs, clients.read_bytes(), require_client_auth=True)


def test_tls_and_mtls(
    sender: Callable[..., Any],
    record: Callable[..., Any],
    authority: Authority,
    server_pair: Pair,
    client_pair: Pair,
) -> None:
    """With files and with texts; without a client certificate nothing is sent."""
    trust: dict[str, Any] = {"ca_file": str(authority.cert)}
    with GrpcBackend(credentials=credentials(server_pair, authority.cert)) as backend:
        files: dict[str, Any] = {
            "cert_file": str(client_pair.cert),
            "key_file": str(client_pair.key),
        }
        texts: dict[str, Any] = {
            "cert_pem": client_pair.cert.read_text(),
            "key_pem": client_pair.key.read_text(),
        }
        for shown in (files, texts):
            tls = Tls(**trust, **shown)
            assert post(sender(backend.target, insecure=False, tls=tls), record) == Delivered()
        alone = sender(backend.target, insecure=False, tls=Tls(**trust))
        assert isinstance(post(alone, record), Retry)


def test_another_servers_certificate_is_not_accepted(
    sender: Any, record: Any, server_pair: Any, tmp_path: Path, pki: Any
) -> None:
    """It is said as what it is."""
    foreign = pki.Authority(tmp_path, "foreign")
    with GrpcBackend(credentials=credentials(server_pair)) as backend:
        tls = Tls(ca_file=str(foreign.cert))
        outcome = post(sender(backend.target, insecure=False, tls=tls), record)
        assert isinstance(outcome, Misconfigured)
        assert "certificate is not accepted" in outcome.why


def test_certificates_are_loaded_anew_when_they_change(
    sender: Any, record: Any, authority: Any, server_pair: Any, tmp_path: Path, pki: Any
) -> None:
    """A rotated CA is used by the next call."""
    ca = tmp_path / "ca.crt"
    shutil.copy(pki.Authority(tmp_path, "foreign").cert, ca)
    with GrpcBackend(credentials=credentials(server_pair)) as backend:
        s = sender(backend.target, insecure=False, tls=Tls(ca_file=str(ca)))
        assert isinstance(post(s, record), Misconfigured)
        shutil.copy(authority.cert, ca)
        assert post(s, record) == Delivered()


@pytest.mark.parametrize("tls", [{"insecure_skip_verify": True}, {"min_version": "1.3"}])
def test_what_grpc_cannot_do_is_said_with_a_hint(
    sender: Callable[..., Any], record: Callable[..., Any], tls: dict[str, Any]
) -> None:
    """Rather than done halfway."""
    outcome = post(sender(insecure=False, tls=Tls(**tls)), record)
    assert isinstance(outcome, Misconfigured)
    assert next(iter(tls)) in outcome.why
