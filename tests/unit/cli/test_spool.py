"""`replay` and `verify` know what a source has put on disk as they know an apiserver's file."""

import http.client
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from k8s_audit_otlp.agent.agent import Agent
from k8s_audit_otlp.config.load import load_text
from tests.kit.agent import events_of, running, wait_for
from tests.kit.backends.backend import Backend
from tests.kit.log.events import EventSource

__all__ = ["wait_for"]
WaitFor = Callable[[Callable[[], object], float], None]

FIRST, LAST = "2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"
CLUSTERS = ("north", "south")
START = 1_767_323_045.0  # 2026-01-02T03:04:05Z
SPOOL = "spool: {max_bytes: 4MiB, segment_bytes: 40KiB, min_free_disk: 1B}"


class Webhook:
    """An agent with a webhook for two clusters, and what was posted to it: one event a second."""

    def __init__(self, folder: Path, live: Backend, new: Backend) -> None:
        self.file = folder / "agent.yaml"
        self.state = folder / "state"
        self.file.write_text(
            f"receivers: {{k8s_audit_webhook: {{endpoint: '127.0.0.1:0', {SPOOL},\n"
            f"  clusters: {{north: {{}}, south: {{}}}}}}}}\n"
            f"exporters:\n"
            f"  otlp_http/live: {{endpoint: {live.url}}}\n"
            f"  otlp_http/new: {{endpoint: {new.url}, audit: {{enabled: false}}}}\n"
            f"service: {{state_dir: {self.state}, shutdown_timeout: 2s}}\n"
        )
        self.ids: dict[str, list[str]] = {cluster: [] for cluster in CLUSTERS}
        self._seconds = START
        self._source = EventSource(1, self._clock)

    def _clock(self) -> float:
        self._seconds += 1.0
        return self._seconds

    @contextmanager
    def running(self) -> Iterator[Agent]:
        config = load_text(self.file.read_text(), "test", {}).config
        with running(config, join_s=30) as agent:
            yield agent

    def post(self, agent: Agent, cluster: str, count: int) -> None:
        """Send events as an apiserver does: one a second, without their kind."""
        items = []
        for _ in range(count):
            audit_id, line = self._source.event()
            self.ids[cluster].append(audit_id)
            items.append(line.replace(b'"kind":"Event","apiVersion":"audit.k8s.io/v1",', b"", 1))
        body = b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[%b]}'
        port = int(agent.sources.addresses["k8s_audit_webhook"].rpartition(":")[2])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("POST", f"/audit/{cluster}", body % b",".join(items))
        assert connection.getresponse().status == 200
        connection.close()

    def command(self, *words: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "k8s_audit_otlp", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == code, done.stdout
        return done.stdout

    def replay(self, *words: str) -> str:
        common = ("--config", str(self.file), "--exporter", "otlp_http/new")
        return self.command("replay", *common, *words)


@pytest.fixture
def new() -> Iterator[Backend]:
    with Backend() as made:
        yield made


@pytest.fixture
def webhook(tmp_path: Path, backend: Backend, new: Backend) -> Webhook:
    return Webhook(tmp_path, backend, new)


def test_a_spool_is_replayed_beside_the_agent_that_writes_it(
    webhook: Webhook, backend: Backend, new: Backend, wait_for: WaitFor
) -> None:
    """Of each cluster, by the events' own times, with the uids and the resource they had."""
    with webhook.running() as agent:
        for cluster in CLUSTERS:
            webhook.post(agent, cluster, 15)
        wait_for(lambda: len(backend.received.uids) == 30, 60)
        assert "30 records sent again" in webhook.replay("--from", FIRST, "--to", LAST)
        assert set(new.received.uids) == set(backend.received.uids)
        for cluster in CLUSTERS:
            again = [r for r in events_of(new) if r.resource["k8s.cluster.name"] == cluster]
            assert {r.attributes["k8s.audit.id"] for r in again} == set(webhook.ids[cluster])
            assert all(r.resource["k8s.audit.replayed"] is True for r in again)
        assert "10 records would be" in webhook.replay(
            "--from", FIRST, "--to", "2026-01-02T03:04:16Z", "--dry-run"
        )
        webhook.post(agent, "north", 5)  # the spool takes more, and the replay has moved nothing
        wait_for(lambda: len(backend.received.uids) == 35, 60)
    assert len(new.received.uids) == 30
    assert not [n for n in backend.received.notices if n.event_name == "k8s.audit.gap"]


def test_a_spool_is_verified_as_a_log(
    webhook: Webhook, backend: Backend, tmp_path: Path, wait_for: WaitFor
) -> None:
    """Against what arrived: whole, then with one record taken out."""
    with webhook.running() as agent:
        webhook.post(agent, "north", 30)
        wait_for(lambda: len(backend.received.uids) == 30, 60)
        (log,) = (one.path for one in agent.logs if "north" in str(one.path))
    uids, export = list(backend.received.uids), tmp_path / "export"
    export.write_text("\n".join(uids))
    words = ("verify", "--path", str(log), "--against", str(export), "--json")
    found = json.loads(webhook.command(*words))
    assert (found["events"], found["arrived"], found["missing"]) == (30, 30, 0)
    export.write_text("\n".join(uids[1:]))
    found = json.loads(webhook.command(*words, code=5))
    assert found["missing"] == 1
