"""Who vouches for a request: tokens, passwords, OAuth 2 against a token server on loopback."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.config.blocks import Tls
from k8s_audit_otlp.config.extensions import BasicAuth, BearerToken, OAuth2Client
from k8s_audit_otlp.model import Delivered, Misconfigured, Retry
from k8s_audit_otlp.transport.credentials import (
    FreshCredentials,
    NoCredentialsError,
    OAuth2Credentials,
)
from tests.conftest import ManualClock
from tests.kit.backends.steps import Accept, Refuse
from tests.kit.senders import http_sender


@pytest.fixture
def client(clock: ManualClock) -> Callable[..., Any]:
    """Make an OAuth 2 client of a token server."""

    def make(url: Any, env: Any = None, **options: Any) -> Any:
        who = {"client_id": "agent", "client_secret": "p:w d"}
        chosen = OAuth2Client.model_validate({"token_url": url, **who, **options})
        return OAuth2Credentials(chosen, env or {}, monotonic=clock)

    return make


def test_a_bearer_token_is_read_anew_each_time(tmp_path: Path) -> None:
    """Kubernetes renews projected tokens on disk."""
    file = tmp_path / "token"
    file.write_text("one")
    token = FreshCredentials(BearerToken(filename=str(file)).headers)
    assert token.headers() == {"Authorization": "Bearer one"}
    file.write_text("two")
    assert token.headers() == {"Authorization": "Bearer two"}


def test_a_token_may_have_another_scheme_and_header() -> None:
    """`scheme: ""` leaves the bare token."""
    block = {"token": "t", "scheme": "", "header": "X-Api-Key"}
    assert BearerToken.model_validate(block).headers() == {"X-Api-Key": "t"}


def test_basic_auth_is_utf_8_in_base64() -> None:
    """RFC 7617."""
    pair = BasicAuth.model_validate({"client_auth": {"username": "jürgen", "password": "a:b"}})
    assert pair.headers() == {"Authorization": "Basic asO8cmdlbjphOmI="}


def test_a_token_is_fetched_once_and_kept_until_shortly_before_it_expires(
    client: Any, servers: Any, clock: Any
) -> None:
    """`expiry_buffer` before the end the next one is fetched."""
    with servers.TokenServer(lifetime=3600) as server:
        oauth = client(server.url, scopes=("logs", "write"), expiry_buffer="300s")
        assert oauth.headers() == {"Authorization": "Bearer token-1"}
        clock.advance(3299)
        assert oauth.headers() == {"Authorization": "Bearer token-1"}
        clock.advance(2)
        assert oauth.headers() == {"Authorization": "Bearer token-2"}
        assert server.forms[0] == {
            "grant_type": ["client_credentials"],
            "scope": ["logs write"],
            "basic": ["agent:p%3Aw+d"],
        }


def test_further_parameters_go_into_the_form(client: Any, servers: Any) -> None:
    """`endpoint_params`, one value or several."""
    with servers.TokenServer() as server:
        params = {"audience": "siem", "resource": ["a", "b"]}
        client(server.url, endpoint_params=params).headers()
        assert server.forms[0]["audience"] == ["siem"]
        assert server.forms[0]["resource"] == ["a", "b"]


def test_a_server_that_wants_the_client_in_the_form_gets_it_there(
    client: Any, servers: Any, clock: Any
) -> None:
    """Found out at the first fetch and remembered."""
    with servers.TokenServer(basic=False, lifetime=100) as server:
        oauth = client(server.url, expiry_buffer="0s")
        assert oauth.headers() == {"Authorization": "Bearer token-1"}
        clock.advance(101)
        assert oauth.headers() == {"Authorization": "Bearer token-2"}
        assert len(server.forms) == 3
        assert server.forms[2]["client_secret"] == ["p:w d"]


def test_a_token_that_lives_shorter_than_the_buffer_is_used_for_half_its_life(
    client: Any, servers: Any, clock: Any
) -> None:
    """Not fetched anew for each request."""
    with servers.TokenServer(lifetime=60) as server:
        oauth = client(server.url, expiry_buffer="300s")
        oauth.headers()
        clock.advance(29)
        oauth.headers()
        assert server.count == 1
        clock.advance(2)
        oauth.headers()
        assert server.count == 2


def test_a_token_without_an_end_is_kept_until_it_is_refused(
    client: Any, servers: Any, clock: Any
) -> None:
    """401 from the back end throws it away."""
    with servers.TokenServer(lifetime=None) as server:
        oauth = client(server.url)
        oauth.headers()
        clock.advance(1e9)
        assert oauth.headers() == {"Authorization": "Bearer token-1"}
        oauth.refused()
        assert oauth.headers() == {"Authorization": "Bearer token-2"}


def test_threads_that_need_a_token_fetch_one(client: Any, servers: Any) -> None:
    """The others wait for the first."""
    with servers.TokenServer() as server:
        oauth, got = client(server.url), []
        threads = [threading.Thread(target=lambda: got.append(oauth.headers())) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert server.count == 1
        assert len(got) == 8


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ((400, {"error": "invalid_scope", "error_description": "p:w d"}), Misconfigured),
        ((403, b""), Misconfigured),
        ((302, b""), Misconfigured),
        ((500, b"p:w d"), Retry),
        ((503, b""), Retry),
        ((429, b""), Retry),
        ((200, b"no json"), Misconfigured),
        ((200, {"token": "x"}), Misconfigured),
        ((200, {"access_token": 7}), Misconfigured),
        ((200, {"access_token": "x", "expires_in": "soon"}), Misconfigured),
    ],
)
def test_without_a_token_the_data_is_kept(
    client: Any, servers: Any, answer: Any, kind: Any
) -> None:
    """A mistake is said, trouble is waited for; what the server writes is not repeated."""
    with servers.TokenServer() as server:
        server.answers = [answer, answer]
        with pytest.raises(NoCredentialsError) as caught:
            client(server.url).headers()
        outcome = caught.value.outcome
        assert type(outcome) is kind
        assert "p:w" not in repr(outcome)
        assert not isinstance(outcome, Retry) or not outcome.reached


def test_a_token_server_that_is_down_is_waited_for(client: Callable[..., Any]) -> None:
    """It says nothing about the records."""
    with pytest.raises(NoCredentialsError) as caught:
        client("http://127.0.0.1:9/token").headers()
    assert caught.value.outcome == Retry(
        "no token from the token server: no connection: Connection refused", reached=False
    )


def test_a_token_server_that_hangs_is_left_at_the_timeout(client: Any, servers: Any) -> None:
    """`timeout` bounds the fetch."""

    def play(connection: Any, _number: Any) -> None:
        servers.drip(connection, b"HTTP/1.1 200 OK\r\n" * 10, 0.05)

    with servers.RawServer(play) as server, pytest.raises(NoCredentialsError) as caught:
        client(server.url, timeout="0.3s").headers()
    assert isinstance(caught.value.outcome, Retry)


def test_the_token_server_is_reached_over_tls_and_a_proxy(
    client: Any, servers: Any, pki: Any, server_pair: Any, authority: Any
) -> None:
    """Its own `tls` block and the proxy variables count."""
    with (
        servers.TokenServer(tls=pki.server_context(server_pair)) as server,
        servers.Proxy() as proxy,
    ):
        url = f"https://backend.test:{server.port}/token"
        env = {"HTTPS_PROXY": proxy.url}
        oauth = client(url, tls=Tls(ca_file=str(authority.cert)), env=env)
        assert oauth.headers() == {"Authorization": "Bearer token-1"}
        assert len(proxy.seen) == 1
        with pytest.raises(NoCredentialsError) as caught:
            client(url, env=env).headers()
        assert "certificate is not accepted" in caught.value.outcome.why


def test_a_sender_fetches_a_new_token_after_a_401(
    client: Any, servers: Any, backend: Any, resource_scopes: Any, record: Any
) -> None:
    """A token that was revoked heals without a restart."""
    with servers.TokenServer() as server:
        credentials = client(server.url)
        sender = http_sender(backend.logs_url, resource_scopes, credentials=credentials)
        backend.plan = [Refuse(401), Accept()]
        request = sender.prepare("k8s_audit", [record("a")])
        assert isinstance(sender.send(request), Misconfigured)
        assert sender.send(request) == Delivered()
        shown = [r.headers["authorization"] for r in backend.requests]
        assert shown == ["Bearer token-1", "Bearer token-2"]
        sender.close()


def test_no_credential_shows_in_a_repr(client: Callable[..., Any]) -> None:
    """Not even in a traceback with locals."""
    secret = {"client_secret": "s3cret"}
    made = [
        FreshCredentials(lambda: {"Authorization": "s3cret"}),
        client("http://h/s3cret", **secret),
        client("http://h/?s3cret", **secret)._client,
    ]
    assert all("s3cret" not in repr(one) for one in made)
