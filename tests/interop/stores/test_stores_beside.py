"""Queries and exports of real stores where much else has arrived: other nodes, repeats, gaps.

One night has two nodes, restarts, seals, a damaged backup and a replay of a part.
"""

import gzip
import os
import re
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from k8s_audit_otlp.cli.exit_codes import MISSING, OK, UNDELIVERED
from k8s_audit_otlp.evidence.seal import make_key
from k8s_audit_otlp.receiver.identity import identify
from tests.interop.agent import Agent, k8s_audit_otlp
from tests.interop.stores.stores import Relay, Store
from tests.interop.stores.test_stores import lines_ago, promising_more, store
from tests.kit.pages import queries

__all__ = ["store"]
pytestmark = pytest.mark.timeout(400, func_only=True)
NODES = ("one", "two")


@pytest.fixture
def relay(store: Store) -> Iterator[Relay]:
    running = Relay(store)
    yield running
    running.stop()


def _agents(directory: Path, store: Store, endpoint: str) -> list[Agent]:
    """Write the logs of two nodes, and the configurations of their agents."""
    found = []
    for number, node in enumerate(NODES):
        agent = Agent(directory / node)
        agent.directory.mkdir()
        make_key(agent.directory / "seal.key", None)
        agent.configure("otlp_http", {"endpoint": endpoint, "audit": {"vendor": store.vendor}})
        file = agent.directory / "agent.yaml"
        tree = yaml.safe_load(file.read_text())
        tree["receivers"]["k8s_audit"]["resource"] = {"k8s.node.name": node}
        tree["service"]["evidence"] = {"key_file": str(agent.directory / "seal.key")}
        file.write_text(yaml.safe_dump(tree))
        backup = agent.log.with_name
        for hour, count in ((6, 120), (4, 80)):
            lines = lines_ago(count, timedelta(hours=hour), 10 * number + hour)
            backup(f"audit-2026-01-02T0{9 - hour}-00-00.000.log").write_bytes(b"".join(lines))
        packed = gzip.compress(b"".join(lines_ago(60, timedelta(hours=3), 10 * number + 3)))
        damaged = packed[: len(packed) // 2]
        backup("audit-2026-01-02T07-00-00.000.log.gz").write_bytes(damaged)
        agent.write(lines_ago(30, timedelta(minutes=2), 10 * number))
        found.append(agent)
    return found


def _all_of_it(agents: list[Agent]) -> None:
    """Deliver, write and deliver again, and send a part once more."""
    for agent in agents:
        done = agent.once()
        assert done.returncode == OK, done.stderr
        agent.write(lines_ago(10, timedelta(seconds=50), 77))
        done = agent.once()
        assert done.returncode == OK, done.stderr
    config = str(agents[0].directory / "agent.yaml")
    again = ["replay", "--config", config, "--exporter", "otlp_http", "--from", "270m"]
    done = k8s_audit_otlp(*again, "--to", "1m")
    assert done.returncode == UNDELIVERED, done.stderr  # for the damaged backup


def test_a_complete_night_has_no_row_whatever_else_is_there(tmp_path: Path, store: Store) -> None:
    """Two nodes, restarts, seals, a gap and a replay."""
    _all_of_it(_agents(tmp_path, store, store.endpoint))
    store.wait_for(promising_more(queries()[store.query]), 2 * 3)
    store.wait_for_exactly(queries()[store.query], [])


def test_only_the_segment_of_the_lost_event_is_named_and_a_replay_mends_it(
    tmp_path: Path, store: Store, relay: Relay
) -> None:
    """One event of the second node does not arrive."""
    agents = _agents(tmp_path, store, relay.endpoint)
    backup = agents[1].log.with_name("audit-2026-01-02T05-00-00.000.log")
    first = backup.read_bytes().split(b"\n")[0]
    found = identify(first + b"\n", finished=True)
    assert found is not None
    relay.loses.add(f"{found.name}-{len(first) + 1:x}")
    _all_of_it(agents)
    store.wait_for(promising_more(queries()[store.query]), 2 * 3)
    store.wait_for_exactly(queries()[store.query], [found.name])
    verified, missing = _verified(store, agents[1], tmp_path)
    assert verified == MISSING, missing
    assert f"{found.name}-{len(first) + 1:x}" in missing
    relay.loses.clear()
    config = str(agents[1].directory / "agent.yaml")
    done = k8s_audit_otlp("replay", "--config", config, "--exporter", "otlp_http", "--from", "24h")
    assert done.returncode == UNDELIVERED, done.stderr
    store.wait_for_exactly(queries()[store.query], [])
    end = time.monotonic() + 60
    while ", 0 missing" not in (said := _verified(store, agents[1], tmp_path)[1]):
        assert time.monotonic() < end, said  # the live file has no receipt to wait for


def _verified(store: Store, agent: Agent, directory: Path) -> tuple[int, str]:
    """Export with the very command or query that the help of verify gives, and compare."""
    text = k8s_audit_otlp("verify", "--help").stdout
    found = re.search(rf"^ +{store.title} +(\S.*(?:\n {{10,}}\S.*)*)", text, re.MULTILINE)
    assert found is not None
    command = " ".join(line.strip() for line in found[1].splitlines())
    query, _, option = command.partition(", with ")
    if option:
        command = f"curl -s '{store.url}' --data-binary \"{query}\""
    export = directory / "export"
    with export.open("wb") as file:
        env = {**os.environ, **dict.fromkeys(("VL", "LOKI", "ES"), store.url)}
        subprocess.run(["bash", "-c", command], stdout=file, env=env, check=True, timeout=60)
    words = option.partition(";")[0].split()  # --uid-field uid
    done = k8s_audit_otlp("verify", "--path", str(agent.log), "--against", str(export), *words)
    return done.returncode, done.stdout + done.stderr
