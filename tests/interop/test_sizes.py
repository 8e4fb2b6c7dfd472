"""55 events of sizes and names that back ends have limits for: each arrives, or is said not to."""

import json
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest

from k8s_audit_otlp.cli.exit_codes import OK
from tests.interop.agent import Agent
from tests.interop.collector import Collector, attributes
from tests.interop.imitations import DataKit, FluentBit
from tests.interop.stores.stores import Loki, VictoriaLogs, binary_of
from tests.kit.backends.received import EVENT, UID
from tests.kit.log.events import EventSource

pytestmark = pytest.mark.timeout(400, func_only=True)
SCRIPT = Path(__file__).parents[2] / "deploy/guance/k8s-audit.p"
KB = 1000
# Of the audit annotations that clients and webhooks choose, all are sent.
ANNOTATIONS = ["example.com/*"]


class Target(Protocol):
    """What the events are sent to."""

    kind: str
    vendor: str
    endpoint: str

    def offsets(self) -> set[int]: ...

    def stop(self) -> None: ...


class _CollectorAsItComes:
    """A Collector with the limits of its own default: 20 MiB a request, 4 MiB over gRPC."""

    vendor = "otel-collector"

    def __init__(self, collector: Collector, kind: str) -> None:
        collector.start(collector.config())
        self.kind = kind
        port = collector.http if kind == "otlp_http" else collector.grpc
        self.endpoint = f"http://127.0.0.1:{port}"
        self._collector = collector

    def offsets(self) -> set[int]:
        uids = (str(attributes(one)["log.record.uid"]) for one in self._collector.records())
        return {int(uid.partition("-")[2], 16) for uid in uids}

    def stop(self) -> None: ...


class _File:
    """A file whose lines a Collector's receiver takes up to its max_log_size."""

    kind, vendor, endpoint = "otlp_file", "", ""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "out.jsonl"

    def offsets(self) -> set[int]:
        lines = self.path.read_bytes().splitlines()
        requests = [json.loads(line) for line in lines if len(line) < 1 << 20]
        uids = (
            next(a["value"]["stringValue"] for a in one["attributes"] if a["key"] == UID)
            for request in requests
            for resource in request["resourceLogs"]
            for scope in resource["scopeLogs"]
            for one in scope["logRecords"]
            if one["eventName"] == EVENT
        )
        return {int(uid.partition("-")[2], 16) for uid in uids}

    def stop(self) -> None: ...


TARGETS = [
    pytest.param("file", marks=pytest.mark.interop),
    pytest.param("victoria-logs", marks=pytest.mark.interop),
    pytest.param("loki", marks=pytest.mark.loki),
    pytest.param("datakit-pipeline", marks=pytest.mark.interop),
    pytest.param("fluent-bit", marks=pytest.mark.interop),
    pytest.param("collector otlp_http", marks=pytest.mark.interop),
    pytest.param("collector otlp_grpc", marks=pytest.mark.interop),
]


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Target]:
    name, _, kind = str(request.param).partition(" ")
    running = (
        _CollectorAsItComes(request.getfixturevalue("collector"), kind)
        if kind
        else _started(name, tmp_path)
    )
    yield running
    running.stop()


def _started(name: str, directory: Path) -> Target:
    if name == "fluent-bit":
        return FluentBit()
    if name == "file":
        return _File(directory)
    binary = binary_of(name)
    if not binary.exists():
        pytest.skip(f"{binary} is not there: tests/interop/build.sh builds it")
    if name == "datakit-pipeline":
        return DataKit(binary, SCRIPT)
    (directory / "store").mkdir()
    return (Loki if name == "loki" else VictoriaLogs)(binary, directory / "store")


def _odd_events() -> Iterator[dict[str, Any]]:
    source, begin = EventSource(9), datetime.now(UTC) - timedelta(minutes=5)
    sizes = [KB * n for n in (1, 10, 60, 100, 250, 260, 500, 900, 1000, 1100, 1900, 2100, 2500)]
    sizes += [KB * n for n in (4000, 8000, 12_000, 20_000, 30_000)]
    changes: list[dict[str, Any]] = [
        {"responseObject": {"kind": "List", "text": "x" * size}} for size in sizes
    ]
    changes += [{"annotations": {f"example.com/{'n' * n}": "v"}} for n in range(20, 251, 23)]
    changes += [{"annotations": {"example.com/long": "v" * KB * n}} for n in (1, 10, 60, 100)]
    changes += [
        {"annotations": {f"example.com/{i}": "v" * KB for i in range(n)}} for n in (30, 100)
    ]
    changes += [
        {"user": {"username": "u", "groups": [f"group-{i}" for i in range(n)]}}
        for n in (1, 20, 200, 2000)
    ]
    changes += [{"userAgent": "a" * KB * n} for n in (1, 16, 64, 300)]
    changes += [{"objectRef": {"resource": "pods", "name": "n" * n}} for n in (63, 250)]
    changes += [{"requestURI": "/api?" + "q" * KB * n} for n in (1, 8, 64)]
    draw = random.Random(9)  # noqa: S311 - only text
    packs_badly = "".join(str(draw.getrandbits(60)) for _ in range(700_000))
    changes += [{"responseObject": {"kind": "List", "text": packs_badly}}]
    changes += [{}] * (55 - len(changes))
    for number, change in enumerate(changes):
        text = (begin + timedelta(milliseconds=number)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        times = {"requestReceivedTimestamp": text, "stageTimestamp": text}
        yield {**json.loads(source.line()), **times, "level": "RequestResponse", **change}


def test_whatever_its_size_an_event_arrives_or_is_said_not_to(agent: Agent, target: Target) -> None:
    """55 events of 1 KB to 30 MB: each is there, or in the dead letter."""
    agent.write(
        json.dumps(event, separators=(",", ":")).encode() + b"\n" for event in _odd_events()
    )
    audit = {"vendor": target.vendor} if target.vendor else {}
    where = (
        {"path": str(target.path)} if isinstance(target, _File) else {"endpoint": target.endpoint}
    )
    exporter = {**where, "audit": {**audit, "annotations": ANNOTATIONS}}
    agent.configure(target.kind, exporter)
    done = agent.once()
    assert done.returncode == OK, done.stderr
    lines = agent.log.read_bytes().splitlines(keepends=True)
    expected = {sum(map(len, lines[:n])) for n in range(len(lines))}
    assert len(expected) == 55
    end = time.monotonic() + 60
    while missing := expected - target.offsets():
        if len(missing) == len(agent.dead_letters()) or time.monotonic() > end:
            break
        time.sleep(0.5)
    assert len(missing) == len(agent.dead_letters()), sorted(missing)
    if isinstance(target, DataKit):
        assert not target.cut


@pytest.mark.interop
def test_what_victorialogs_drops_for_its_time_is_in_the_dead_letter(
    agent: Agent, tmp_path: Path
) -> None:
    """It answers 200 to events before its retention and days ahead, and has none of them."""
    binary = binary_of("victoria-logs")
    if not binary.exists():
        pytest.skip(f"{binary} is not there: tests/interop/build.sh builds it")
    now, source, lines = datetime.now(UTC), EventSource(3), []
    for days in (-30, -8, -6, -1, 0, 1, 3, 300):
        text = (now + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        times = {"requestReceivedTimestamp": text, "stageTimestamp": text}
        lines.append(json.dumps({**json.loads(source.line()), **times}).encode() + b"\n")
    agent.write(lines)
    store = VictoriaLogs(binary, tmp_path)
    audit = {"vendor": store.vendor, "start_at": "beginning"}
    agent.configure(store.kind, {"endpoint": store.endpoint, "audit": audit})
    assert agent.once().returncode == OK
    end = time.monotonic() + 60
    while len(store.offsets()) < 4 and time.monotonic() < end:
        time.sleep(0.5)
    places = [sum(map(len, lines[:n])) for n in range(len(lines))]
    assert store.offsets() == set(places[2:6])
    assert len(agent.dead_letters()) == 4
    store.stop()
