"""A real kube-apiserver posts its events over mutual TLS while the agent is killed: 0 lost.

It writes the same events to its log: what is in there must arrive.
"""

import json
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from k8s_audit_otlp.apiserver.webhook import (
    flags,
    kubeconfig,
    make_certificates,
)
from tests.faults.processes import GAP, Agent
from tests.interop.apiserver.apiserver import ApiServer
from tests.interop.apiserver.test_apiserver import programs
from tests.kit.backends.backend import Backend
from tests.kit.backends.received import Record
from tests.kit.backends.servers import free_port

pytestmark = [pytest.mark.interop, pytest.mark.timeout(400, func_only=True)]
__all__ = ["programs"]

LOAD_S = 10.0


@pytest.fixture
def apiserver(programs: Path, tmp_path: Path) -> Iterator[ApiServer]:
    server = ApiServer(programs, tmp_path / "cluster")
    yield server
    server.stop()


def configure(folder: Path, port: int, endpoint: str) -> Path:
    make_certificates(folder / "pki", "127.0.0.1")
    pki = str(folder / "pki")
    webhook = {
        "endpoint": f"127.0.0.1:{port}",
        "tls": {
            "cert_file": f"{pki}/server.crt",
            "key_file": f"{pki}/server.key",
            "client_ca_file": f"{pki}/ca.crt",
        },
        "clusters": {"prod": {"client_names": ["kube-apiserver"]}},
        "spool": {"segment_bytes": "1MiB", "max_bytes": "1GiB", "min_free_disk": "1MiB"},
    }
    exporter = {
        "endpoint": endpoint,
        "retry_on_failure": {"initial_interval": "100ms", "max_interval": "1s"},
        "audit": {"bodies": "raw", "unsafe": True},
    }
    tree = {
        "receivers": {"k8s_audit_webhook": webhook},
        "exporters": {"otlp_http": exporter},
        "service": {"state_dir": str(folder / "state")},
    }
    (folder / "agent.yaml").write_text(yaml.safe_dump(tree))
    (folder / "webhook.yaml").write_text(
        kubeconfig(
            f"https://127.0.0.1:{port}/audit",
            ca_file=f"{pki}/ca.crt",
            cert_file=f"{pki}/client.crt",
            key_file=f"{pki}/client.key",
        )
    )
    return folder / "agent.yaml"


def key_of(event: dict[str, str]) -> tuple[str, str, str]:
    return event["auditID"], event["stage"], event["stageTimestamp"]


def written(log: Path) -> dict[tuple[str, str, str], dict[str, str]]:
    """Return every event that the apiserver has written whole to its own log."""
    whole = (path.read_bytes().rpartition(b"\n")[0] for path in log.parent.iterdir())
    events = (json.loads(line) for data in whole for line in data.splitlines())
    return {key_of(event): event for event in events}


def arrived(backend: Backend) -> dict[tuple[str, str, str], dict[str, str]]:
    bodies = (json.loads(record.body) for record in events_of(backend))
    return {key_of(event): event for event in bodies}


def wait_for_all(
    apiserver: ApiServer, backend: Backend, seconds: float
) -> dict[tuple[str, str, str], dict[str, str]]:
    """Return what the apiserver has written, once all but what it gave up is there, or in time."""
    events = written(apiserver.log)
    end = time.monotonic() + seconds
    out = apiserver.log.parent.parent / "kube-apiserver.out"
    while len(events.keys() - arrived(backend).keys()) > given_up_by(out):
        if time.monotonic() > end:
            break
        time.sleep(0.5)
    return events


@contextmanager
def listening(config: Path, port: int) -> Iterator[Agent]:
    """Run an agent whose webhook takes connections; its log is `agent.log`."""
    with Agent(config, config.with_name("agent.log")) as agent:
        agent.start()
        wait_for_listener(port)
        yield agent


def events_of(backend: Backend) -> list[Record]:
    return [one for one in list(backend.received.records) if not one.ids.is_notice]


@pytest.mark.parametrize("mode", ["batch", "blocking"])
def test_a_killed_agent_loses_nothing_of_what_the_apiserver_posts(
    apiserver: ApiServer, tmp_path: Path, mode: str
) -> None:
    """Every event of the apiserver's log arrives with the same members, and no gap is told."""
    port = free_port()
    with Backend(keep="records") as backend:
        config = configure(tmp_path, port, backend.url)
        with listening(config, port) as agent:
            apiserver.start(
                "--audit-log-maxsize=1000",
                *flags(str(tmp_path / "webhook.yaml"), mode),
            )
            load = apiserver.load(LOAD_S, workers=4)
            kills = 0
            while load.poll() is None:
                time.sleep(3.0)
                agent.end(signal.SIGKILL)
                agent.start()
                wait_for_listener(port)  # on a busy machine the apiserver gives up before
                kills += 1
            # What it holds back when it is stopped is repeated no more: it must post before.
            events = wait_for_all(apiserver, backend, 150)
            apiserver.stop()
            agent.end(signal.SIGTERM)
    found = arrived(backend)
    lost = events.keys() - found.keys()
    given_up = given_up_by(apiserver.log.parent.parent / "kube-apiserver.out")
    print(  # noqa: T201 - shown with -s
        f"{mode}: {len(events)} events, {kills} kills, {len(lost)} missing, "
        f"{given_up} given up by the apiserver, "
        f"{backend.received.duplicates} repeats"
    )
    assert len(events) > 300
    assert len(lost) <= given_up
    assert all(found[key] == events[key] for key in events.keys() & found.keys())
    assert not [n for n in backend.received.notices if n.event_name == GAP]
    assert {r.resource["k8s.cluster.name"] for r in events_of(backend)} == {"prod"}


def test_a_buffer_that_overflows_was_warned_of(apiserver: ApiServer, tmp_path: Path) -> None:
    """An apiserver that may send too little: it drops events, and the agent has said so before."""
    port = free_port()
    with Backend(keep="uids") as backend:
        config = configure(tmp_path, port, backend.url)
        with listening(config, port) as agent:
            apiserver.start(
                f"--audit-webhook-config-file={tmp_path / 'webhook.yaml'}",
                "--audit-webhook-mode=batch",
                "--audit-webhook-batch-max-size=50",
                "--audit-webhook-batch-buffer-size=400",
                "--audit-webhook-batch-throttle-qps=1",
                "--audit-webhook-batch-throttle-burst=1",
                "--audit-log-maxsize=1000",
            )
            apiserver.load(2 * LOAD_S, workers=4).wait(90)
            apiserver.stop()
            agent.end(signal.SIGTERM)
    said = (tmp_path / "agent.log").read_text()
    out = (apiserver.log.parent.parent / "kube-apiserver.out").read_text()
    dropped = out.count("audit buffer queue blocked")
    late = re.findall(r"full requests come (\d+) s late", said)
    print(f"{dropped} events dropped by the buffer, warned of {len(late)} times")  # noqa: T201
    assert dropped
    assert late


def given_up_by(log: Path) -> int:
    """Count the events that kube-apiserver stopped repeating; apiserver_audit_error_total."""
    said = re.findall(r"plugin 'webhook' affecting (\d+) audit events", log.read_text())
    return sum(map(int, said))


def wait_for_listener(port: int) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            assert time.monotonic() < end, "the agent does not listen"
            time.sleep(0.1)
        else:
            return
