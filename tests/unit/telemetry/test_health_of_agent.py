"""A real agent with a real back end, asked through its listener."""

import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from k8s_audit_otlp.agent.agent import Agent
from k8s_audit_otlp.config.load import load_text
from k8s_audit_otlp.telemetry.agent_views import exporter_views, process_view
from k8s_audit_otlp.telemetry.runway import Runways
from k8s_audit_otlp.telemetry.status import AgentStatus
from tests.kit.backends.backend import Backend
from tests.kit.backends.steps import Refuse

SECRET = "tkn-0123456789abcdef"  # noqa: S105 - made up
EVENT = (
    '{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"{n}",'
    '"stage":"ResponseComplete","requestURI":"/api","verb":"get","user":{{"username":"u"}},'
    '"requestReceivedTimestamp":"2026-01-02T03:04:05.0Z","stageTimestamp":"2026-01-02T03:04:05Z"}}'
)
CONFIG = """
receivers: {{k8s_audit: {{include: ["{log}"]}}}}
exporters:
  otlp_http:
    endpoint: {url}
    headers: {{x-key: "{secret}"}}
    retry_on_failure: {{initial_interval: 10ms, max_interval: 20ms}}
service: {{state_dir: "{state}", telemetry: {{metrics: {{address: "127.0.0.1:0"}}}}}}
"""


def get(address: str, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=60) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def eventually(check: Callable[..., Any], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


@pytest.fixture
def agent_on(tmp_path: Path, log_dir: Path, backend: Backend) -> Callable[..., Any]:
    @contextmanager
    def run(*, manifest: Any = tmp_path / "none.yaml") -> Any:
        text = CONFIG.format(
            log=log_dir / "audit.log", url=backend.url, secret=SECRET, state=tmp_path / "state"
        )
        agent = Agent(load_text(text, "test", {}).config, {})
        status = AgentStatus(agent, manifest)
        agent.start(lambda _: status.start())
        address = status.start()
        worker = threading.Thread(target=agent.run)
        worker.start()
        try:
            yield agent, status, address
        finally:
            agent.stop()
            worker.join()
            status.stop()

    return run


def write(log_dir: Path, count: int) -> None:
    with (log_dir / "audit.log").open("a") as log:
        log.writelines(EVENT.format(n=n) + "\n" for n in range(count))


def test_an_agent_that_delivers_says_so(agent_on: Callable[..., Any], log_dir: Path) -> None:
    """Live, ready, and the numbers are those of the back end."""
    write(log_dir, 5)
    with agent_on() as (agent, status, address):
        eventually(lambda: exporter_views(agent)[0].receivers[0].delivered == 5, 60)
        status.tick()
        assert get(address, "/livez")[0] == 200
        eventually(lambda: get(address, "/readyz")[0] == 200)  # the answer is counted first
        place = '{exporter="otlp_http",receiver="k8s_audit"}'
        settled = f"k8s_audit_otlp_backlog_bytes{place} 0"
        eventually(lambda: settled in get(address, "/metrics")[1])
        text = get(address, "/metrics")[1]
        view = exporter_views(agent)[0]
        assert view.acknowledged_at > 0
        assert view.receivers[0].delivered == 5
        assert f"k8s_audit_otlp_events_delivered_total{place} 5" in text


def test_events_in_another_form_are_events(agent_on: Callable[..., Any], log_dir: Path) -> None:
    """As who writes JSON anew has them, with spaces; their time is told, and no alarm raised."""
    spaced = json.dumps(json.loads(EVENT.format(n=1)))
    (log_dir / "audit.log").write_text(spaced + "\n")
    with agent_on() as (agent, _, address):
        eventually(lambda: exporter_views(agent)[0].receivers[0].delivered)
        assert exporter_views(agent)[0].receivers[0].last_event_at == 1_767_323_045.0
        shown = json.loads(get(address, "/status.json")[1])
        assert "is an audit event" not in shown["verdict"]


def test_the_page_shows_exporters_and_segments_and_no_secret(
    agent_on: Callable[..., Any], log_dir: Path, backend: Backend
) -> None:
    """What is sent, what is not, and what to do; never what a back end or an event says."""
    write(log_dir, 5)
    with agent_on() as (_, _, address):
        eventually(lambda: json.loads(get(address, "/status.json")[1])["exporters"][0]["delivered"])
        shown = json.loads(get(address, "/status.json")[1])
        (exporter,), (log,) = shown["exporters"], shown["logs"]
        assert exporter["delivered"] == 5
        assert log["segments"][0]["positions"] == [{"text": "settled", "kind": "good"}]
        assert shown["reasons"] == []
        assert shown["verdict"] == "Nothing is being lost. All is sent."
        backend.plan = [Refuse(401)] * 1000
        write(log_dir, 1)
        eventually(lambda: json.loads(get(address, "/status.json")[1])["exporters"][0]["next"])
        text = get(address, "/status.json")[1]
        assert "quotes it. Correct it" in text
        assert SECRET not in text


def test_counters_begin_anew_with_each_process(agent_on: Callable[..., Any], log_dir: Path) -> None:
    """A second run counts what it delivers itself, from its first event on."""
    place = '{exporter="otlp_http",receiver="k8s_audit"}'
    for count in (5, 3):
        write(log_dir, count)
        read = f"\nk8s_audit_otlp_events_read_total{place} {count}\n"
        with agent_on() as (_, _, address):
            eventually(lambda read=read: read in get(address, "/metrics")[1], 60)


def test_what_is_in_flight_is_read(
    agent_on: Callable[..., Any], log_dir: Path, backend: Backend
) -> None:
    """While no request is settled as well: read less what became of it is in flight."""
    backend.plan = [Refuse(503)] * 1000
    write(log_dir, 5)
    read = '\nk8s_audit_otlp_events_read_total{exporter="otlp_http",receiver="k8s_audit"} 5\n'
    with agent_on() as (agent, _, address):
        eventually(lambda: read in get(address, "/metrics")[1], 60)
        (view,) = exporter_views(agent)
        assert (view.delivered, view.in_flight_records) == (0, 5)


def test_a_log_that_cannot_be_read_makes_it_unready(
    agent_on: Callable[..., Any], log_dir: Path
) -> None:
    """And alive: a restart would not help."""
    with agent_on() as (_, _, address):
        code, body = get(address, "/readyz")
        assert code == 503
        assert str(log_dir / "audit.log") in json.loads(body)["reasons"][0]
        assert get(address, "/livez")[0] == 200
        assert "\nk8s_audit_otlp_ready 0\n" in get(address, "/metrics")[1]
        (log_dir / "audit.log").touch()
        eventually(lambda: "\nk8s_audit_otlp_ready 1\n" in get(address, "/metrics")[1], 60)


def test_a_back_end_that_refuses_everything_makes_it_unready(
    agent_on: Callable[..., Any], log_dir: Path, backend: Backend
) -> None:
    """Nothing was ever acknowledged; the retries are counted by reason, and no key is shown."""
    backend.plan = [Refuse(401)] * 1000
    write(log_dir, 1)
    with agent_on() as (agent, _, address):
        eventually(lambda: exporter_views(agent)[0].retries.get("misconfigured"))
        code, ready = get(address, "/readyz")
        assert code == 503
        assert "no exporter delivers" in json.loads(ready)["reasons"][0]
        metrics = get(address, "/metrics")[1]
        assert 'retries_total{exporter="otlp_http",reason="misconfigured"}' in metrics
        assert SECRET not in ready + metrics


def test_a_stopped_reader_is_seen(agent_on: Callable[..., Any], log_dir: Path) -> None:
    """A dead thread is named: only a restart brings it back."""
    write(log_dir, 1)
    with agent_on() as (agent, _, _):
        assert list(process_view(agent).dead_threads) == []
        agent.exporters[0].consumer.drain()
        eventually(lambda: "read otlp_http" in process_view(agent).dead_threads)


def test_the_runway_follows_the_manifest(
    agent_on: Callable[..., Any], log_dir: Path, tmp_path: Path
) -> None:
    """The flags of the static pod say how long the log is kept."""
    manifest = tmp_path / "kube-apiserver.yaml"
    flags = ["audit-log-path=/x/audit.log", "audit-log-maxsize=1", "audit-log-maxbackup=2"]
    command = ["kube-apiserver", *(f"--{flag}" for flag in flags)]
    container = {"name": "kube-apiserver", "command": command}
    manifest.write_text(json.dumps({"kind": "Pod", "spec": {"containers": [container]}}))
    write(log_dir, 10)
    times = {"now": 0.0}
    runways = Runways(manifest, monotonic=lambda: times["now"])
    with agent_on() as (agent, _, _):
        eventually(lambda: exporter_views(agent)[0].backlog_bytes == 0)
        runways.look(agent.logs)
        write(log_dir, 200)
        size = (log_dir / "audit.log").stat().st_size
        eventually(lambda: agent.logs[0].live_size == size)
        times["now"] = 60.0
        runways.look(agent.logs)
        runway = exporter_views(agent, runways)[0].receivers[0].runway_s
        assert runway is not None
        assert 60 < runway < 36000


@contextmanager
def refused_agent(agent_on: Callable[..., Any], log_dir: Path, backend: Backend) -> Iterator[Agent]:
    """Run an agent whose back end has refused its key."""
    backend.plan = [Refuse(401)] * 1000
    write(log_dir, 1)
    with agent_on() as (agent, _, _):
        eventually(lambda: exporter_views(agent)[0].retries.get("misconfigured"))
        yield agent


def test_what_becomes_too_old_for_a_back_end_is_not_said_to_be_deleted(
    agent_on: Callable[..., Any],
    log_dir: Path,
    backend: Backend,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No backup more would help; and what nobody bounds has no end."""
    with refused_agent(agent_on, log_dir, backend) as agent:
        ((subscription, *_),) = [exporter.subscriptions for exporter in agent.exporters]
        runways = Runways(log_dir / "none.yaml")
        runways.look(agent.logs)
        runways.warn(subscription, None)
        assert "within 1 min" not in caplog.text
        runways.warn(subscription, 18 * 3600.0)
        assert "audit.log: within 1 min events that it has not sent are older than" in caplog.text
        assert "deleted" not in caplog.text


def test_one_burst_after_the_start_alarms_nobody(
    agent_on: Callable[..., Any],
    log_dir: Path,
    backend: Backend,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A rate that was watched for a minute does, and room that is gone at once: in every answer."""
    with refused_agent(agent_on, log_dir, backend) as agent:
        ((subscription, *_),) = [exporter.subscriptions for exporter in agent.exporters]
        times = {"now": 0.0}
        runways = Runways(log_dir / "none.yaml", monotonic=lambda: times["now"])
        runways.look(agent.logs, {"k8s_audit": 1_000_000})
        write(log_dir, 400)
        size = (log_dir / "audit.log").stat().st_size
        eventually(lambda: agent.logs[0].live_size == size)
        for now, said in ((1.0, 0), (61.0, 1)):
            times["now"] = now
            runways.look(agent.logs, {"k8s_audit": 1_000_000})
            assert (runways.seconds(subscription) is not None) == bool(said)
            runways.warn(subscription, None)
            assert caplog.text.count("the spool is full") == said
        runways.look(agent.logs, {"k8s_audit": 0})
        times["now"] = 200.0
        runways.warn(subscription, None)
        assert caplog.text.count("within 1 min the spool is full") == 1
