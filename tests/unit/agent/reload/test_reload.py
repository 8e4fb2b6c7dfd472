"""Another configuration while the process runs: judged first, taken up whole, or refused aloud."""

import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.kit.agent import CONFIG, AgentProcess, uids_delivered
from tests.kit.backends.backend import Backend
from tests.kit.backends.servers import free_port
from tests.kit.backends.steps import Accept, Hang, Refuse


def test_a_good_configuration_is_taken_up_without_losing_a_position(
    start: Callable[..., AgentProcess], backend: Backend
) -> None:
    """Nothing is sent twice, nothing is left out; the stream says what is different."""
    agent = start()
    uids_delivered(backend, 20)
    agent.configure("    timeout: 7s\n    audit: {bodies: drop}")
    agent.hangup()
    agent.seen("reloaded")
    said = [line["message"] for line in agent.seen("reloading")]
    assert any("exporters::otlp_http::timeout" in line and "7" in line for line in said)
    assert any("bodies: keep -> drop" in line for line in said)
    assert any("of the last 20 events 0 would newly be dropped" in line for line in said)
    agent.write(10)
    uids_delivered(backend, 30)
    assert agent.end() == 0
    assert len(backend.received.uids) == 30
    assert backend.received.total - len(backend.received.notices) == 30, "nothing came twice"


def test_a_bad_configuration_leaves_the_old_one_at_work(
    start: Callable[..., AgentProcess], backend: Backend
) -> None:
    """The reason is an error in the log, and events go on."""
    agent = start()
    agent.configure("    compresion: gzip")
    agent.hangup()
    (refused, *_) = agent.seen("reload_refused")
    assert refused["level"] == "error"
    assert "compresion" in refused["message"]
    agent.told("configuration is refused")
    agent.configure()
    agent.hangup()
    agent.told("STATUS=Nothing is being lost. All is sent.")
    agent.write(5)
    uids_delivered(backend, 25)
    assert len(agent.seen("started")) == 1


def test_what_cannot_start_gives_way_to_what_ran_before(
    start: Callable[..., AgentProcess], backend: Backend
) -> None:
    """Its mistake shows only when it starts: the address is taken."""
    agent = start()
    address = f"telemetry: {{metrics: {{address: '127.0.0.1:{backend.port}'}},"
    text = agent.file.read_text().replace("telemetry: {", address)
    agent.file.write_text(text.replace("encoding: json", "encoding: console"))
    agent.hangup()
    end = time.monotonic() + 60
    while agent.out.read_text().count('"event": "started"') < 2:  # in the old form again
        assert time.monotonic() < end
        time.sleep(0.1)
    assert "reload refused" in agent.out.read_text()
    agent.write(5)
    uids_delivered(backend, 25)


def test_other_positions_are_refused(start: Callable[..., AgentProcess], tmp_path: Path) -> None:
    """Everything would be sent again."""
    agent = start()
    agent._values["state"] = tmp_path / "elsewhere"
    agent.configure()
    agent.hangup()
    assert "move the directory" in agent.seen("reload_refused")[0]["message"]
    assert len(agent.seen("started")) == 1


def test_a_secret_that_changed_is_not_shown(start: Callable[..., AgentProcess]) -> None:
    """Only the place of it."""
    agent = start()
    agent.configure(key="hunter2-very-secret")
    agent.hangup()
    agent.seen("reloaded")
    text = agent.out.read_text()
    assert "exporters::otlp_http::headers" in text
    assert "hunter2" not in text


def test_a_swapped_link_is_a_change_where_that_is_asked_for(
    start: Callable[..., AgentProcess], tmp_path: Path
) -> None:
    """As kubelet changes the files of a ConfigMap."""
    agent = start("--watch-config")
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
    agent.configure("    timeout: 7s")
    agent.seen("reloaded")
    (new / "config.yaml").write_text(agent.file.read_text().replace("7s", "8s"))
    agent.file.unlink()
    agent.file.symlink_to(new / "config.yaml")
    agent.seen("reloaded", 2)


def test_other_signals_do_no_harm_and_no_change_is_no_restart(
    start: Callable[..., AgentProcess],
) -> None:
    """SIGUSR1 and SIGUSR2 would end a process that does not mind them."""
    agent = start()
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
        agent.process.send_signal(number)
    agent.seen("unchanged")
    assert len(agent.seen("started")) == 1
    assert agent.end() == 0


def test_systemd_is_told(start: Callable[..., AgentProcess]) -> None:
    """Ready, alive, reloading, stopping."""
    agent = start()
    assert "READY=1" in agent.told("READY=1")[-1]
    agent.told("STATUS=Nothing is being lost. All is sent.")
    agent.told("WATCHDOG=1")
    agent.configure("    timeout: 7s")
    agent.hangup()
    agent.told("RELOADING=1")
    agent.told("READY=1")
    agent.configure("    timeout: 7 parsecs")
    agent.hangup()
    agent.seen("reload_refused")
    agent.configure("    timeout: 7s")
    agent.process.terminate()
    received = agent.told("STOPPING=1")
    assert not any("RELOADING=1" in text for text in received), "systemd would wait for its end"
    assert agent.process.wait(60) == 0


def test_systemd_knows_of_an_end_from_its_beginning(
    start: Callable[..., AgentProcess], backend: Backend
) -> None:
    """Requests in flight may take until `shutdown_timeout`; a second signal ends it at once."""
    agent = start()
    text = agent.file.read_text().replace("service: {", "service: {shutdown_timeout: 10m, ")
    agent.file.write_text(text)
    agent.hangup()
    agent.seen("reloaded")
    backend.plan = lambda _request: Hang()
    asked = backend.requests_total
    agent.write(20)
    end = time.monotonic() + 60
    while backend.requests_total == asked:
        assert time.monotonic() < end
        time.sleep(0.05)
    agent.process.terminate()
    agent.told("STOPPING=1")
    assert agent.process.poll() is None, "requests are on their way"
    agent.process.terminate()
    assert agent.process.wait(60) == 128 + signal.SIGTERM


def scraped(address: str, path: str = "/metrics") -> str:
    with urllib.request.urlopen(f"http://{address}{path}", timeout=60) as answer:
        return str(answer.read(), "utf-8")


def value_of(text: str, name: str) -> float:
    """Return the sum of a metric's series."""
    found = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE)
    assert found, name
    return sum(map(float, found))


def test_counters_go_on_after_a_reload(start: Any, backend: Any) -> None:
    """One listener, one count: a reload is no restart for who scrapes. Nor is a refused one."""
    agent = start("--watch-config")
    address = f"127.0.0.1:{free_port()}"
    metrics = f"telemetry: {{metrics: {{address: '{address}'}},"
    agent.file.write_text(agent.file.read_text().replace("telemetry: {", metrics))
    agent.seen("reloaded")
    refusals = iter([Refuse(503)])
    backend.plan = lambda _request: next(refusals, Accept())
    agent.write(10)
    uids_delivered(backend, 30, 60)
    waited = time.monotonic() + 60
    names = [f"k8s_audit_otlp_{n}" for n in (
        "events_delivered_total", "delivered_bytes_total", "retries_total",
        "request_duration_seconds_count", "last_acknowledgement_timestamp_seconds",
    )]  # fmt: skip
    while value_of(before := scraped(address), names[0]) < 10:
        assert time.monotonic() < waited
    for count, what in ((2, "timeout: 7s"), (3, "timeout: 8s")):
        agent.configure(f"    {what}")
        agent.file.write_text(agent.file.read_text().replace("telemetry: {", metrics))
        agent.seen("reloaded", count)
        after = scraped(address)
        assert all(value_of(after, name) >= value_of(before, name) for name in names)
        assert value_of(after, names[2]) >= 1
        assert scraped(address, "/livez")
        before = after
    agent.write(5)
    uids_delivered(backend, 35, 60)
    while value_of(scraped(address), names[0]) < 15:
        assert time.monotonic() < waited + 30


def test_every_line_is_of_the_one_stream(start: Any, backend: Any) -> None:
    """JSON with time, level, message and event, from the first line to the last."""
    agent = start()
    uids_delivered(backend, 20)
    agent.seen("caught_up")
    agent.configure("    timeout: 7s")
    agent.hangup()
    agent.seen("reloaded")
    assert agent.end() == 0
    lines = agent.lines()
    assert all({"time", "level", "message", "event"} <= line.keys() for line in lines), lines
    by_event = {line["event"]: line for line in lines}
    (started,) = [line for line in lines if line["event"] == "started"]
    assert started["version"]
    assert len(started["configuration"]) == 16
    assert by_event["reloaded"]["configuration"] != started["configuration"]
    (resumed, again) = [line for line in lines if line["event"] == "resumed"]
    assert resumed["exporter"] == "otlp_http"
    assert resumed["receiver"] == "k8s_audit"
    assert resumed["endpoint"] == f"127.0.0.1:{backend.port}"
    assert (resumed["offset"], again["bytes"]) == (0, 0)
    assert resumed["bytes"] == again["offset"] == agent.log.stat().st_size
    assert [line["reload"] for line in lines if line["event"] == "stopping"] == [True, False]
    assert lines[-1]["event"] == "stopped"


@pytest.mark.parametrize(
    "wrong",
    ["compresion: gzip", "audit: {policy: /p.yaml}", "no: [yaml", "timeout: 1s\nservice: {}"],
)
def test_the_last_line_is_of_the_stream_too(tmp_path: Path, backend: Any, wrong: Any) -> None:
    """Also where the configuration that asks for JSON cannot be used."""
    (tmp_path / "config.yaml").write_text(
        CONFIG.format(
            log=tmp_path / "audit.log", url=backend.url, state=tmp_path / "state", key="k",
            more=f"    {wrong}",
        )
    )  # fmt: skip
    command = [sys.executable, "-m", "k8s_audit_otlp", "run", "-c", str(tmp_path / "config.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert lines[-1]["event"] == "fatal"
    assert lines[-1]["level"] == "error"
    named = "service" if "service" in wrong else wrong.partition(":")[0]
    assert wrong.startswith("no:") or named in lines[-1]["message"]
