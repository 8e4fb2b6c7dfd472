"""A scripted hour in minutes: all that can be asked answers truly, and says what to do next."""

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.hour import ILL, SAFE, WELL, Hour
from tests.faults.hour_answers import alerts, all_is_well, answers_agree, firing, promtool, tapped
from tests.faults.hour_files import deleted, deleted_with_a_backlog, full_disk, truncated
from tests.faults.scenario import small_disk
from tests.kit.backends.backend import Backend
from tests.kit.backends.servers import free_port
from tests.kit.backends.steps import Accept, Exchange, Hang, Poison, Refuse

pytestmark = [pytest.mark.long, pytest.mark.timeout(900, func_only=True)]
POISON = "poison-in-the-well"


class ByKey:
    """Let in who has the right key."""

    def respond(self, exchange: Exchange) -> None:
        right = exchange.request.headers.get("x-key") == "right"
        (Accept() if right else Refuse(401)).respond(exchange)


@pytest.fixture
def hour(tmp_path: Path) -> Iterator[Hour]:
    with Backend() as well, Backend() as ill, small_disk(tmp_path / "state") as mounted:
        running = Hour(tmp_path, well, ill, free_port())
        running.has_disk = mounted
        yield running
        if running.process is not None and running.process.poll() is None:
            running.kill()


def test_the_hour(hour: Hour) -> None:
    """One trouble after the other; in between everything is well again."""
    hour.write(200)
    hour.start()
    all_is_well(hour)
    before = hour.metrics()
    hour.until(lambda: hour.page()["verdict"] == "Nothing is being lost. All is sent.")
    assert alerts(hour, before) == set()
    assert {line["exporter"] for line in hour.said("caught_up")} == {ILL, WELL}
    for act in (calm, back_end_down, silent, storm, wrong_key, bad_reload, poison, full_disk,
                deleted, deleted_with_a_backlog, truncated, killed):  # fmt: skip
        hour.received()
        hour.act = act.__name__
        act(hour)
    assert hour.stop() == 0
    assert hour.said("stopped")
    assert "no agent is running" in hour.status()


def calm(hour: Hour) -> None:
    """Who watches sees the events that leave."""
    before = hour.metrics()
    with tapped(hour, ILL) as seen:
        hour.write(5)
    assert seen[0]["exporter"] == ILL
    all_is_well(hour)
    answers_agree(hour)
    assert alerts(hour, before) == set()
    assert not any(hour.said(event) for event in ("retrying", "gap", "log_trouble", "failed"))


def back_end_down(hour: Hour) -> None:
    """Nothing is lost, and everyone says so; the other exporter goes on."""
    before = hour.metrics()
    hour.ill.stop()
    with tapped(hour, WELL) as seen:
        hour.write(100)
    assert seen[0]["exporter"] == WELL, "the other one goes on"
    hour.until(lambda: hour.metric("waiting_requests", ILL) >= 1)
    hour.until(lambda: not hour.missing(hour.well))
    card = hour.card()
    assert card["kind"] == "warn"
    assert card["next"].startswith(SAFE)
    assert f"See that 127.0.0.1:{hour.ill.port} answers" in card["next"]
    assert hour.page()["verdict"] == f"Nothing is being lost. {ILL} gets nothing through."
    assert hour.ready() == [], "one exporter delivers"
    hour.until(lambda: "in back-off" in (now := hour.status()) and "Connection refused" in now)
    hour.until(lambda: f"next     {SAFE}" in hour.status())
    (line, *_) = hour.said("retrying")
    assert line["exporter"] == ILL
    assert line["reason"] == "connection"
    assert line["endpoint"] == f"127.0.0.1:{hour.ill.port}"
    assert "AuditExporterUnhealthy" in alerts(hour, before)
    assert "AuditGap" not in alerts(hour, before)
    answers_agree(hour)
    hour.ill.start()
    all_is_well(hour)
    assert hour.said("recovered")[0]["exporter"] == ILL


def silent(hour: Hour) -> None:
    """Nobody says that events are delivered to a back end that takes requests and is silent."""
    before = hour.metrics()
    hour.ill.plan = [Hang()]
    with tapped(hour, WELL) as seen:
        hour.write(40)
    assert seen[0]["exporter"] == WELL, "the other one goes on"
    hour.until(lambda: f"{ILL}: no answer yet" in hour.status())
    card = hour.card()
    assert card["kind"] == "warn"
    assert f"{SAFE} See that 127.0.0.1:{hour.ill.port} answers" in card["next"]
    hour.until(lambda: hour.card()["trouble"] == "retryable")
    hour.until(lambda: "no answer within 5 s" in hour.status())
    assert hour.said("retrying")[0]["reason"] == "retryable"
    assert hour.ready() == [], "the other exporter delivers"
    assert alerts(hour, before) == {"AuditExporterUnhealthy"}
    answers_agree(hour)
    hour.ill.plan = [Accept()]
    all_is_well(hour)


def storm(hour: Hour) -> None:
    """Thirty rotations within seconds: no gap, and a receipt for each file."""
    before = hour.metrics()
    for _ in range(30):
        hour.write(20)
        hour.rotate()
        time.sleep(0.05)
    with tapped(hour, WELL) as seen:
        hour.write(5)
    assert seen
    all_is_well(hour)
    answers_agree(hour)
    assert hour.metric("gaps_total") == 0
    assert alerts(hour, before) == set()
    assert "Nothing is being lost" in hour.page()["verdict"]
    assert "gaps     0" in hour.status()
    assert not any(hour.said(event) for event in ("gap", "log_trouble", "runway_short"))
    hour.until(lambda: any(
        p["text"] == "receipt" for s in hour.page()["logs"][0]["segments"] for p in s["positions"]
    ))  # fmt: skip


def wrong_key(hour: Hour) -> None:
    """Nothing is destroyed by a key that is not taken; a reload takes up the right one."""
    hour.ill.plan = [ByKey()]
    hour.configure(key="wrong")
    hour.signal(signal.SIGHUP)
    hour.until(lambda: hour.said("reloaded"))
    assert any("headers" in line["message"] for line in hour.said("reloading"))
    assert "wrong" not in "".join(line["message"] for line in hour.said("reloading"))
    before = hour.metrics()
    count = hour.metric("events_delivered_total")
    with tapped(hour, WELL) as seen:
        hour.write(30)
    assert seen[0]["exporter"] == WELL, "the other one goes on"
    hour.until(lambda: hour.card()["trouble"] == "misconfigured")
    assert "quotes it. Correct it" in hour.card()["next"]
    hour.until(lambda: "HTTP 401" in hour.status())
    # A reload tells first what was held back of the act before.
    assert "misconfigured" in {line["reason"] for line in hour.said("retrying")}
    assert hour.ready() == [], "the other exporter delivers"
    hour.until(lambda: "AuditExporterUnhealthy" in alerts(hour, before))
    assert hour.metric("retries_total", ILL, "misconfigured") >= 1
    answers_agree(hour)
    hour.configure(key="right")
    hour.signal(signal.SIGHUP)
    hour.until(lambda: len(hour.said("reloaded")) == 2)
    all_is_well(hour)
    hour.until(lambda: {line["exporter"] for line in hour.said("recovered")} == {ILL})
    assert hour.metric("events_delivered_total") >= count + 30, "counters go on"
    assert hour.metric("events_dead_lettered_total") == 0


def bad_reload(hour: Hour) -> None:
    """Refused with the place of the mistake; nothing else changes."""
    before = hour.metrics()
    hour.configure(more="  otlp_http/third: {endpiont: 'http://h'}")
    hour.signal(signal.SIGHUP)
    hour.until(lambda: hour.said("reload_refused"))
    (line, *_) = hour.said("reload_refused")
    assert line["level"] == "error"
    assert "endpiont" in line["message"]
    with tapped(hour, ILL) as seen:
        hour.write(10)
    assert seen
    all_is_well(hour)
    answers_agree(hour)
    assert alerts(hour, before) == {"AuditConfigRefused"}, "what runs is well, and is the old one"
    assert "configuration is refused" in hour.page()["verdict"]
    assert "configuration is refused" in hour.status()
    hour.configure()
    hour.signal(signal.SIGHUP)
    hour.until(lambda: hour.said("unchanged") and hour.metric("config_refused") == 0)


def poison(hour: Hour) -> None:
    """One record is found and set apart, the others arrive; where it is, is said."""
    before = hour.metrics()
    hour.ill.plan = [Poison(POISON.encode())]
    with tapped(hour, WELL) as seen:
        hour.write(50, say=POISON)
    assert seen[0]["exporter"] == WELL, "where nothing is refused"
    hour.until(lambda: hour.metric("events_dead_lettered_total", ILL) == 1)
    hour.until(lambda: hour.metric("backlog_bytes", ILL) == 0)
    assert len(hour.missing(hour.ill)) <= 1, "none, where its other stage has arrived"
    hour.ill.plan = [Accept()]
    assert hour.ready() == [], "events flow"
    page = hour.page()
    assert "dead-letter list" in page["verdict"]
    assert page["kind"] == "warn"
    assert any(one["kind"] == "dead letter" for one in hour.card()["recent"])
    assert hour.said("dead_lettered")[0]["exporter"] == ILL
    hour.until(lambda: "dead-lettered 1" in hour.status())
    assert "AuditDeadLetter" in alerts(hour, before)
    answers_agree(hour)
    listed = json.loads(
        hour.command("dead-letter", "list", "--state-dir", str(hour.state), "--json")
    )
    assert [one["exporter"] for one in listed] == [ILL]
    hour.written -= hour.missing(hour.ill)
    all_is_well(hour)


def killed(hour: Hour) -> None:
    """Nobody answers, and status says why; the next one goes on where it was."""
    hour.kill()
    assert "no agent is running" in hour.status()
    for path in ("/status.json", "/livez", "/readyz", "/metrics"):
        assert hour.get(path)[0] == 0, "nobody answers: AuditAgentMissing and the scraper's `up`"
    node = {'kube_node_role{role="control-plane",node="node"}': 1.0}
    assert firing(promtool(), hour.folder, node, node) == {"AuditAgentMissing"}
    assert "no agent" in hour.command("tap", "--state-dir", str(hour.state), code=3).lower()
    hour.write(40)
    hour.start()
    all_is_well(hour)
    assert len(hour.said("resumed")) == 2
    answers_agree(hour)
    assert hour.metric("events_read_total", WELL) >= 40
