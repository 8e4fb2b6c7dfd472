"""The Collector that is built once and kept, an agent, and certificates."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.agent import Agent
from tests.interop.collector import Collector
from tests.interop.kafka import kafka_broker
from tests.interop.stores.opensearch import OpenSearch

CACHE = Path.home() / ".cache" / "k8s-audit-otlp" / "bin"
BUILD = Path(__file__).parent / "build" / "build.sh"


@pytest.fixture(scope="session")
def otelcol() -> Path:
    """Return a Collector; build it where Go is and it is not there yet."""
    binary = Path(os.environ.get("K8S_AUDIT_OTLP_BIN", CACHE)) / "otelcol"
    if not binary.exists():
        if shutil.which("go") is None:
            pytest.skip(f"{binary} is not there, and there is no Go to build it")
        subprocess.run(["bash", BUILD], env={**os.environ, "OUT": str(binary.parent)}, check=True)
    return binary


@pytest.fixture
def collector(otelcol: Path, tmp_path: Path) -> Iterator[Collector]:
    directory = tmp_path / "collector"
    directory.mkdir()
    running = Collector(otelcol, directory)
    yield running
    running.stop()


@pytest.fixture
def backend(otelcol: Path, tmp_path: Path) -> Iterator[Collector]:
    """Make a second Collector, as the back end of the first."""
    directory = tmp_path / "backend"
    directory.mkdir()
    running = Collector(otelcol, directory)
    yield running
    running.stop()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    directory = tmp_path / "agent"
    directory.mkdir()
    running = Agent(directory)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an authority, a server's and a client's certificate; `<name>.crt` and `<name>.key`."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make certificates with")
    directory = tmp_path_factory.mktemp("certificates")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]

    def make(name: str, *more: str) -> None:
        files = ["-keyout", f"{name}.key", "-out", f"{name}.crt"]
        command = ["openssl", "req", "-x509", *key, *files, "-subj", f"/CN={name}", *more]
        subprocess.run(command, cwd=directory, check=True, capture_output=True)

    signed = ("-CA", "ca.crt", "-CAkey", "ca.key", "-addext", "basicConstraints=critical,CA:FALSE")
    make("ca")
    make("server", *signed, "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    make("client", *signed, "-addext", "extendedKeyUsage=clientAuth")
    return directory


@pytest.fixture(scope="session")
def formatted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the first broker of a run leaves an empty log for the others."""
    return tmp_path_factory.mktemp("kafka") / "formatted"


@pytest.fixture
def broker(tmp_path: Path, formatted: Path) -> Iterator[kafka_broker.Broker]:
    kafka_broker.require()
    made = kafka_broker.Broker(tmp_path / "broker", formatted)
    try:
        made.start()
        yield made
    finally:
        made.kill()


@pytest.fixture(scope="session")
def opensearch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenSearch]:
    running = OpenSearch(tmp_path_factory.mktemp("opensearch"))
    yield running
    running.stop()
