"""One backlog for start lines, bar, status, readiness and metrics: unpacked bytes, event time."""

import gzip
import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from k8s_audit_otlp.agent.agent import Agent
from k8s_audit_otlp.agent.start import AgentOptions, Resumed
from k8s_audit_otlp.cli import main
from k8s_audit_otlp.cli.actions.run_lines import describe
from k8s_audit_otlp.config.load import load_tree
from k8s_audit_otlp.state.manifest import SegmentState
from k8s_audit_otlp.telemetry.agent_views import exporter_views, health_view
from k8s_audit_otlp.telemetry.backlog import backlog_in, backlog_of
from k8s_audit_otlp.telemetry.health import readiness
from k8s_audit_otlp.telemetry.metrics.registry import Metrics
from tests.kit.log.events import EventSource

AGE_S = 2.7 * 86_400
BACKUPS = 5


@pytest.fixture
def unsent(log_dir: Path) -> tuple[Path, int]:
    """Write five packed backups, the oldest 2.7 days old, and a live file; return all bytes."""
    source, size = EventSource(1), 0
    for number in range(BACKUPS):
        lines = b"".join(source.line() + b"\n" for _ in range(300))
        if number == 0:
            lines = _aged(lines)
        name = f"audit-2026-01-02T03-04-0{number}.678.log.gz"
        (log_dir / name).write_bytes(gzip.compress(lines))
        size += len(lines)
    live = source.line() + b"\n"
    (log_dir / "audit.log").write_bytes(live)
    return log_dir / "audit.log", size + len(live)


def _aged(lines: bytes) -> bytes:
    first, _, rest = lines.partition(b"\n")
    event = json.loads(first)
    then = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(time.time() - AGE_S))
    event["requestReceivedTimestamp"] = event["stageTimestamp"] = then
    return json.dumps(event).encode() + b"\n" + rest


def test_every_place_counts_five_packed_backups_alike(
    unsent: tuple[Path, int], tmp_path: Path
) -> None:
    """In full, marked as an estimate, as old as the oldest event; before one byte is unpacked."""
    log, size = unsent
    state = tmp_path / "state"
    tree = {
        "receivers": {"k8s_audit": {"include": [str(log)]}},
        "exporters": {"otlp_http": {"endpoint": "http://127.0.0.1:9"}},
        "service": {"state_dir": str(state)},
    }
    agent = Agent(load_tree(tree, "agent.yaml", {}).config, {}, AgentOptions(once=True))
    [resumed] = agent.start()
    try:
        _holds(resumed, size)
        [subscription] = agent.subscriptions()
        backlog = backlog_of(subscription)
        assert backlog.bytes == size  # the bar's
        assert backlog.age_s(time.time_ns()) == pytest.approx(AGE_S, abs=120)
        [exporter] = readiness(health_view(agent)).as_json()["exporters"]
        assert (exporter["backlog_bytes"], exporter["backlog_estimated"]) == (size, True)
        assert exporter["backlog_s"] == pytest.approx(AGE_S, abs=120)
        text = Metrics(lambda: exporter_views(agent)).text()
        [line] = [
            one for one in text.splitlines() if one.startswith("k8s_audit_otlp_backlog_bytes{")
        ]
        assert line.endswith(f" {size}")
    finally:
        agent.stop()
        agent.run()
    done = CliRunner().invoke(main, ["status", "--state-dir", str(state), "--json"])
    [stored] = json.loads(done.stdout)["exporters"]
    assert (stored["backlog_bytes"], stored["backlog_estimated"]) == (size, True)
    assert time.time() - stored["oldest_unsent_ns"] / 1e9 == pytest.approx(AGE_S, abs=120)
    assert sum(left for _, _, left in agent.shutdown.undelivered()) in (0, size)


def _holds(resumed: Resumed, size: int) -> None:
    assert (resumed.backlog.bytes, resumed.backlog.estimated) == (size, True)
    assert "about " in describe(resumed)
    assert "the oldest 2.7 d old" in describe(resumed)


def test_a_start_line_names_the_place_behind_backups_that_are_skipped(
    unsent: tuple[Path, int], tmp_path: Path
) -> None:
    """Packed backups that nobody unpacks are passed over, as a number that is an estimate."""
    log, size = unsent
    tree = {
        "receivers": {"k8s_audit": {"include": [str(log)], "start_at": "end"}},
        "exporters": {"otlp_http": {"endpoint": "http://127.0.0.1:9"}},
        "service": {"state_dir": str(tmp_path / "state")},
    }
    agent = Agent(load_tree(tree, "agent.yaml", {}).config, {}, AgentOptions(once=True))
    [resumed] = agent.start()
    agent.stop()
    agent.run()
    assert (resumed.segment, resumed.offset) == ("audit.log", log.stat().st_size)
    assert (resumed.backlog.bytes, resumed.skipped.bytes) == (0, size)
    assert "start_at skips about " in describe(resumed)


def test_what_was_unpacked_is_no_estimate() -> None:
    """Whatever the trailer said."""
    whole = SegmentState(1, "a", "", 0, size=500, promised=900, complete=True, first_ns=1)
    begun = SegmentState(2, "b", "", 0, size=500, promised=900, first_ns=2)
    assert backlog_in([whole], {}, lambda _: 0).bytes == 500
    assert not backlog_in([whole], {}, lambda _: 0).estimated
    assert backlog_in([begun], {}, lambda _: 0).bytes == 900
    assert backlog_in([whole, begun], {1: 500}, lambda _: 0).oldest_ns == 2


def test_the_age_is_that_of_the_event_after_the_last_that_settled() -> None:
    """An exporter that began inside of a segment is not as old as its first event."""
    state = SegmentState(1, "a", "", 0, size=1000, complete=True, first_ns=100, last_ns=200)
    assert backlog_in([state], {}, lambda _: 0).oldest_ns == 100
    assert backlog_in([state], {1: 500}, lambda _: 160).oldest_ns == 160
    assert backlog_in([state], {1: 500}, lambda _: 0).oldest_ns == 150
    part = SegmentState(2, "a.2", "", 0, size=1000, complete=True, begin=400, first_ns=300)
    assert backlog_in([part], {}, lambda _: 0).bytes == 600


def test_of_a_deleted_file_only_what_nobody_has_read_is_gone() -> None:
    """The rest is in memory, and its back end still gets it, unless the process ends before."""
    state = SegmentState(1, "a", "", 0, size=1000, complete=True, gone=True, first_ns=100)
    on_its_way = backlog_in([state], {1: 200}, lambda _: 150, {1: 700})
    assert (on_its_way.bytes, on_its_way.only_here_bytes, on_its_way.gone_bytes) == (500, 500, 300)
    assert on_its_way.oldest_ns == 150
    stored = backlog_in([state], {1: 200}, lambda _: 150)
    assert (stored.bytes, stored.gone_bytes) == (0, 800)
    settled = backlog_in([state], {1: 1000}, lambda _: 150, {1: 1000})
    assert (settled.bytes, settled.gone_bytes) == (0, 0)


def test_what_a_deleted_file_holds_that_is_open_is_only_here() -> None:
    """What other files hold is not."""
    held = SegmentState(1, "a", "", 0, size=1000, complete=True, first_ns=100)
    other = SegmentState(2, "b", "", 0, size=100, first_ns=200)
    backlog = backlog_in([held, other], {1: 400}, lambda _: 150, unlinked={1})
    assert (backlog.bytes, backlog.only_here_bytes, backlog.gone_bytes) == (700, 600, 0)
