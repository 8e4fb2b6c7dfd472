"""Real stores, asked over HTTP: is the day whole, who changed it."""

import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from k8s_audit_otlp.cli.exit_codes import NOTHING
from k8s_audit_otlp.evidence.seal import make_key
from k8s_audit_otlp.receiver.identity import identify
from tests.faults.hour import series_of
from tests.faults.hour_answers import firing, promtool
from tests.interop.agent import Agent
from tests.interop.stores.clickhouse import ClickHouse
from tests.interop.stores.opensearch import OpenSearch
from tests.interop.stores.stores import Loki, Relay, Store, VictoriaLogs, binary_of
from tests.interop.stores.test_stores import BINARIES, DEPLOY, at, lines_ago, store
from tests.kit.log.events import EventSource

__all__ = ["store"]
pytestmark = pytest.mark.timeout(400, func_only=True)
CLUSTER = 'prod "1"'


def yesterday() -> str:
    return f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"


DAY = yesterday()  # of all tests that name the day they ask for, also past midnight


def hour_of(day: str, hour: int) -> datetime:
    return datetime.fromisoformat(f"{day}T{hour:02}:00:00+00:00")


def lines_at(count: int, when: datetime, seed: int) -> list[bytes]:
    source = EventSource(seed)
    return [at(source.line(), when + timedelta(milliseconds=n)) for n in range(count)]


def deliver(agent: Agent, store: Store, endpoint: str, day: str = DAY) -> list[bytes]:
    """Send two segments of *day* and a live file, sealed; return the lines of the first."""
    first = lines_at(2500, hour_of(day, 3), 1)
    agent.log.with_name("audit-2026-01-02T00-00-00.000.log").write_bytes(b"".join(first))
    second = lines_at(200, hour_of(day, 4), 2)
    agent.log.with_name("audit-2026-01-02T01-00-00.000.log").write_bytes(b"".join(second))
    agent.write(lines_ago(20, timedelta(minutes=1), 3))
    agent.configure("otlp_http", {"endpoint": endpoint, "audit": {"vendor": store.vendor}})
    file = agent.directory / "agent.yaml"
    tree = yaml.safe_load(file.read_text())
    tree["receivers"]["k8s_audit"]["resource"] = {"k8s.cluster.name": CLUSTER}
    tree["service"]["evidence"] = {"key_file": str(agent.directory / "seal.key")}
    file.write_text(yaml.safe_dump(tree))
    make_key(agent.directory / "seal.key")
    done = agent.once()
    assert done.returncode == 0, done.stderr
    return first


def report(store: Store, *more: str) -> subprocess.CompletedProcess[str]:
    words = ["--store", store.title.lower(), "--url", store.url]
    words += ["--cluster", CLUSTER, "--day", DAY, *more]
    command = [sys.executable, "-m", "k8s_audit_otlp", "evidence", "report", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def settled(store: Store, code: int, records: int, *more: str) -> dict[str, Any]:
    """Ask until the answer is *code* about so many records: they may take a second to show.

    Ask less and less often: each question is a process, and who waits for a minute waits idle.
    """
    pause_s = 0.5
    end = time.monotonic() + (600 if isinstance(store, Loki) else 180)  # it deletes by and by
    while True:
        if isinstance(store, Loki):
            store.post("/flush", {})
        done = report(store, "--json", *more)
        if done.returncode == code:
            found: dict[str, Any] = json.loads(done.stdout)
            if found["contents"]["records"] == records:
                return found
        assert time.monotonic() < end, done.stdout + done.stderr
        time.sleep(pause_s)
        pause_s = min(1.5 * pause_s, 6)


def test_a_day_that_nobody_touched_is_complete_and_told(
    agent: Agent, store: Store, tmp_path: Path
) -> None:
    """More than a page of records; the answer is a metric, and a record in the store itself."""
    deliver(agent, store, store.endpoint)
    config, metrics = str(agent.directory / "agent.yaml"), tmp_path / "evidence.prom"
    key = "--key", str(agent.directory / "seal.key.pub")
    found = settled(store, 0, 2700, *key, "--metrics", str(metrics))  # a minute after the seals
    assert found["answer"] == "complete"
    assert not [line for line in found["not_judged"] if "time" in line]
    assert [chain["sealed"] for chain in found["chains"]] == [2]
    done = report(store, *key, "--config", config)
    assert done.returncode == 0, done.stderr
    assert "k8s_audit_otlp_evidence_complete{" in metrics.read_text()
    assert alarmed(tmp_path, metrics) == set()
    empty = report(store, "--day", f"{hour_of(DAY, 3) - timedelta(days=1):%Y-%m-%d}")
    assert empty.returncode == NOTHING
    assert "no segment of the log ended" in empty.stderr
    end = time.monotonic() + 180
    while "NOT" in (told := answers_in(store)) or "complete and untouched" not in told:
        assert time.monotonic() < end, told
        time.sleep(0.5)


def answers_in(store: Store) -> str:
    if isinstance(store, OpenSearch):
        told = {"query": {"term": {"attributes.event.name": "k8s.audit.evidence"}}}
        return str(store.ask(json.dumps(told)))
    if isinstance(store, ClickHouse):
        wanted = "LogAttributes['event.name'] = 'k8s.audit.evidence'"
        return str(store.ask(f"SELECT Body FROM otel_logs WHERE {wanted}"))  # noqa: S608
    if isinstance(store, VictoriaLogs):
        return str(store.ask('_time:5m "event.name":="k8s.audit.evidence"'))
    query = '{service_name="k8s-audit"} | event_name="k8s.audit.evidence"'
    form = {"query": query, "since": "1h"}
    return store.post("/loki/api/v1/query_range", form).decode()


def alarmed(folder: Path, metrics: Path) -> set[str]:
    """Ask promtool which alerts these metrics make fire."""
    told = series_of(metrics.read_text())
    return firing(promtool(), folder, told, told)


def test_a_lost_event_is_named(agent: Agent, store: Store, tmp_path: Path) -> None:
    first = lines_at(2500, hour_of(DAY, 3), 1)
    found = identify(first[0], finished=True)
    assert found is not None
    relay = Relay(store)
    gone = f"{found.name}-{sum(map(len, first[:7])):x}"
    relay.loses.add(gone)
    deliver(agent, store, relay.endpoint)
    relay.stop()
    metrics = tmp_path / "evidence.prom"
    answer = settled(store, 5, 2699, "--metrics", str(metrics))
    assert answer["missing"] == 1
    assert any(gone in line for line in answer["contents"]["missing"]), answer
    assert alarmed(tmp_path, metrics) == {"AuditEvidence"}


@pytest.mark.timeout(900, func_only=True)
def test_an_event_that_the_store_deleted_itself_is_named(agent: Agent, store: Store) -> None:
    """The receipt stays."""
    first = deliver(agent, store, store.endpoint)
    settled(store, 0, 2700)
    found = identify(first[0], finished=True)
    assert found is not None
    gone = f"{found.name}-{sum(map(len, first[:7])):x}"
    store.delete(gone)
    answer = settled(store, 5, 2699)
    assert answer["missing"] == 1
    assert any(gone in line for line in answer["contents"]["missing"]), answer


def test_the_cronjob_of_the_chart_answers_as_it_is_rendered(agent: Agent, tmp_path: Path) -> None:
    """Its very words, with its files in a folder of ours; they ask for the day before the run."""
    helm, binary = binary_of("helm"), binary_of(BINARIES[VictoriaLogs])
    if not (helm.exists() and binary.exists()):
        pytest.skip(f"{helm} or {binary} is not there: tests/interop/build.sh builds them")
    (tmp_path / "store").mkdir()
    store, day = VictoriaLogs(binary, tmp_path / "store"), yesterday()
    try:
        deliver(agent, store, store.endpoint, day)
        settled(store, 0, 2700, "--day", day)
        command, env = rendered_cronjob(helm, store, tmp_path)
        done = subprocess.run(
            command, env=env, capture_output=True, text=True, check=False, timeout=120
        )
    finally:
        store.stop()
    if day != yesterday():
        pytest.skip("midnight came between: it asked for the next day")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "complete: 2,700 records under receipts" in done.stdout


def rendered_cronjob(
    helm: Path, store: VictoriaLogs, folder: Path
) -> tuple[list[str], dict[str, str]]:
    """Return its command and environment; fields of the pod are `field`."""
    exporter = {"endpoint": store.endpoint, "audit": {"vendor": store.vendor}}
    values = {
        "clusterName": CLUSTER,
        "image": {"repository": "k8s-audit-otlp"},
        "exporters": {"otlp_http/logs": exporter},
        "evidenceReport": {"enabled": True, "store": "victorialogs", "url": store.url},
    }
    (folder / "values.yaml").write_text(yaml.safe_dump(values))
    words = [str(helm), "template", "night", str(DEPLOY / "helm" / "k8s-audit-otlp")]
    words += ["-f", str(folder / "values.yaml"), "--kube-version", "1.33.0"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    made = [each for each in yaml.safe_load_all(done.stdout) if each]
    config = next(each for each in made if each["kind"] == "ConfigMap")["data"]["config.yaml"]
    (folder / "config.yaml").write_text(config)
    job = next(each for each in made if each["kind"] == "CronJob")
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["command"] == ["k8s-audit-otlp"]
    own = "/etc/k8s-audit-otlp/config.yaml", str(folder / "config.yaml")
    env = {each["name"]: each.get("value", "field") for each in container["env"]}
    program = [sys.executable, "-m", "k8s_audit_otlp"]
    return [*program, *(word.replace(*own) for word in container["args"])], env
