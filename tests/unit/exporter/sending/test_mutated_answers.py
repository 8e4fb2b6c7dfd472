"""No answer of a back end ends or stops anything: mutated ones, parsed and delivered."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from k8s_audit_otlp.exporter.backoff import Backoff
from k8s_audit_otlp.exporter.delivery import DeliveryOptions
from k8s_audit_otlp.model import Delivered, Retry
from tests.kit.mutations import AnyGrpcAnswer, mutated_answer
from tests.kit.senders import grpc_sender, http_sender


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
            answers["next"] = mutated_answer(seed)
            outcome = sender.send(sender.prepare("k8s_audit", [record("a")]))
            assert "cannot be read" not in getattr(outcome, "why", ""), answers["next"]
            answers["next"] = mutated_answer(seed)
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


def test_no_mutated_grpc_answer_raises(
    resource_scopes: dict[str, tuple[bytes, bytes]], record: Callable[..., Any]
) -> None:
    """Codes, details and bodies by chance."""
    with ThreadPoolExecutor(1) as threads:
        server = grpc.server(threads, handlers=[AnyGrpcAnswer(400)])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        sender = grpc_sender(f"127.0.0.1:{port}", resource_scopes)
        request = sender.prepare("k8s_audit", [record("a")])
        outcomes = {type(sender.send(request)) for _ in range(400)}
        sender.close()
        server.stop(None).wait()
    assert len(outcomes) == 5
