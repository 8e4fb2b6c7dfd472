"""Alerts beside a real kube-apiserver: what agent and apiserver tell, through promtool's engine.

Samples are scraped from both, before and after a load; promtool says which alerts would fire.
"""

import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.faults.hour import series_of
from tests.faults.hour_answers import firing
from tests.faults.processes import Agent
from tests.faults.scenario import small_disk
from tests.interop.apiserver.apiserver import TOKEN, ApiServer
from tests.interop.apiserver.test_apiserver import programs
from tests.kit.backends.backend import Backend
from tests.kit.backends.servers import free_port

__all__ = ["programs"]  # a fixture
pytestmark = [pytest.mark.interop, pytest.mark.timeout(600, func_only=True)]


LOG_DISK_BYTES = 256 << 20  # more than a load writes


class Scraped:
    """One agent beside the apiserver, as a scraper sees both."""

    def __init__(self, folder: Path, log: Path, apiserver: ApiServer, backend: Backend) -> None:
        folder.mkdir()
        self._apiserver = apiserver
        self._port = free_port()
        (folder / "token").write_text(TOKEN)
        own = {
            "url": f"{apiserver.url}/metrics",
            "token_file": str(folder / "token"),
            "insecure_skip_verify": True,
            "interval": "1s",
        }
        told = {"metrics": {"address": f"127.0.0.1:{self._port}"}, "apiserver": own}
        tree = {
            "receivers": {"k8s_audit": {"include": [str(log)]}},
            "exporters": {"otlp_http": {"endpoint": backend.url}},
            "service": {"state_dir": str(folder / "state"), "telemetry": told},
        }
        (folder / "agent.yaml").write_text(yaml.safe_dump(tree))
        self.agent = Agent(folder / "agent.yaml", folder / "agent.log")
        self.agent.start()
        until(lambda: self.own().get("k8s_audit_otlp_apiserver_up") == 1)

    def text(self) -> str:
        try:
            url = f"http://127.0.0.1:{self._port}/metrics"
            with urllib.request.urlopen(url, timeout=60) as answer:
                text: str = answer.read().decode()
        except OSError:
            return ""
        return text

    def own(self) -> dict[str, float]:
        return series_of(self.text())

    def both(self) -> dict[str, float]:
        theirs = series_of(self._apiserver.metrics())
        audit = {name: v for name, v in theirs.items() if name.startswith("apiserver_audit_")}
        return self.own() | audit

    def total(self, name: str) -> float:
        """Return the sum of a metric's series, of either."""
        series = self.both().items()
        return sum(value for each, value in series if each.partition("{")[0] == name)


def until(what: Callable[[], object], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it does not come true"
        time.sleep(0.2)


@pytest.fixture
def promtool(programs: Path) -> Path:
    found = programs / "promtool"
    if not found.exists():
        pytest.skip("promtool is not there: tests/interop/build.sh builds it")
    return found


@pytest.fixture
def apiserver(programs: Path, tmp_path: Path) -> Iterator[ApiServer]:
    with small_disk(tmp_path / "cluster" / "log", LOG_DISK_BYTES):
        server = ApiServer(programs, tmp_path / "cluster")
        server.start()
        yield server
        server.stop()


def test_alerts_over_what_a_real_apiserver_and_its_agent_tell(
    apiserver: ApiServer, promtool: Path, tmp_path: Path
) -> None:
    """All is well: none. A log that nobody reads, and a full disk: the one that says so."""
    with Backend(keep="uids") as backend:
        reads = Scraped(tmp_path / "reads", apiserver.log, apiserver, backend)
        elsewhere = tmp_path / "elsewhere.log"
        elsewhere.touch()
        blind = Scraped(tmp_path / "blind", elsewhere, apiserver, backend)
        with reads.agent, blind.agent:
            before, blind_before = reads.both(), blind.both()
            assert apiserver.load(5.0, 2).wait(120) == 0
            counted = "apiserver_audit_event_total"
            until(lambda: reads.total("k8s_audit_otlp_backlog_bytes") == 0)
            more = reads.total(counted) - before[counted]
            assert more > 300, "else it shows nothing"
            read = "k8s_audit_otlp_events_read_total"
            begun = sum(v for name, v in before.items() if name.startswith(read))
            until(lambda: reads.total(read) - begun >= more)
            until(lambda: reads.total("k8s_audit_otlp_apiserver_events_total") >= more)
            check = subprocess.run(
                [promtool, "check", "metrics"], input=reads.text(), capture_output=True,
                text=True, check=False, timeout=60,
            )  # fmt: skip
            assert (check.returncode, check.stdout + check.stderr) == (0, "")
            assert firing(promtool, tmp_path, before, reads.both()) == set()
            assert "AuditEventsMissing" in firing(promtool, tmp_path, blind_before, blind.both())
            if apiserver.log.parent.is_mount():
                errors_are_told(apiserver, reads, promtool, tmp_path)


def errors_are_told(apiserver: ApiServer, reads: Scraped, promtool: Path, folder: Path) -> None:
    """Fill the disk of the log: what the apiserver cannot write, no agent can read."""
    before = reads.both()
    with (apiserver.log.parent / "ballast").open("wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(bytes(1 << 16))
        except OSError:
            pass
    apiserver.load(3.0, 2).wait(120)
    until(lambda: reads.total("k8s_audit_otlp_apiserver_errors_total") > 0)
    until(lambda: "AuditApiserverErrors" in firing(promtool, folder, before, reads.both()))
