"""Who does not get through the handshake of TLS is told of."""

import http.client
import ssl
from pathlib import Path

import pytest

from tests.kit.backends.certificates import Authority
from tests.unit.receiver.sources.conftest import Serve


@pytest.mark.parametrize(
    ("client", "server_days", "said"),
    [
        ({"days": 1, "age_days": 3}, 2, "certificate has expired"),
        ({"days": 3, "age_days": -1}, 2, "certificate is not yet valid"),
        (None, 2, "peer did not return a certificate"),
        ({}, 0.01, "alert certificate expired"),  # ours, as the client says
    ],
)
def test_a_handshake_that_fails_is_told(
    serve: Serve,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    client: dict[str, float] | None,
    server_days: float,
    said: str,
) -> None:
    """An apiserver whose certificate has expired loses its events, and only the agent sees why."""
    authority = Authority(tmp_path)
    own = authority.issue("server", days=server_days)
    files = {"cert_file": own.cert, "key_file": own.key, "client_ca_file": authority.cert}
    served = serve({"tls": {key: str(file) for key, file in files.items()}})
    context = ssl.create_default_context(cafile=str(authority.cert))
    if client is not None:
        shown = authority.issue("client", ("apiserver",), **client)
        context.load_cert_chain(shown.cert, shown.key)
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
        served.post(b"[]", context=context)
    served.server.stop(10)
    assert "does not get through the handshake of TLS" in caplog.text
    assert said in caplog.text
    assert served.server.answers == {"tls": 1}
    assert served.held() == []


def test_an_authority_that_was_taken_away_is_trusted_no_more(serve: Serve, tmp_path: Path) -> None:
    """It may have been taken away because its key is known to others; nobody restarts for it."""
    old, new = Authority(tmp_path, "old"), Authority(tmp_path, "new")
    own = old.issue("server")
    trusted = tmp_path / "client-ca.crt"
    trusted.write_bytes(old.cert.read_bytes())
    files = {"cert_file": own.cert, "key_file": own.key, "client_ca_file": trusted}
    served = serve({"tls": {key: str(file) for key, file in files.items()}})

    def shown(authority: Authority) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(old.cert))
        client = authority.issue("client", ("apiserver",))
        context.load_cert_chain(client.cert, client.key)
        return context

    assert served.post(b"[]", context=shown(old))[0] == 200
    trusted.write_bytes(new.cert.read_bytes())
    served.server.look()
    assert served.post(b"[]", context=shown(new))[0] == 200
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
        served.post(b"[]", context=shown(old))
