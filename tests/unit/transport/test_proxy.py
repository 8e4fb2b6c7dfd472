"""Which proxy serves which URL."""

import pytest

from k8s_audit_otlp.transport.proxy import proxy_for

ENV = {"HTTP_PROXY": "http://plain:1", "https_proxy": "secure:2"}


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://siem.example/v1/logs", "http://plain:1"),
        ("https://siem.example/v1/logs", "http://secure:2"),
        ("http://localhost:4318", ""),
        ("http://127.0.0.9:4318", ""),
        ("http://[::1]:4318", ""),
    ],
)
def test_the_scheme_chooses_and_this_host_is_never_proxied(url: str, proxy: str) -> None:
    """Upper and lower case count, a proxy without a scheme is http."""
    assert proxy_for(url, ENV) == proxy


@pytest.mark.parametrize(
    ("excluded", "host", "direct"),
    [
        ("*", "a.test", True),
        ("a.test", "a.test", True),
        ("a.test", "b.a.test", True),
        ("a.test", "ba.test", False),
        (".a.test", "a.test", False),
        (".a.test", "b.a.test", True),
        ("*.a.test", "b.a.test", True),
        ("A.Test", "a.test", True),
        ("a.test:4318", "a.test:4318", True),
        ("a.test:4317", "a.test:4318", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("fd00::/8", "[fd00::1]", True),
        ("fd00::1", "[fd00::1]", True),
        ("[fd00::1]:4318", "[fd00::1]:4318", True),
        ("x, a.test , y", "a.test", True),
        (",,", "a.test", False),
    ],
)
def test_no_proxy_takes_hosts_out(excluded: str, host: str, direct: bool) -> None:
    """Names, suffixes, ports, addresses and networks."""
    proxy = proxy_for(f"http://{host}/", {**ENV, "NO_PROXY": excluded})
    assert (proxy == "") is direct


def test_a_clients_proxy_header_is_not_believed_in_cgi() -> None:
    """REQUEST_METHOD marks CGI, where HTTP_PROXY can come from a request."""
    assert proxy_for("http://a.test/", {**ENV, "REQUEST_METHOD": "GET"}) == ""
