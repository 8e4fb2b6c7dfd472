"""HTTP over TLS: whom it trusts, how it shows itself, what it does when files change."""

import os
import shutil
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.config.blocks import Tls
from k8s_audit_otlp.config.exporters import OtlpHttp
from k8s_audit_otlp.config.load import load_tree
from k8s_audit_otlp.config.secret import Secret
from k8s_audit_otlp.model import Delivered, Misconfigured, Retry
from k8s_audit_otlp.transport.http import HttpSender
from tests.kit.backends.backend import Backend
from tests.kit.senders import http_sender


@pytest.fixture
def exchange(resource_scopes: Any, record: Any) -> Any:
    """Send one record and close."""

    def run(url: Any, tls: Any, **options: Any) -> Any:
        sender = http_sender(url, resource_scopes, tls=tls, **options)
        try:
            return sender.send(sender.prepare("k8s_audit", [record("a")]))
        finally:
            sender.close()

    return run


@pytest.fixture
def tls_backend(pki: Any, server_pair: Any) -> Any:
    with Backend(tls=pki.server_context(server_pair)) as backend:
        yield backend


def test_a_server_with_our_authoritys_certificate_is_trusted(
    tls_backend: Any, exchange: Any, authority: Any
) -> None:
    """The file and the text of a certificate do the same."""
    assert exchange(tls_backend.logs_url, Tls(ca_file=str(authority.cert))) == Delivered()
    text = Tls(ca_pem=Secret.of(authority.cert.read_text()))
    assert exchange(tls_backend.logs_url, text) == Delivered()


def test_another_servers_certificate_is_not_accepted_and_nothing_is_sent(
    tls_backend: Any, exchange: Any
) -> None:
    """It is a mistake to be mended, not a passing fault, and the data is kept."""
    outcome = exchange(tls_backend.logs_url, Tls())
    assert isinstance(outcome, Misconfigured)
    assert "certificate is not accepted" in outcome.why
    assert tls_backend.requests_total == 0


def test_the_name_in_the_certificate_must_fit(pki: Any, authority: Any, exchange: Any) -> None:
    """Unless a name is given, or checking is turned off."""
    other = authority.issue("other", ("elsewhere.test",))
    trust: dict[str, Any] = {"ca_file": str(authority.cert)}
    with Backend(tls=pki.server_context(other)) as backend:
        url = backend.logs_url
        assert isinstance(exchange(url, Tls(**trust)), Misconfigured)
        named = Tls(**trust, server_name_override="elsewhere.test")
        assert exchange(url, named) == Delivered()
        assert exchange(url, Tls(insecure_skip_verify=True)) == Delivered()


def test_a_client_certificate_is_shown(
    pki: Any, server_pair: Any, client_pair: Any, authority: Any, exchange: Any
) -> None:
    """From files and from texts; without one the server refuses, and that is no poison."""
    trust: dict[str, Any] = {"ca_file": str(authority.cert)}
    with Backend(tls=pki.server_context(server_pair, clients=authority.cert)) as backend:
        files: dict[str, Any] = {
            "cert_file": str(client_pair.cert),
            "key_file": str(client_pair.key),
        }
        assert exchange(backend.logs_url, Tls(**trust, **files)) == Delivered()
        texts: dict[str, Any] = {
            "cert_pem": client_pair.cert.read_text(),
            "key_pem": client_pair.key.read_text(),
        }
        assert exchange(backend.logs_url, Tls(**trust, **texts)) == Delivered()
        outcome = exchange(backend.logs_url, Tls(**trust))
        assert isinstance(outcome, Retry)
        assert backend.received.total == 2


def test_tls_1_1_is_refused_and_1_3_can_be_demanded(
    pki: Any, server_pair: Any, authority: Any, exchange: Any
) -> None:
    """The oldest version is 1.2."""
    context = pki.server_context(server_pair)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    trust: dict[str, Any] = {"ca_file": str(authority.cert)}
    with Backend(tls=context) as backend:
        assert exchange(backend.logs_url, Tls(**trust)) == Delivered()
        outcome = exchange(backend.logs_url, Tls(**trust, min_version="1.3"))
        assert isinstance(outcome, Retry)
        assert not outcome.reached


def test_certificates_are_loaded_anew_when_they_change(
    pki: Any, authority: Any, tls_backend: Any, resource_scopes: Any, record: Any, tmp_path: Path
) -> None:
    """A rotated CA is used by the next request, without a restart."""
    ca = tmp_path / "ca.crt"
    foreign = pki.Authority(tmp_path, "foreign")
    shutil.copy(foreign.cert, ca)
    sender = http_sender(tls_backend.logs_url, resource_scopes, tls=Tls(ca_file=str(ca)))
    request = sender.prepare("k8s_audit", [record("a")])
    assert isinstance(sender.send(request), Misconfigured)
    shutil.copy(authority.cert, ca)
    assert sender.send(request) == Delivered()
    shutil.copy(foreign.cert, ca)
    assert isinstance(sender.send(request), Misconfigured)
    sender.close()


def test_texts_are_loaded_anew_when_the_files_they_are_read_from_change(
    pki: Any, authority: Any, server_pair: Any, resource_scopes: Any, record: Any, tmp_path: Path
) -> None:
    """`ca_pem: ${file:…}` and the pair of the client, as a Secret's mount renews them."""
    foreign = pki.Authority(tmp_path, "foreign")
    names = ("ca", "cert", "key")
    here = {name: tmp_path / f"mounted.{name}" for name in names}
    block = {f"{name}_pem": f"${{file:{here[name]}}}" for name in names}
    with Backend(tls=pki.server_context(server_pair, clients=authority.cert)) as backend:
        exporter = {"endpoint": backend.url, "tls": block, "timeout": "60s"}
        receivers = {"k8s_audit": {"include": "/nope"}}
        tree = {"receivers": receivers, "exporters": {"otlp_http": exporter}}
        put(here, foreign, foreign.issue("old"))
        parsed = load_tree(tree, "agent.yaml", {}).config.exporters["otlp_http"]
        assert isinstance(parsed, OtlpHttp)
        sender = HttpSender(parsed, resource_scopes, env={})
        request = sender.prepare("k8s_audit", [record("a")])
        assert isinstance(sender.send(request), Misconfigured)
        put(here, authority, authority.issue("new"))
        assert sender.send(request) == Delivered()
        put(here, foreign, authority.issue("newer"))
        assert isinstance(sender.send(request), Misconfigured)
        sender.close()


def test_beside_authorities_of_its_own_the_systems_count_where_asked_for(
    pki: Any, authority: Any, tmp_path: Path
) -> None:
    """Whoever names one back end's authority does not trust the world's."""
    script = f"""
from k8s_audit_otlp.config.blocks import Tls
from k8s_audit_otlp.transport.tls import make_context
for more in (False, True):
    tls = Tls(ca_file={str(authority.cert)!r}, include_system_ca_certs_pool=more)
    print(len(make_context(tls).get_ca_certs()))
"""
    world = pki.Authority(tmp_path, "world").cert
    env = {**os.environ, "SSL_CERT_FILE": str(world), "SSL_CERT_DIR": "/nope"}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "2"]


def put(places: dict[str, Path], ca: Any, client: Any) -> None:
    for name, source in {"ca": ca.cert, "cert": client.cert, "key": client.key}.items():
        shutil.copy(source, places[name])


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_bad_certificate_file_is_named(
    tls_backend: Any, exchange: Any, tmp_path: Path, content: Any
) -> None:
    """The hint starts with the file."""
    file = tmp_path / "ca.crt"
    if content:
        file.write_text(content)
    outcome = exchange(tls_backend.logs_url, Tls(ca_file=str(file)))
    assert isinstance(outcome, Misconfigured)
    assert outcome.why.startswith(f"tls::ca_file {file}: ")


def test_a_key_that_does_not_belong_to_its_certificate_is_named(
    tls_backend: Any, exchange: Any, client_pair: Any, server_pair: Any, authority: Any
) -> None:
    """Without a word of the key."""
    tls = Tls(
        ca_file=str(authority.cert),
        cert_file=str(client_pair.cert),
        key_file=str(server_pair.key),
    )
    outcome = exchange(tls_backend.logs_url, tls)
    assert isinstance(outcome, Misconfigured)
    assert str(client_pair.cert) in outcome.why


def test_tls_goes_through_a_connect_proxy(
    tls_backend: Any, exchange: Any, authority: Any, servers: Any
) -> None:
    """The proxy sees the name and nothing else."""
    tls = Tls(ca_file=str(authority.cert))
    url = f"https://backend.test:{tls_backend.port}/v1/logs"
    with servers.Proxy(admits="me:pw") as proxy:
        env = {"HTTPS_PROXY": proxy.url.replace("http://", "http://me:pw@")}
        assert exchange(url, tls, env=env) == Delivered()
        assert proxy.seen == [("CONNECT", f"backend.test:{tls_backend.port}")]


def test_tls_goes_through_a_proxy_that_is_itself_reached_over_tls(
    tls_backend: Any, exchange: Any, authority: Any, servers: Any, pki: Any, server_pair: Any
) -> None:
    """TLS in TLS; the same authorities are trusted."""
    tls = Tls(ca_file=str(authority.cert))
    url = f"https://backend.test:{tls_backend.port}/v1/logs"
    with servers.Proxy(tls=pki.server_context(server_pair)) as proxy:
        assert exchange(url, tls, proxy_url=proxy.url) == Delivered()
        assert proxy.seen == [("CONNECT", f"backend.test:{tls_backend.port}")]


@pytest.mark.parametrize(
    ("status", "kind"), [(407, Misconfigured), (403, Misconfigured), (502, Retry)]
)
def test_a_proxy_that_does_not_connect_says_so(
    tls_backend: Any, exchange: Any, authority: Any, servers: Any, status: Any, kind: Any
) -> None:
    """Its password is a setting, its trouble passes; neither suspects the records."""
    url = f"https://backend.test:{tls_backend.port}/v1/logs"
    with servers.Proxy(refuse=status) as proxy:
        tls = Tls(ca_file=str(authority.cert))
        outcome = exchange(url, tls, proxy_url=proxy.url)
        assert type(outcome) is kind
        peers = f"backend.test:{tls_backend.port} through the proxy 127.0.0.1:{proxy.port}"
        assert outcome.why.startswith(f"{peers}: the proxy answers HTTP {status} (")


def test_plain_http_sent_to_a_tls_port_is_a_broken_connection(
    tls_backend: Any, exchange: Any
) -> None:
    """And the other way round."""
    outcome = exchange(tls_backend.logs_url.replace("https", "http"), Tls())
    assert isinstance(outcome, Retry | Misconfigured)
