"""200 means on disk; everything else means that nothing of the request was taken."""

import gzip
import http.client
import logging
import socket
import ssl
import time
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from k8s_audit_otlp.receiver.spool.segment_files import SpoolLimits
from tests.kit.backends.certificates import Authority
from tests.kit.backends.servers import drip
from tests.unit.receiver.sources.conftest import Serve, Served

ITEM = b'{"level":"Metadata","auditID":"%d","stage":"ResponseComplete"}'
HEAD = b'{"kind":"Event","apiVersion":"audit.k8s.io/v1",'


def body(*numbers: int) -> bytes:
    items = b",".join(ITEM % n for n in numbers)
    return b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[' + items + b"]}"


def line(number: int) -> bytes:
    return HEAD + (ITEM % number)[1:] + b"\n"


def test_what_is_answered_with_200_is_in_the_log(serve: Serve) -> None:
    """Lists, gzip, a bare event, a repeat: each event once."""
    served = serve()
    assert served.post(body(1, 2))[0] == 200
    zipped = {"Content-Encoding": "gzip"}
    assert served.post(gzip.compress(body(3)), headers=zipped)[0] == 200
    assert served.post(line(4))[0] == 200
    assert served.post(body())[0] == 200
    assert served.post(body(1, 2, 5))[0] == 200
    assert served.held() == [line(n) for n in range(1, 6)]


@pytest.mark.parametrize(
    ("sent", "path", "headers", "status"),
    [
        (b"hello", "/audit", {}, 400),
        (b'{"kind":"EventList","items":[1]}', "/audit", {}, 400),
        (b"[" * 50_000, "/audit", {}, 400),
        (b'{"kind":"EventList","items":[{}, {"x"', "/audit", {}, 400),
        (body(1), "/audit/prod", {}, 404),
        (body(1), "/other", {}, 404),
        (body(1), "/audit", {"Content-Encoding": "br"}, 415),
        (body(1), "/audit", {"Content-Encoding": "gzip"}, 400),
        (gzip.compress(body(1))[:-9], "/audit", {"Content-Encoding": "gzip"}, 400),
        (b" " * 100_001, "/audit", {}, 413),
        (gzip.compress(b" " * 10_000_000), "/audit", {"Content-Encoding": "gzip"}, 413),
    ],
)
def test_what_cannot_be_taken_is_told_and_leaves_nothing(
    serve: Serve, sent: bytes, path: str, headers: dict[str, str], status: int
) -> None:
    """The answer says what is wrong, and the next request is taken."""
    served = serve({"max_request_body_size": 100_000})
    answer = served.post(sent, path, headers)
    assert answer[0] == status
    assert answer[1].strip()
    assert served.held() == []
    assert served.post(body(1))[0] == 200


def test_a_full_spool_is_answered_with_503_and_when_to_come_again(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a request that does not fit nothing is taken."""
    served = serve(limits=SpoolLimits(300, 100, 0))
    assert served.post(body(1))[0] == 200
    with caplog.at_level(logging.WARNING):
        status, why, headers = served.post(body(2, 3, 4))
    assert (status, headers["retry-after"]) == (503, "5")
    assert "wait for the exporters" in why
    assert "503" in caplog.text
    assert served.held() == [line(1)]


def test_a_cluster_is_told_by_its_path(serve: Serve) -> None:
    """Each has a log of its own; an unknown one is refused."""
    served = serve({"clusters": {"a": {}, "b": {}}})
    assert served.post(body(1), "/audit/a")[0] == 200
    assert served.post(body(2), "/audit/b")[0] == 200
    assert served.post(body(3), "/audit/c")[0] == 404
    assert served.post(body(3), "/audit")[0] == 404
    assert (served.held("a"), served.held("b")) == ([line(1)], [line(2)])


def client_context(authority: Authority, name: str = "") -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.cert))
    if name:
        pair = authority.issue(name, (name,))
        context.load_cert_chain(pair.cert, pair.key)
    return context


def secured(serve: Serve, authority: Authority, **keys: Any) -> Served:
    return serve({"tls": tls_of(authority), **keys})


def tls_of(authority: Authority) -> dict[str, str]:
    pair = authority.issue("server")
    files = {"cert_file": pair.cert, "key_file": pair.key, "client_ca_file": authority.cert}
    return {key: str(file) for key, file in files.items()}


def test_a_cluster_is_told_by_its_certificate(serve: Serve, tmp_path: Path) -> None:
    """A certificate of one cluster cannot write into the log of another."""
    authority = Authority(tmp_path)
    named = {name: {"client_names": [f"apiserver-{name}"]} for name in ("a", "b")}
    clusters = {**named, "open": {}}  # whoever of the authority has no other cluster
    served = secured(serve, authority, clusters=clusters)
    a, c = client_context(authority, "apiserver-a"), client_context(authority, "apiserver-c")
    assert served.post(body(1), context=a)[0] == 200
    assert served.post(body(2), "/audit/a", context=a)[0] == 200
    assert served.post(body(3), "/audit/b", context=a)[0] == 403
    assert served.post(body(3), "/audit/open", context=a)[0] == 403
    assert served.post(body(4), "/audit/open", context=c)[0] == 200
    assert served.post(body(3), context=c)[0] == 404
    assert (served.held("a"), served.held("b")) == ([line(1), line(2)], [])
    assert served.held("open") == [line(4)]


def test_only_named_certificates_of_the_authority_are_taken(serve: Serve, tmp_path: Path) -> None:
    """Who shows none, or one of another authority, does not come as far as a request."""
    authority = Authority(tmp_path)
    served = secured(serve, authority, client_names=["apiserver"])
    assert served.post(body(1), context=client_context(authority, "apiserver"))[0] == 200
    assert served.post(body(2), context=client_context(authority, "kubelet"))[0] == 403
    other = Authority(tmp_path, "other")
    foreign = client_context(authority)
    pair = other.issue("foreign", ("apiserver",))
    foreign.load_cert_chain(pair.cert, pair.key)
    for context in (client_context(authority), foreign):
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
            served.post(body(3), context=context)
    assert served.held() == [line(1)]


def test_a_renewed_certificate_is_taken_up(serve: Serve, tmp_path: Path) -> None:
    """Certificates are renewed under a running agent; half of a pair changes nothing."""
    authority = Authority(tmp_path)
    served = secured(serve, authority)
    good = client_context(authority, "apiserver")
    key = tmp_path / "server.key"
    old = key.read_text()
    key.write_text("not a key yet")
    served.server.look()
    assert served.post(body(1), context=good)[0] == 200
    key.write_text(old)
    authority.issue("server")
    served.server.look()
    assert served.post(body(2), context=good)[0] == 200


def test_slow_requests_are_given_up(serve: Serve) -> None:
    """Neither half a header nor half a body keeps a connection for long."""
    served = serve({"read_timeout": "0.3s"})
    for begun in (
        b"POST /audit HTT",
        b"POST /audit HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{",
    ):
        with socket.create_connection(("127.0.0.1", served.port), timeout=60) as connection:
            connection.sendall(begun)
            answer = connection.recv(1000)
            assert not answer or b"408" in answer
    assert served.held() == []


def test_a_handshake_that_stalls_is_given_up(serve: Serve, tmp_path: Path) -> None:
    """Who says a first byte has no place for long, and others are served meanwhile."""
    authority = Authority(tmp_path)
    served = serve({"tls": tls_of(authority)}, handshake_timeout_s=2.0)
    with socket.create_connection(("127.0.0.1", served.port), timeout=60) as stalled:
        stalled.sendall(b"\x16\x03\x01")
        good = client_context(authority, "apiserver")
        assert served.post(body(1), context=good)[0] == 200
        with suppress(ConnectionError):
            assert stalled.recv(1000) == b""  # TimeoutError after a minute


def test_a_later_request_of_a_connection_has_no_more_time_than_the_first(serve: Serve) -> None:
    """One that has been answered once cannot be held open with half a header either."""
    served = serve({"read_timeout": "1s", "idle_timeout": "60s"})
    whole = b"POST /audit HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b"
    with socket.create_connection(("127.0.0.1", served.port), timeout=60) as connection:
        connection.sendall(whole % (len(body(1)), body(1)))
        assert b"200" in connection.recv(1000)
        time.sleep(1.2)  # idle, which is no fault
        connection.sendall(whole % (len(body(2)), body(2)))
        assert b"200" in connection.recv(1000)
        with pytest.raises(OSError, match=r"."):  # a byte now and then keeps nothing open
            drip(connection, b"P" * 600, 0.1)
    assert served.held() == [line(1), line(2)]


@pytest.mark.parametrize("path", ["/audit", "/elsewhere"])
def test_nothing_is_taken_behind_a_body_that_ends_in_two_ways(serve: Serve, path: str) -> None:
    """A proxy may have read the other end, and have sent another client's request behind it."""
    served = serve()
    behind = b"POST /audit HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b"
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked"
    found = b""
    with socket.create_connection(("127.0.0.1", served.port), timeout=60) as connection:
        connection.sendall(
            head.encode() + b"\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body(1)), body(1))
        )
        with suppress(ConnectionError):
            connection.sendall(behind % (len(body(2)), body(2)))
            while piece := connection.recv(1000):
                found += piece
    assert found.count(b"HTTP/1.1 ") == 1
    assert b" 400 " in found or b" 404 " in found
    assert served.held() == []


def test_gzips_of_nothing_do_not_go_on_for_ever(serve: Serve) -> None:
    """They cost time and fill no bound of memory."""
    served = serve()
    nothing = gzip.compress(b"") * 3_000
    zipped = {"Content-Encoding": "gzip"}
    status, why, _ = served.post(nothing + gzip.compress(body(1)), headers=zipped)
    assert (status, why) == (400, "the gzip body has over 1000 members\n")
    assert served.held() == []


def test_bodies_of_all_requests_together_are_bounded(serve: Serve) -> None:
    """More than two of the longest at once are asked to come again."""
    served = serve({"max_request_body_size": 100_000, "read_timeout": "100s"})
    head = b"POST /audit HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n"
    waiting = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(2)]
    for connection in waiting:
        connection.sendall(head + b" " * 99_000)
    end = time.monotonic() + 60
    while (status := served.post(body(1) + b" " * 5_000)[0]) != 429 and time.monotonic() < end:
        time.sleep(0.02)
    assert status == 429
    for connection in waiting:
        connection.close()
    while (status := served.post(body(2))[0]) != 200 and time.monotonic() < end:
        time.sleep(0.02)
    assert status == 200


def test_thousands_of_bad_requests_leave_nothing_behind(serve: Serve) -> None:
    """Good ones among them are taken all the while."""
    served = serve(token=lambda: "made-up")
    good = {"Authorization": "Bearer made-up"}
    taken: list[int] = []

    def attack(worker: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
        for number in range(250):
            bad = (b"{" * number, body(number), b"\xff" * number)[number % 3]
            headers = good if number % 3 != 1 else {}
            connection.request("POST", "/audit", bad, headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status in (400, 401)
        number = 1_000 + worker
        connection.request("POST", "/audit", body(number), good)
        answer = connection.getresponse()
        if answer.status == 200:
            taken.append(number)
        connection.close()

    threads = [Thread(target=attack, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(served.held()) == sorted(map(line, taken))
    assert len(taken) == 8
    assert served.server.answers.pop("200") == 8
    assert sum(served.server.answers.values()) == 2000
    assert served.server._budget._left == 96 << 20
