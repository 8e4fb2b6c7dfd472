"""A webhook of a whole agent under requests that mean it ill: bounded, answered, not written.

Real sockets over mutual TLS with a bearer token; the agent is a process, and its memory is looked
at from outside.
"""

import gzip
import json
import socket
import ssl
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.processes import Agent
from tests.kit.agent import events_of
from tests.kit.backends.backend import Backend
from tests.kit.backends.certificates import Authority
from tests.kit.backends.servers import free_port

MIB = 1 << 20
TOKEN = "Authorization: Bearer made-up\r\n"  # noqa: S105 - made up
LONG = TOKEN + f"Content-Length: {65 * MIB}\r\n"
GZIP = TOKEN + "Content-Encoding: gzip\r\n"
CHUNKED = (
    b"POST /audit/prod HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer made-up\r\n"
    b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n%b"
)


def item(audit_id: str, size: int = 0) -> bytes:
    event = {"level": "Metadata", "auditID": audit_id, "stage": "Panic", "verb": "x" * size}
    return json.dumps(event).encode()


def body(*audit_ids: str) -> bytes:
    listed = b",".join(map(item, audit_ids))
    return b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[%b]}' % listed


def request(
    data: bytes = b"", headers: str = TOKEN, path: str = "/audit/prod", first: str = "POST {} 1.1"
) -> bytes:
    method, _, version = first.split(" ")
    head = f"{method} {path} HTTP/{version}\r\nHost: x\r\nConnection: close\r\n{headers}"
    if "content-length" not in headers.lower():
        head += f"Content-Length: {len(data)}\r\n"
    return f"{head}\r\n".encode() + data


@dataclass
class Target:
    """A running agent, and the means of talking to it."""

    port: int
    context: ssl.SSLContext
    agent: Agent
    spool: Path

    def connect(self) -> ssl.SSLSocket:
        """Connect, again where it is not up yet or takes longer than a handshake may."""
        end = time.monotonic() + 60
        while True:
            try:
                plain = socket.create_connection(("127.0.0.1", self.port), timeout=60)
                return self.context.wrap_socket(plain, server_hostname="localhost")
            except OSError:
                assert time.monotonic() < end, (self.spool.parent.parent / "agent.log").read_text()
                time.sleep(0.1)

    def send(self, data: bytes) -> bytes:
        """Return all that is answered until the connection is closed."""
        found = b""
        with self.connect() as connection:
            with suppress(OSError):  # refused before all of it was sent: the answer is there
                connection.sendall(data)
            with suppress(OSError):
                while piece := connection.recv(65_536):
                    found += piece
        return found

    def status(self, data: bytes) -> int:
        answer = self.send(data)
        return int(answer.split(b" ", 2)[1]) if answer else 0

    def memory(self, what: str = "VmRSS") -> int:
        assert self.agent.process is not None
        text = Path(f"/proc/{self.agent.process.pid}/status").read_text()
        (line,) = (line for line in text.splitlines() if line.startswith(f"{what}:"))
        return int(line.split()[1]) << 10

    def written(self) -> list[str]:
        """Return the ids of all events in the spools, in any order."""
        files = self.spool.rglob("audit*.log")
        lines = (line for file in files for line in file.read_bytes().splitlines())
        return [json.loads(line)["auditID"] for line in lines]


@pytest.fixture
def read_timeout() -> str:
    return "5s"  # for a request to come; a test may say otherwise


@pytest.fixture
def target(tmp_path: Path, backend: Backend, read_timeout: str) -> Iterator[Target]:
    authority = Authority(tmp_path)
    server, client = authority.issue("server"), authority.issue("client", ("kube-apiserver",))
    port = free_port()
    (tmp_path / "agent.yaml").write_text(f"""
receivers:
  k8s_audit_webhook:
    endpoint: 127.0.0.1:{port}
    read_timeout: {read_timeout}
    idle_timeout: 600s
    tls: {{cert_file: {server.cert}, key_file: {server.key}, client_ca_file: {authority.cert}}}
    auth: {{authenticator: bearertokenauth}}
    clusters: {{prod: {{client_names: [kube-apiserver]}}, other: {{client_names: [nobody]}}}}
    spool: {{min_free_disk: 1B}}
extensions: {{bearertokenauth: {{token: made-up}}}}
exporters: {{otlp_http: {{endpoint: {backend.url}}}}}
service: {{state_dir: {tmp_path / "state"}, extensions: [bearertokenauth]}}
""")
    context = ssl.create_default_context(cafile=str(authority.cert))
    context.load_cert_chain(client.cert, client.key)
    with Agent(tmp_path / "agent.yaml", tmp_path / "agent.log") as agent:
        agent.start()
        made = Target(port, context, agent, tmp_path / "state" / "spool")
        assert made.status(request(body("first"))) == 200
        yield made


def chunk(data: bytes, size: int | None = None) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data) if size is None else size, data)


BAD = {
    "no token": (request(body("x"), ""), 401),
    "another token": (request(body("x"), "Authorization: Bearer made-uq\r\n"), 401),
    "no token, and waits": (request(b"", "Expect: 100-continue\r\nContent-Length: 9\r\n"), 401),
    "get": (request(first="GET {} 1.1"), 405),
    "put": (request(body("x"), first="PUT {} 1.1"), 405),
    "elsewhere": (request(body("x"), path="/"), 404),
    "slash": (request(body("x"), path="/audit/"), 404),
    "no cluster": (request(body("x"), path="/audit/nowhere"), 404),
    "a cluster of others": (request(body("x"), path="/audit/other"), 403),
    "up": (request(body("x"), path="/audit/.."), 404),
    "up, escaped": (request(body("x"), path="/audit/%2e%2e"), 404),
    "a path": (request(body("x"), path="/audit/prod%2f..%2fx"), 404),
    "deeper": (request(body("x"), path="/audit/prod/x"), 404),
    "nul": (request(body("x"), path="/audit/prod%00"), 404),
    "packed otherwise": (request(body("x"), TOKEN + "Content-Encoding: br\r\n"), 415),
    "no gzip": (request(body("x"), GZIP), 400),
    "gzip cut": (request(gzip.compress(body("x"))[:-3], GZIP), 400),
    "gzip and more": (request(gzip.compress(body("x")) + b"more", GZIP), 400),
    "two gzips": (request(gzip.compress(body("x")) + gzip.compress(body("y")), GZIP), 400),
    "bomb": (request(gzip.compress(b" " * (80 * MIB)), GZIP), 413),
    "long": (request(b"", LONG), 413),
    "longer than numbers": (request(b"", TOKEN + f"Content-Length: {'9' * 30}\r\n"), 400),
    "long, and waits": (request(b"", LONG + "Expect: 100-continue\r\n"), 413),
    "less than none": (request(b"", TOKEN + "Content-Length: -1\r\n"), 400),
    "two lengths": (request(body("x"), TOKEN + "Content-Length: 1\r\nContent-Length: 9\r\n"), 400),
    "shorter than said": (request(body("x"), TOKEN + "Content-Length: 999\r\n"), 408),
    "longer than said": (request(body("x"), TOKEN + "Content-Length: 20\r\n"), 400),
    "chunks that lie": (CHUNKED % (chunk(body("x"), 9) + b"0\r\n\r\n"), 400),
    "chunks without end": (CHUNKED % chunk(body("x")), 408),
    "no such chunk": (CHUNKED % chunk(body("x"), 1 << 90), 400),
    "no host": (request(body("x")).replace(b"Host: x\r\n", b""), 400),
    "no http": (b"hello\r\n\r\n", 400),
    "a header without end": (request(headers=f"X: {'x' * 200_000}\r\n"), 400),
    "empty": (request(), 400),
    "no utf-8 around": (request(body("x").decode().encode("utf-16")), 400),
    "twice the items": (request(body("x")[:-1] + b',"items":[]}'), 400),
    "no events": (request(b'{"kind":"EventList","items":[{"a":1}]}'), 400),
    "of another group": (request(body("x").replace(b"audit.k8s.io/", b"")), 400),
    "deep": (request(b"[" * 3_000_000), 400),
    "a million of nothing": (request(b"[" + b"{}," * 3_000_000 + b"{}]"), 400),
}


def test_what_means_ill_is_answered_and_leaves_nothing(target: Target) -> None:
    """Each has its status and words that say why."""
    for name, (data, wanted) in BAD.items():
        answer = target.send(data)
        head, _, words = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 %d" % wanted), (name, answer[:300])
        assert words.strip(), name
        assert b"100 Continue" not in answer, name
    assert target.written() == ["first"]


@pytest.mark.parametrize("read_timeout", ["300s"])  # of eight at once some wait on a busy machine
def test_by_the_thousand_they_cost_no_memory(target: Target) -> None:
    """Good requests among them are taken, and nothing of the others."""
    quick = [data for data, wanted in BAD.values() if wanted not in (408, 413) and len(data) < MIB]
    before = target.memory()

    def attack(worker: int) -> Counter[int]:
        good = request(body(f"good-{worker}"))
        return Counter(target.status(data) for data in [*(quick * 4), good])

    with ThreadPoolExecutor(8) as pool:
        found = sum(pool.map(attack, range(8)), Counter[int]())
    assert found.total() > 1000
    assert sorted(target.written()) == sorted(["first", *(f"good-{n}" for n in range(8))])
    assert found[200] == 8
    assert target.memory() - before < 48 * MIB


@pytest.mark.parametrize("read_timeout", ["300s"])
def test_a_refused_body_is_gone_with_its_answer(target: Target) -> None:
    blanks, before = request(gzip.compress(b" " * (4 * MIB)), GZIP), target.memory()
    assert {target.status(blanks) for _ in range(40)} == {400}
    assert target.memory() - before < 64 * MIB


@pytest.mark.parametrize("read_timeout", ["600s"])  # 800 take minutes on a busy machine
@pytest.mark.parametrize(("begun", "most"), [(b"", 32 * MIB), (b"\x16\x03", 320 * MIB)])
def test_silent_connections_keep_nobody_out(target: Target, begun: bytes, most: int) -> None:
    """More than are kept open take a bounded memory, and an apiserver is still answered."""
    with target.connect() as trusted, ExitStack() as open_ones:
        kept = request(body("second")).replace(b"Connection: close\r\n", b"")
        trusted.sendall(kept)
        assert b"200" in trusted.recv(1000)
        before = target.memory()
        for _ in range(800):
            silent = socket.create_connection(("127.0.0.1", target.port), timeout=60)
            open_ones.enter_context(silent).sendall(begun)
        assert target.status(request(body("third"))) == 200
        trusted.sendall(kept.replace(b"second", b"fourth"))
        assert b"200" in trusted.recv(1000)
        assert target.memory() - before < most
    assert sorted(target.written()) == ["first", "fourth", "second", "third"]


def test_slow_bodies_are_given_up(target: Target) -> None:
    """A byte now and then holds a connection for no longer than a whole request may take."""
    begun = time.monotonic()
    with target.connect() as connection:
        connection.sendall(request(b"", TOKEN + "Content-Length: 900\r\n"))
        answer = b""
        connection.settimeout(0.2)
        while not answer and time.monotonic() < begun + 60:
            try:
                connection.sendall(b" ")
                answer = connection.recv(1000)
            except TimeoutError:
                continue
            except OSError:
                break
    assert answer.startswith(b"HTTP/1.1 408")
    assert target.written() == ["first"]


@pytest.mark.timeout(400)  # seconds; a busy machine takes long
@pytest.mark.parametrize("read_timeout", ["300s"])
def test_the_longest_request_costs_little_more_than_itself(
    target: Target, backend: Backend
) -> None:
    """One event or many thousands, packed or not; several at once wait for each other."""
    many = [item(f"many-{n}", 1_300) for n in range(40_000)]
    one = item("one", 0)[:-1] + b',"requestObject":"' + b"x" * (20 * MIB) + b'"}'
    listed = b'{"kind":"EventList","items":[%b]}'
    long, single = listed % b",".join(many), listed % one
    before = target.memory("VmHWM")
    assert target.status(request(long)) == 200
    assert target.memory("VmHWM") - before < 1.5 * len(long) + 48 * MIB
    assert target.status(request(gzip.compress(single, 1), GZIP)) == 200
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: target.status(request(long)), range(4)))
    assert not found - {200, 429}
    assert target.memory("VmHWM") - before < 96 * MIB + 96 * MIB
    assert len(target.written()) == 2 + len(many)
    backend.wait_for(2 + len(many), timeout=200)
    assert len(events_of(backend)) == 2 + len(many)


def test_two_requests_at_once_and_old_clients_are_served(target: Target) -> None:
    """Pipelined, chunked, HTTP/1.0, a client that waits for leave, gzip in several members."""
    first = request(body("a")).replace(b"Connection: close\r\n", b"")
    assert target.send(first + request(body("b"))).count(b"HTTP/1.1 200") == 2
    assert target.status(request(body("c"), first="POST {} 1.0")) == 200
    data = body("d")
    assert target.status(CHUNKED % (chunk(data[:9]) + chunk(data[9:]) + b"0\r\n\r\n")) == 200
    waits = request(body("e"), TOKEN + "Expect: 100-continue\r\n")
    answer = target.send(waits)
    assert b"100 Continue" in answer
    assert b"HTTP/1.1 200" in answer
    data = body("f")
    assert target.status(request(gzip.compress(data[:9]) + gzip.compress(data[9:]), GZIP)) == 200
    old = body("g").replace(b"io/v1", b"io/v1beta1")
    assert target.status(request(old, TOKEN + "Content-Type: text/plain\r\n")) == 200
    assert target.status(request(body())) == 200
    assert sorted(target.written()) == ["a", "b", "c", "d", "e", "f", "first", "g"]
