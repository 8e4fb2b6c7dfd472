"""An agent with a webhook: what it has answered with 200 arrives, whatever happens to it."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner

from k8s_audit_otlp.agent.agent import Agent
from k8s_audit_otlp.agent.start import AgentOptions
from k8s_audit_otlp.cli.deliver import status as status_command
from k8s_audit_otlp.config.load import load_text
from k8s_audit_otlp.telemetry.agent_views import exporter_views, health_view, process_view
from k8s_audit_otlp.telemetry.health import liveness, readiness
from k8s_audit_otlp.telemetry.metrics.health_samples import health_samples
from k8s_audit_otlp.telemetry.source_views import source_views
from k8s_audit_otlp.telemetry.status import AgentStatus
from k8s_audit_otlp.telemetry.views import HealthView
from tests.kit.agent import RETRY, audit_ids_of, event_list, events_of
from tests.kit.agent import running as running_agent
from tests.kit.backends.backend import Backend
from tests.kit.backends.servers import free_port
from tests.kit.backends.steps import Accept, Hang

SPOOL = "spool: {max_bytes: 1MiB, segment_bytes: 20KiB, min_free_disk: 1B}"


def config(folder: Path, backend: Backend, port: int = 0, spool: str = SPOOL) -> str:
    return f"""
receivers:
  k8s_audit_webhook: {{endpoint: "127.0.0.1:{port}", {spool}}}
exporters: {{otlp_http: {{endpoint: {backend.url}, {RETRY}}}}}
service: {{state_dir: {folder / "state"}, shutdown_timeout: 2s}}
"""


def post(port: int, body: bytes) -> int:
    """Return the status, 0 where nobody answered."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", "/audit", body)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


@contextmanager
def running(text: str) -> Iterator[tuple[Agent, int]]:
    with running_agent(load_text(text, "test", {}).config, join_s=20) as agent:
        yield agent, int(agent.sources.addresses["k8s_audit_webhook"].rpartition(":")[2])


def test_each_timeout_bounds_what_its_key_says(tmp_path: Path, backend: Backend) -> None:
    """A header has `read_timeout`; a connection that rests has `idle_timeout`, and no other."""
    keys = "read_timeout: 1s, idle_timeout: 60s, " + SPOOL
    text = config(tmp_path, backend, spool=keys).replace("2s", "1s")
    with running(text) as (_, port):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as half:
            half.sendall(b"POST /audit HTT")
            assert half.recv(1000) == b""  # TimeoutError where it may take longer
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for number in range(2):
            connection.request("POST", "/audit", event_list(number, 1))  # raises where it is closed
            assert connection.getresponse().read() == b""
            time.sleep(1.5)
        connection.close()


def test_segments_are_deleted_when_everyone_has_them(
    tmp_path: Path, backend: Backend, wait_for: Callable[[Callable[[], object]], None]
) -> None:
    """Each has its receipt, no gap is told, and the newest backup stays for the proof."""
    with running(config(tmp_path, backend)) as (agent, port):
        for number in range(12):
            assert post(port, event_list(number * 100, 100)) == 200
        directory = agent.logs[0].path.parent
        wait_for(lambda: len(set(audit_ids_of(backend))) == 1200)
        wait_for(lambda: len(list(directory.glob("audit-*.log"))) <= 1)
    assert sorted(audit_ids_of(backend)) == sorted(f"id-{n}" for n in range(1200))
    said = [notice.event_name for notice in backend.received.notices]
    assert "k8s.audit.gap" not in said
    receipts = [n for n in backend.received.notices if n.event_name == "k8s.audit.segment"]
    assert len(receipts) >= 4


def test_events_are_taken_while_requests_in_flight_are_waited_for(
    tmp_path: Path, backend: Backend, wait_for: Callable[[Callable[[], object]], None]
) -> None:
    """A back end that hangs holds up a reload, and no apiserver; nor is anything called dead."""
    backend.plan = [Hang()]
    with running(config(tmp_path, backend).replace("2s", "20s")) as (agent, port):
        assert post(port, event_list(0, 10)) == 200
        wait_for(lambda: exporter_views(agent)[0].in_flight)
        agent.hand_over()
        wait_for(lambda: not agent.works)
        assert post(port, event_list(10, 10)) == 200
        assert liveness(process_view(agent)).good
        assert not any("dead" in reason for reason in readiness(health_view(agent)).reasons)
        backend.plan = [Accept()]
        backend.stop()


class Unspeakable(datetime):
    """A time that cannot be written down: what nobody foresees of a commit."""

    def isoformat(self, *_: object, **__: object) -> str:
        raise RuntimeError


def test_no_segment_is_deleted_that_no_checkpoint_knows_to_be_passed(
    tmp_path: Path, backend: Backend, wait_for: Callable[[Callable[[], object]], None]
) -> None:
    """However a commit fails: after a crash its events would be a gap, though they arrived."""
    kind: list[type[datetime]] = [datetime]
    loaded = load_text(config(tmp_path, backend), "test", {}).config
    agent = Agent(loaded, {}, now=lambda: kind[0].now(UTC))
    agent.start()
    thread = Thread(target=agent.run)
    thread.start()
    try:
        port = int(agent.sources.addresses["k8s_audit_webhook"].rpartition(":")[2])
        backups = agent.logs[0].path.parent
        kind[0] = Unspeakable
        for number in range(12):
            assert post(port, event_list(number * 100, 100)) == 200
        wait_for(lambda: len(set(audit_ids_of(backend))) == 1200)
        time.sleep(2.5)  # two commits come round
        assert len(list(backups.glob("audit-*.log"))) >= 4
        kind[0] = datetime
        wait_for(lambda: len(list(backups.glob("audit-*.log"))) <= 1)
    finally:
        agent.stop()
        thread.join(30)


def test_a_full_spool_refuses_until_the_back_end_is_up_again(
    tmp_path: Path, backend: Backend, wait_for: Callable[[Callable[[], object]], None]
) -> None:
    """What was refused comes again; what was taken arrives."""
    small = "spool: {max_bytes: 80KiB, segment_bytes: 20KiB, min_free_disk: 1B}"
    backend.stop()
    with running(config(tmp_path, backend, spool=small)) as (_, port):
        taken = [n for n in range(20) if post(port, event_list(n * 100, 100)) == 200]
        assert 0 < len(taken) < 20
        backend.start()
        wait_for(lambda: len(set(audit_ids_of(backend))) >= 100 * len(taken))
        wait_for(lambda: post(port, event_list(5000, 1)) == 200)
        wait_for(lambda: "id-5000" in audit_ids_of(backend))


@pytest.mark.parametrize("kills", [4])
def test_what_was_answered_with_200_arrives_however_often_the_agent_is_killed(
    tmp_path: Path,
    backend: Backend,
    wait_for: Callable[[Callable[[], object]], None],
    kills: int,
) -> None:
    """The sender repeats what was not answered, as an apiserver does; each event is there once."""
    port = free_port()
    file = tmp_path / "agent.yaml"
    file.write_text(config(tmp_path, backend, port))
    command = [sys.executable, "-m", "k8s_audit_otlp", "run", "--config", str(file)]
    taken: list[int] = []
    done = False

    def send() -> None:
        number = 0
        while not done:
            if post(port, event_list(number * 50, 50)) == 200:
                taken.append(number)
                number += 1
            else:
                time.sleep(0.02)

    sender = Thread(target=send)
    sender.start()
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        for kill in range(1, kills + 1):
            wait_for(lambda kill=kill: len(taken) >= kill * 5)  # type: ignore[misc] # its default
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_for(lambda: len(taken) >= (kills + 1) * 5)
    finally:
        done = True
        sender.join(60)
    expected = {f"id-{n * 50 + k}" for n in taken for k in range(50)}
    try:
        wait_for(lambda: expected <= set(audit_ids_of(backend)))
    finally:
        process.terminate()
        process.wait(60)
    uids = {event.uid for event in events_of(backend)}
    assert len(uids) == len(set(audit_ids_of(backend)))


def test_what_a_source_takes_and_refuses_is_told_everywhere(
    tmp_path: Path, backend: Backend, wait_for: Callable[[Callable[[], object]], None]
) -> None:
    """In metrics, health and `status`: how full the spool is, what was taken and what was not."""
    small = "spool: {max_bytes: 80KiB, segment_bytes: 20KiB, min_free_disk: 1B}"
    backend.stop()
    agent = Agent(load_text(config(tmp_path, backend, spool=small), "test", {}).config, {})
    status = AgentStatus(agent, tmp_path / "no-manifest")
    agent.start()
    thread = Thread(target=agent.run)
    thread.start()
    try:
        port = int(agent.sources.addresses["k8s_audit_webhook"].rpartition(":")[2])
        assert post(port, event_list(0, 100)) == 200
        assert post(port, event_list(0, 100)) == 200
        assert post(port, b"hello") == 400
        wait_for(lambda: post(port, event_list(time.monotonic_ns(), 200)) == 503)
        (view,) = source_views(agent)
        samples = {
            (n, *labels.values()): v for n, labels, v in health_samples(HealthView(sources=[view]))
        }
        assert samples["k8s_audit_otlp_source_requests_total", "k8s_audit_webhook", "400"] == 1
        assert samples["k8s_audit_otlp_source_events_total", "k8s_audit_webhook", "repeated"] == 100
        assert samples["k8s_audit_otlp_spool_max_bytes", "k8s_audit_webhook"] == 80 << 10
        assert samples["k8s_audit_otlp_spool_refuses", "k8s_audit_webhook"] == 1
        assert any("takes nothing" in reason for reason in readiness(health_view(agent)).reasons)
        wait_for(lambda: "it takes nothing" in status_text(tmp_path / "state"))
        said = status_text(tmp_path / "state")
        assert "1 x 400" in said
        assert "repeated 100" in said
        (subscription,) = agent.subscriptions()
        wait_for(lambda: status.runways.seconds(subscription) is not None)
    finally:
        agent.stop()
        thread.join(60)
    assert not thread.is_alive()


def test_counts_go_on_after_a_reload(tmp_path: Path, backend: Backend) -> None:
    """A counter that falls back to nothing would tell of a process that began anew."""
    loaded = load_text(config(tmp_path, backend), "test", {}).config
    options = AgentOptions()
    for number in range(3):
        agent = Agent(loaded, {}, options)
        agent.start()
        thread = Thread(target=agent.run)
        thread.start()
        try:
            port = int(agent.sources.addresses["k8s_audit_webhook"].rpartition(":")[2])
            assert post(port, event_list(number * 100, 100)) == 200
            assert post(port, event_list(number * 100, 10)) == 200
            assert post(port, b"hello") == 400
            (view,) = source_views(agent)
        finally:
            agent.hand_over()
            thread.join(90)
        options = replace(options, lock=agent.lock)
        assert view.answers == {"200": 2 * (number + 1), "400": number + 1}
        (spool,) = view.spools
        assert (spool.taken, spool.repeated) == (100 * (number + 1), 10 * (number + 1))


def test_a_spool_that_no_receiver_reads_any_more_is_told(
    tmp_path: Path,
    backend: Backend,
    wait_for: Callable[[Callable[[], object]], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """While something in it waits; when the receiver is back, that arrives."""
    text = config(tmp_path, backend)
    other = text.replace("k8s_audit_webhook:", "k8s_audit_webhook/other:")
    backend.stop()
    with running(text) as (_, port):
        assert post(port, event_list(0, 100)) == 200
    with running_agent(load_text(other, "test", {}).config, join_s=20):
        (said,) = (r.getMessage() for r in caplog.records if "no receiver reads" in r.message)
    assert "/spool/k8s_audit_webhook/all/audit.log" in said
    backend.start()
    with running(text):
        wait_for(lambda: len(set(audit_ids_of(backend))) == 100)
    caplog.clear()
    with running_agent(load_text(other, "test", {}).config, join_s=20):
        assert not [r for r in caplog.records if "no receiver reads" in r.message]


def status_text(state: Path) -> str:
    return CliRunner().invoke(status_command, ["--state-dir", str(state)]).output
