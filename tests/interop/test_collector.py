"""A real Collector has every event of the log, whatever lies between it and the agent."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.cli.exit_codes import OK, UNDELIVERED
from tests.interop.agent import Agent
from tests.interop.collector import Collector, attributes
from tests.kit.log.events import EventSource

pytestmark = [pytest.mark.interop, pytest.mark.timeout(400, func_only=True)]  # a build takes longer

MIB = 1 << 20
OTEL_CONFIG = Path(__file__).parents[2] / "otel-config" / "collector"
TRANSPORTS = ["http", "grpc"]
HAS_GRPC = find_spec("k8s_audit_otlp.transport.grpc") is not None


def _lines(number: int, seed: int = 1) -> list[bytes]:
    source = EventSource(seed)
    return [source.line() + b"\n" for _ in range(number)]


def _to(collector: Collector, transport: str, *, tls: bool = False) -> tuple[str, dict[str, Any]]:
    """Return the type of an exporter and where it sends."""
    scheme = "https" if tls else "http"
    if transport == "http":
        return "otlp_http", {"endpoint": f"{scheme}://localhost:{collector.http}"}
    if not HAS_GRPC:
        pytest.skip("there is no gRPC transport")
    return "otlp_grpc", {"endpoint": f"{scheme}://localhost:{collector.grpc}"}


def _wait_until(true: Callable[[], bool], timeout: float = 100.0) -> None:
    end = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.1)


def _wait_until_all(agent: Agent, collector: Collector) -> None:
    expected = agent.expected().keys()
    _wait_until(lambda: collector.events().keys() == expected)


def _assert_complete(agent: Agent, collector: Collector) -> None:
    """Compare record by record: nothing is missing, nothing is new, nothing was given up."""
    expected, found = agent.expected(), collector.events()
    missing = expected.keys() - found.keys()
    assert not missing, f"{len(missing)} of {len(expected)} are missing"
    assert found.keys() == expected.keys()
    assert agent.dead_letters() == []


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_event_arrives_once(
    agent: Agent, collector: Collector, transport: str, compression: str
) -> None:
    """In the order of the log, with the attributes of its own."""
    if transport == "grpc" and compression == "zstd":
        pytest.skip("gRPC is compressed with gzip or not at all")
    kind, exporter = _to(collector, transport)
    collector.start(collector.config())
    agent.write(_lines(3000))
    agent.configure(kind, {**exporter, "compression": compression})
    result = agent.once()
    assert result.returncode == OK, result.stderr
    collector.stop()
    _assert_complete(agent, collector)
    assert set(collector.uids().values()) == {1}
    offsets = [int(attributes(r)["log.file.record_offset"]) for r in collector.records()]
    starts, position = set(), 0
    for line in agent.log.read_bytes().splitlines(keepends=True):
        starts.add(position)
        position += len(line)
    assert set(offsets) == starts


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_tls_with_an_authority_of_ones_own(
    agent: Agent, collector: Collector, certificates: Path, transport: str
) -> None:
    """Without the authority nothing is sent, and nothing is given up."""
    kind, exporter = _to(collector, transport, tls=True)
    server = _server_tls(certificates)
    collector.start(collector.config(http=server, grpc=server))
    agent.write(_lines(500))
    agent.configure(kind, exporter)
    assert agent.once("2s").returncode == UNDELIVERED
    agent.configure(kind, {**exporter, "tls": {"ca_file": str(certificates / "ca.crt")}})
    result = agent.once()
    assert result.returncode == OK, result.stderr
    collector.stop()
    _assert_complete(agent, collector)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_mutual_tls(agent: Agent, collector: Collector, certificates: Path, transport: str) -> None:
    """Without a certificate of the agent's own nothing is sent, and nothing is given up."""
    kind, exporter = _to(collector, transport, tls=True)
    server = _server_tls(certificates, client_ca_file=str(certificates / "ca.crt"))
    collector.start(collector.config(http=server, grpc=server))
    agent.write(_lines(500))
    tls = {"ca_file": str(certificates / "ca.crt")}
    agent.configure(kind, {**exporter, "tls": tls})
    assert agent.once("2s").returncode == UNDELIVERED
    tls["cert_file"], tls["key_file"] = (
        str(certificates / "client.crt"),
        str(certificates / "client.key"),
    )
    agent.configure(kind, {**exporter, "tls": tls})
    result = agent.once()
    assert result.returncode == OK, result.stderr
    collector.stop()
    _assert_complete(agent, collector)


def _server_tls(certificates: Path, **more: str) -> Mapping[str, Any]:
    names = {
        "cert_file": str(certificates / "server.crt"),
        "key_file": str(certificates / "server.key"),
    }
    return {"tls": {**names, **more}}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_collector_that_takes_a_mebibyte(
    agent: Agent, collector: Collector, transport: str
) -> None:
    """Requests are split until they fit; none of their records is given up."""
    kind, exporter = _to(collector, transport)
    limits = {"max_request_body_size": MIB}, {"max_recv_msg_size_mib": 1}
    collector.start(collector.config(http=limits[0], grpc=limits[1]))
    agent.write(_lines(8000))
    batch = {"sizer": "bytes", "max_size": 4 * MIB, "min_size": 4 * MIB, "flush_timeout": "1s"}
    more = {"compression": "none", "sending_queue": {"batch": batch}}
    agent.configure(kind, {**exporter, **more})
    result = agent.once()
    assert result.returncode == OK, result.stderr
    collector.stop()
    _assert_complete(agent, collector)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_collector_that_is_stopped_and_started(
    agent: Agent, collector: Collector, transport: str
) -> None:
    """The log goes on meanwhile; what it has not acknowledged is sent again."""
    kind, exporter = _to(collector, transport)
    agent.configure(kind, exporter)
    agent.write(_lines(500, seed=1))
    agent.start()
    for seed in (2, 3):
        collector.start(collector.config())
        agent.write(_lines(300, seed))
        _wait_until(lambda: bool(collector.events()))
        collector.stop()
        agent.write(_lines(300, seed + 10))
        time.sleep(1)  # the agent runs into the closed port
    collector.start(collector.config())
    agent.write(_lines(10, seed=5))
    _wait_until_all(agent, collector)
    agent.stop()
    collector.stop()
    _assert_complete(agent, collector)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_memory_limiter_that_refuses(agent: Agent, collector: Collector, transport: str) -> None:
    """It is back-pressure: everything is kept, and arrives when there is room again."""
    kind, exporter = _to(collector, transport)
    full = {"check_interval": "100ms", "limit_mib": 2, "spike_limit_mib": 1}
    collector.start(collector.config(memory_limiter=full))
    _wait_until(lambda: "refusing data" in collector.log().lower())
    agent.configure(kind, exporter)
    agent.write(_lines(2000))
    agent.start()
    _wait_until(lambda: "refused due to high memory usage" in agent.said())
    assert not collector.events()
    collector.stop()
    collector.start(collector.config())
    _wait_until_all(agent, collector)
    agent.stop()
    collector.stop()
    _assert_complete(agent, collector)


def test_a_sidecar_with_a_queue_on_disk_keeps_what_it_acknowledged(
    agent: Agent, collector: Collector, backend: Collector
) -> None:
    """Killed with the back end down, it delivers everything after its next start."""
    env = _sidecar_env(collector, backend)
    sidecar = OTEL_CONFIG / "sidecar-persistent-queue.yaml"
    collector.start(sidecar, env)
    agent.write(_lines(3000))
    agent.configure(*_to(collector, "http"))
    result = agent.once()
    assert result.returncode == OK, result.stderr
    collector.stop(how=signal.SIGKILL)
    backend.start(backend.config())
    collector.start(sidecar, env)
    _wait_until_all(agent, backend)
    collector.stop()
    backend.stop()
    _assert_complete(agent, backend)


def test_a_sidecar_that_waits_acknowledges_nothing_before_the_back_end(
    agent: Agent, collector: Collector, backend: Collector
) -> None:
    """With the back end down the agent keeps everything; later each event arrives."""
    env = _sidecar_env(collector, backend)
    collector.start(OTEL_CONFIG / "sidecar-wait-for-result.yaml", env)
    agent.write(_lines(3000))
    agent.configure(*_to(collector, "http"))
    assert agent.once("3s").returncode == UNDELIVERED
    collector.stop(how=signal.SIGKILL)
    backend.start(backend.config())
    collector.start(OTEL_CONFIG / "sidecar-wait-for-result.yaml", env)
    result = agent.once()
    assert result.returncode == OK, result.stderr
    collector.stop()
    backend.stop()
    _assert_complete(agent, backend)


def _sidecar_env(collector: Collector, backend: Collector) -> dict[str, str]:
    return {
        "HTTP_ENDPOINT": f"127.0.0.1:{collector.http}",
        "GRPC_ENDPOINT": f"127.0.0.1:{collector.grpc}",
        "STORAGE_DIR": str(collector.directory / "storage"),
        "BACKEND": f"http://127.0.0.1:{backend.http}",
    }


@pytest.mark.parametrize("path", sorted(OTEL_CONFIG.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_shipped_configuration_is_valid(otelcol: Path, tmp_path: Path, path: Path) -> None:
    """A real Collector has nothing to say against it."""
    env = {**os.environ, "STORAGE_DIR": str(tmp_path), "TLS_DIR": str(tmp_path)}
    result = subprocess.run(
        [otelcol, "validate", "--config", path],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
