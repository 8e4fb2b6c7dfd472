"""Real stores: what they acknowledge is there, and queries say so."""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from k8s_audit_otlp.cli.exit_codes import OK
from k8s_audit_otlp.receiver.identity import identify
from tests.interop.agent import Agent, k8s_audit_otlp
from tests.interop.stores.clickhouse import ClickHouse
from tests.interop.stores.opensearch import OpenSearch
from tests.interop.stores.stores import Loki, Relay, Store, VictoriaLogs, binary_of
from tests.kit.log.events import EventSource
from tests.kit.pages import queries

pytestmark = pytest.mark.timeout(400, func_only=True)
BINARIES = {VictoriaLogs: "victoria-logs", Loki: "loki"}
OPENSEARCH = pytest.param(OpenSearch, id="opensearch", marks=pytest.mark.interop)
STORES = [
    pytest.param(VictoriaLogs, id="victorialogs", marks=pytest.mark.interop),
    OPENSEARCH,
    pytest.param(ClickHouse, id="clickhouse", marks=pytest.mark.interop),
    pytest.param(Loki, id="loki", marks=pytest.mark.loki),
]
DEPLOY = Path(__file__).parents[3] / "deploy"


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param is OpenSearch:  # takes seconds to start, so there is one for all tests
        kept: OpenSearch = request.getfixturevalue("opensearch")
        kept.clear()
        yield kept
        return
    directory = tmp_path / "store"
    directory.mkdir()
    if request.param is ClickHouse:
        running: Store = ClickHouse(directory)
    else:
        kind: type[VictoriaLogs | Loki] = request.param
        binary = binary_of(BINARIES[kind])
        if not binary.exists():
            pytest.skip(f"{binary} is not there: tests/interop/build.sh builds it")
        running = kind(binary, directory)
    yield running
    running.stop()


def _configure(agent: Agent, store: Store, relay: Relay | None = None) -> None:
    endpoint = (relay or store).endpoint
    agent.configure("otlp_http", {"endpoint": endpoint, "audit": {"vendor": store.vendor}})


def _deliver(agent: Agent) -> None:
    done = agent.once()
    assert done.returncode == OK, done.stderr


def at(line: bytes, when: datetime) -> bytes:
    event = json.loads(line)
    text = when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    event["requestReceivedTimestamp"] = event["stageTimestamp"] = text
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"


MILLISECOND = timedelta(milliseconds=1)


def lines_ago(count: int, ago: timedelta, seed: int, step: timedelta = MILLISECOND) -> list[bytes]:
    source, begin = EventSource(seed), datetime.now(UTC) - ago
    return [at(source.line(), begin + n * step) for n in range(count)]


def _three_segments(agent: Agent) -> list[bytes]:
    """Write two backups and the live log, hours old; return the lines of the first.

    That begins before the day of receipts that queries ask for, and ends in it.
    """
    first = lines_ago(300, timedelta(hours=30), 1, step=timedelta(minutes=5))
    backup = agent.log.with_name
    backup("audit-2026-01-02T00-00-00.000.log").write_bytes(b"".join(first))
    second = lines_ago(200, timedelta(hours=3), 2)
    backup("audit-2026-01-02T01-00-00.000.log").write_bytes(b"".join(second))
    agent.write(lines_ago(100, timedelta(minutes=1), 3))
    return first


def test_the_query_says_that_a_night_is_complete(agent: Agent, store: Store) -> None:
    """A backlog of hours arrives as a whole, notices of the present beside it; none is refused."""
    _three_segments(agent)
    _configure(agent, store)
    _deliver(agent)
    assert agent.dead_letters() == []
    store.wait_for(promising_more(queries()[store.query]), 2)  # both receipts are there
    store.wait_for_exactly(queries()[store.query], [])


def test_the_query_names_the_segment_of_a_lost_event(agent: Agent, store: Store) -> None:
    """An event that the store drops after its answer is found."""
    first = _three_segments(agent)
    found = identify(first[0], finished=True)
    assert found is not None
    identity = found.name
    relay = Relay(store)
    relay.loses.add(f"{identity}-{len(first[0]):x}")
    _configure(agent, store, relay)
    _deliver(agent)
    relay.stop()
    store.wait_for(promising_more(queries()[store.query]), 2)
    store.wait_for_exactly(queries()[store.query], [identity])


def test_repeats_of_an_agent_that_lost_its_state_do_not_stand_for_a_lost_event(
    agent: Agent, store: Store
) -> None:
    """Hours-old events go beside newer ones of the same node; none is refused, all count once."""
    first = _three_segments(agent)
    found = identify(first[0], finished=True)
    assert found is not None
    relay = Relay(store)
    relay.loses.add(f"{found.name}-0")
    _configure(agent, store, relay)
    _deliver(agent)
    shutil.rmtree(agent.state)
    agent.write(lines_ago(50, timedelta(seconds=1), 4))
    _deliver(agent)
    relay.stop()
    assert agent.dead_letters() == []
    store.wait_for(promising_more(queries()[store.query]), 2)
    store.wait_for_exactly(queries()[store.query], [found.name])


def test_logs_and_backups_in_any_order_of_time_arrive(agent: Agent, store: Store) -> None:
    """Two logs of one receiver, hours apart; then a backup older than all; then all once more."""
    agent.write(lines_ago(100, timedelta(minutes=1), 3))
    other = agent.directory / "other" / "audit.log"
    other.parent.mkdir()
    other.write_bytes(b"".join(lines_ago(250, timedelta(hours=3), 2)))
    other.with_name("audit-2026-01-02T00-00-00.000.log").write_bytes(
        b"".join(lines_ago(80, timedelta(hours=6), 4))
    )
    _configure(agent, store)
    agent.also_reads(other)
    _deliver(agent)
    late = agent.log.with_name("audit-2026-01-01T00-00-00.000.log")
    late.write_bytes(b"".join(lines_ago(120, timedelta(hours=8), 7)))
    _deliver(agent)
    config = str(agent.directory / "agent.yaml")
    done = k8s_audit_otlp("replay", "--config", config, "--exporter", "otlp_http", "--from", "24h")
    assert done.returncode == OK, done.stderr
    assert agent.dead_letters() == []
    store.wait_for(promising_more(queries()[store.query]), 2)  # no repeat counts as an event
    store.wait_for_exactly(queries()[store.query], [])


def promising_more(query: str) -> str:
    """Make the query ask for one event more than the receipt promises."""
    for less, as_much in (
        ("lt_field", "le_field"),
        (">= on", "> on"),
        ("arrived < ", "arrived <= "),
        ("0) < ", "0) <= "),
    ):
        query = query.replace(less, as_much)
    return query


@pytest.mark.parametrize("store", [OPENSEARCH], indirect=True)
def test_lucene_finds_the_receipts_and_the_events_of_a_segment(agent: Agent, store: Store) -> None:
    assert isinstance(store, OpenSearch)
    first = identify(_three_segments(agent)[0], finished=True)
    assert first is not None
    _configure(agent, store)
    _deliver(agent)
    wanted = {"receipts_lucene": 2, "events_lucene": 300}
    for name, count in wanted.items():
        text = queries()[name].strip().replace("IDENTITY", first.name)
        found = store.ask(json.dumps({"query": {"query_string": {"query": text}}}))
        assert found["hits"]["total"] == {"value": count, "relation": "eq"}, text


@pytest.mark.loki
def test_the_panels_of_events_are_answered(tmp_path: Path, agent: Agent) -> None:
    """Every query of the dashboard is Loki's language, and finds what the demo's cluster does."""
    if not binary_of("loki").exists():
        pytest.skip("loki is not there: tests/interop/build.sh builds it")
    directory = tmp_path / "store"
    directory.mkdir()
    store = Loki(binary_of("loki"), directory)
    try:
        lines = lines_ago(1500, timedelta(minutes=2), 3)
        event = json.loads(lines[-1])
        group = {"apiGroup": "rbac.authorization.k8s.io", "apiVersion": "v1"}
        event |= {"verb": "create", "objectRef": {"resource": "clusterrolebindings", **group}}
        agent.write([*lines, json.dumps(event).encode() + b"\n"])
        _configure(agent, store)
        _deliver(agent)
        board = json.loads((DEPLOY / "grafana" / "events.json").read_text())
        found = {}
        for panel in board["panels"]:
            query = panel["targets"][0]["expr"]
            for variable in ("$cluster", "$user", "$namespace"):
                query = query.replace(variable, ".*")
            query = query.replace("$__range", "1h").replace("$__auto", "1h")
            path = "query_range" if panel["type"] == "logs" else "query"
            answer = store.post(f"/loki/api/v1/{path}", {"query": query, "since": "1h"})
            found[panel["title"]] = len(json.loads(answer)["data"]["result"])
    finally:
        store.stop()
    quiet = {title for title, count in found.items() if not count}
    assert quiet <= {"About the trail itself: gaps, refusals, silence"}, found
