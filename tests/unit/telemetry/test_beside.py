"""What a running agent reads of its apiserver, and where it pushes its own metrics."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from k8s_audit_otlp.agent.agent import Agent
from k8s_audit_otlp.config.load import load_text
from k8s_audit_otlp.config.service import ApiserverMetrics
from k8s_audit_otlp.telemetry.metrics.apiserver import ApiserverReader
from k8s_audit_otlp.telemetry.metrics.health_samples import health_samples
from k8s_audit_otlp.telemetry.metrics.table import table
from k8s_audit_otlp.telemetry.status import AgentStatus
from k8s_audit_otlp.telemetry.views import HealthView
from tests.conftest import ManualClock
from tests.kit.backends.backend import Backend
from tests.kit.log.events import EventSource

METRICS = """# HELP apiserver_audit_event_total [ALPHA] Counter of audit events generated
# TYPE apiserver_audit_event_total counter
apiserver_audit_event_total {events}
apiserver_audit_error_total{{plugin="log"}} {errors}
apiserver_audit_requests_rejected_total 0
apiserver_request_total{{code="200"}} 9
"""


class Peer:
    """Answers GET with metrics, keeps what is posted."""

    def __init__(self) -> None:
        self.text = ""
        self.token = ""
        self.posted: list[tuple[str, bytes]] = []
        peer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                right = self.headers.get("authorization", "") == peer.token
                self.send_response(200 if right else 401)
                self.end_headers()
                self.wfile.write(peer.text.encode() if right else b"no")

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                peer.posted.append((self.path, body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def peer() -> Iterator[Peer]:
    made = Peer()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def reader(
    peer: Peer, read: Callable[[], int] = int, token_file: str = "", **more: Any
) -> ApiserverReader:
    block = {"url": f"{peer.url}/metrics", "token_file": token_file or None}
    return ApiserverReader(ApiserverMetrics.model_validate(block), read, **more)


def samples(of: ApiserverReader) -> dict[tuple[str, ...], float]:
    beside = health_samples(HealthView(apiserver=of.view()))
    return {(n, *labels.values()): value for n, labels, value in beside if "_apiserver_" in n}


def test_the_apiservers_count_is_held_against_what_was_read(peer: Peer, tmp_path: Path) -> None:
    """From the first reading on, and anew when the apiserver was started again."""
    (tmp_path / "token").write_text("abc\n")
    peer.token = "Bearer abc"  # noqa: S105 - made up
    read = 7
    one = reader(peer, lambda: read, str(tmp_path / "token"))
    assert one.view().events is None
    assert samples(one) == {}
    peer.text = METRICS.format(events="1000", errors="5")
    one.read()
    peer.text, read = METRICS.format(events="1.5e+03", errors="7"), 407
    one.read()
    view = one.view()
    assert (view.counted, view.read, view.unwritten) == (500, 400, 2)
    assert samples(one) == {
        ("k8s_audit_otlp_apiserver_up",): 1,
        ("k8s_audit_otlp_apiserver_events_total",): 1500,
        ("k8s_audit_otlp_apiserver_errors_total", "log"): 7,
    }
    peer.text = METRICS.format(events="3", errors="0")
    one.read()
    view = one.view()
    assert (view.counted, view.read, view.unwritten) == (0, 0, 2)


def test_the_last_hour_is_compared(peer: Peer, clock: ManualClock) -> None:
    """What is not read today does not drown in what was read all year."""
    read = 0
    one = reader(peer, lambda: read, clock=clock)
    for minute in range(600):
        if minute < 560:
            read += 1000
        peer.text = METRICS.format(events=minute * 1000, errors=0)
        one.read()
        clock.advance(60)
    view = one.view()
    assert clock.now - view.since <= 3700
    assert (view.counted, view.read) == (60_000, 20_000)
    assert view.unread


@pytest.mark.parametrize(
    ("text", "token", "said"),
    [
        ("", "", "is this a kube-apiserver"),
        (METRICS.format(events=1, errors=0), "Bearer other", "401; see token_file"),
    ],
)
def test_what_cannot_be_read_says_why(peer: Peer, text: str, token: str, said: str) -> None:
    """A wrong address, a missing right: told with what to do, and as a metric."""
    peer.text, peer.token = text, token
    one = reader(peer)
    one.read()
    assert said in one.view().trouble
    assert samples(one) == {("k8s_audit_otlp_apiserver_up",): 0}


def test_an_apiserver_that_is_away_is_no_error_of_the_agent() -> None:
    """Nothing listens there."""
    block = {"url": "http://127.0.0.1:9/metrics"}
    one = ApiserverReader(ApiserverMetrics.model_validate(block), int)
    one.read()
    assert "refused" in one.view().trouble


CONFIG = """
receivers: {{k8s_audit: {{include: ["{log}"]}}}}
exporters: {{otlp_http: {{endpoint: "{url}"}}}}
service:
  state_dir: "{state}"
  telemetry:
    metrics: {{otlp: {{endpoint: "{peer}", interval: 100ms}}}}
    apiserver: {{url: "{peer}/metrics", interval: 100ms}}
"""


@contextmanager
def running(text: str) -> Iterator[None]:
    agent = Agent(load_text(text, "test", {}).config, {})
    status = AgentStatus(agent, Path("/nowhere"))
    agent.start(lambda _: status.start())
    worker = threading.Thread(target=agent.run)
    worker.start()
    try:
        yield
    finally:
        agent.stop()
        worker.join()
        status.stop()


def pushed(peer: Peer) -> dict[str, ExportMetricsServiceRequest]:
    """Return the newest of each metric that was pushed."""
    found: dict[str, Any] = {}
    for path, body in list(peer.posted):
        assert path == "/v1/metrics"
        request = ExportMetricsServiceRequest.FromString(body)
        for of_resource in request.resource_metrics:
            names = {a.key: a.value.string_value for a in of_resource.resource.attributes}
            assert names["service.name"] == "k8s-audit-otlp"
            for scope in of_resource.scope_metrics:
                found |= {metric.name: metric for metric in scope.metrics}
    return found


def test_the_same_metrics_are_pushed(tmp_path: Path, peer: Peer, backend: Backend) -> None:
    """By name, kind and value as they would be scraped; no listener is needed for it."""
    source = EventSource(1)
    (tmp_path / "audit.log").write_bytes(b"".join(source.line() + b"\n" for _ in range(30)))
    peer.text = METRICS.format(events=12, errors=0)
    text = CONFIG.format(
        log=tmp_path / "audit.log", url=backend.url, state=tmp_path / "state", peer=peer.url
    )
    kinds = {name: kind for name, kind, *_ in table()}
    with running(text):
        end = time.monotonic() + 60
        wanted = "k8s_audit_otlp_events_delivered_total"
        while wanted not in (now := pushed(peer)) or not now[wanted].sum.data_points[0].as_int:
            assert time.monotonic() < end, json.dumps(sorted(now))
            time.sleep(0.05)
    found = pushed(peer)
    (point,) = found[wanted].sum.data_points
    assert point.as_int == 30
    assert {a.key for a in point.attributes} == {"exporter", "receiver"}
    assert 0 < point.start_time_unix_nano < point.time_unix_nano
    for name, metric in found.items():
        form = {"counter": "sum", "gauge": "gauge", "histogram": "histogram"}[kinds[name]]
        assert metric.WhichOneof("data") == form
    durations = found["k8s_audit_otlp_request_duration_seconds"].histogram
    assert sum(p.count for p in durations.data_points) > 0
    assert found["k8s_audit_otlp_request_duration_seconds"].unit == "s"
    assert found["k8s_audit_otlp_apiserver_events_total"].sum.data_points[0].as_double == 12
