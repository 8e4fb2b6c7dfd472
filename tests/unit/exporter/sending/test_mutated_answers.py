"""No answer of a back end ends or stops anything: mutated ones, parsed and delivered."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from k8s_audit_otlp.exporter.backoff import Backoff
from k8s_audit_otlp.exporter.delivery import DeliveryOptions
from k8s_audit_otlp.model import Delivered, Retry
from tests.kit.senders import grpc_sender, http_sender

_OK = b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\nContent-Type: %s\r\n\r\n"
_NO = b"HTTP/1.1 %d No\r\nRetry-After: %s\r\n"
ANSWERS = [
    _OK % (b"identity", 9, b"application/x-protobuf") + b"\x0a\x07\x08\x01\x12\x03bad",
    b"HTTP/1.1 100 Go\r\n\r\n" + _OK % (b"gzip", 2, b"application/json") + b"\x1f\x8b",
    _NO % (429, b"Mon, 01 Jan 2026 00:00:00 +0000") + b"Content-Length: 0\r\n\r\n",
    _NO % (503, b"5") + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    _NO % (500, b"0") + b"Content-Type: application/x-protobuf\r\n\r\n\x12\x03bad",
    _NO % (400, b"") + b'Content-Type: application/json\r\n\r\n{"error":{"message":["x"],"c":1}}',
]
PIECES = [
    *(b"9" * 19, b"-1", b"\0", b"\xff\xff\xff", b"\r\n", b": ", b"<", b"[" * 50, b'{"a":', b"NaN"),
    *(b"1e999", b"\\ud800", b"+" + b"9" * 14, b"chunked", b"gzip", b"text/html", b"\x80" * 12),
]


def mutated(seed: int) -> bytes:
    rng = random.Random(seed)  # noqa: S311 - a test's
    data = bytearray(rng.choice(ANSWERS))
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        end = at + rng.choice([0, 0, 1, 4, 20])
        data[at:end] = rng.choice([b"", rng.choice(PIECES), rng.randbytes(3)])
    return bytes(data) or b"\0"


@pytest.mark.parametrize("first", range(0, 1000, 250))
def test_no_mutated_answer_ends_a_delivery(
    harness: Any, servers: Any, resource_scopes: Any, record: Any, first: Any
) -> None:
    """A thousand answers; after each one a good one settles the batch, or it was settled by it."""
    answers = {"next": b""}

    def play(connection: Any, _number: Any) -> None:
        connection.sendall(answers["next"])  # and hang up

    with servers.RawServer(play) as server:
        sender = http_sender(server.url, resource_scopes, timeout="0.1s")
        h = harness(sender, options=DeliveryOptions(Backoff(randomization=0.0)))
        good = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        h.when_waiting = lambda: answers.update(next=good)
        for seed in range(first, first + 250):
            answers["next"] = mutated(seed)
            outcome = sender.send(sender.prepare("k8s_audit", [record("a")]))
            assert "cannot be read" not in getattr(outcome, "why", ""), answers["next"]
            answers["next"] = mutated(seed)
            h.deliver([record(f"{seed}-{n}") for n in range(2)])
            answers["next"] = good
            h.look_after(4, every_s=400)
        sender.close()
    tally = h.tally
    assert tally.delivered + tally.refused + tally.dead_lettered == 500
    assert h.offset == 500


@pytest.mark.parametrize(
    "value",
    [
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Mon, 01 Jan 2026 00:00:00 +99999999999999",
        "Mon, 01 Jan 0001 00:00:00 +2359",
        "Fri, 31 Dec 9999 23:59:59 -2359",
        "9" * 5000,
        "\xb2",
    ],
)
def test_no_retry_after_ends_a_delivery(
    servers: Any, resource_scopes: Any, record: Any, value: Any
) -> None:
    """Dates of any year and zone."""

    def play(connection: Any, _number: Any) -> None:
        connection.sendall(
            b"HTTP/1.1 429 Slow\r\nRetry-After: %s\r\nContent-Length: 0\r\n\r\n"
            % value.encode("latin-1")
        )

    with servers.RawServer(play) as server:
        sender = http_sender(server.url, resource_scopes, timeout="30s")
        outcome = sender.send(sender.prepare("k8s_audit", [record("a")]))
        sender.close()
    assert isinstance(outcome, Retry)
    assert outcome.why.endswith(": HTTP 429")


def test_what_nobody_foresaw_in_an_answer_is_waited_for(
    harness: Callable[..., Any], record: Callable[..., Any]
) -> None:
    """A reader that raises costs one attempt, not the exporter."""
    answers = [ZeroDivisionError("never shown"), Delivered()]

    def answer(_records: Any) -> Any:
        if isinstance(found := answers.pop(0), Exception):
            raise found
        return found

    h = harness(answer)
    h.deliver([record("a")])
    assert h.offset == 1
    assert "unforeseen ZeroDivisionError" in h.recorder.retries[0][0]
    assert "never shown" not in h.recorder.retries[0][0]


class _AnyAnswer(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    def __init__(self) -> None:
        self.rng = random.Random(0)  # noqa: S311 - a test's

    def service(self, _details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(self._play)

    def _play(self, _request: Any, context: Any) -> Any:
        rng = self.rng
        if rng.random() < 0.3:
            return rng.randbytes(rng.randint(0, 30))
        context.set_trailing_metadata(
            [("grpc-status-details-bin", rng.randbytes(rng.randint(0, 40)))]
        )
        context.set_code(rng.choice(list(grpc.StatusCode)[1:]))
        context.set_details("".join(map(chr, rng.choices(range(1, 0x300), k=20))))
        return b""


def test_no_mutated_grpc_answer_raises(
    resource_scopes: dict[str, tuple[bytes, bytes]], record: Callable[..., Any]
) -> None:
    """Codes, details and bodies by chance."""
    with ThreadPoolExecutor(1) as threads:
        server = grpc.server(threads, handlers=[_AnyAnswer()])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        sender = grpc_sender(f"127.0.0.1:{port}", resource_scopes)
        request = sender.prepare("k8s_audit", [record("a")])
        outcomes = {type(sender.send(request)) for _ in range(400)}
        sender.close()
        server.stop(None).wait()
    assert len(outcomes) == 5
