"""Alerts that neither the hour nor a real apiserver shows, each out of a real agent in trouble.

The rules' patience is minutes: what is scraped is given to promtool as if it stayed so.
"""

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import yaml

from tests.faults.hour import series_of
from tests.faults.hour_answers import ALERTS, firing, promtool
from tests.faults.processes import Agent
from tests.kit.backends.servers import free_port
from tests.kit.log.events import EventSource

pytestmark = [pytest.mark.long, pytest.mark.timeout(600, func_only=True)]
NOWHERE = "http://127.0.0.1:9"
WINDOW_S = 18 * 3600.0  # how old an event may be that Datadog takes


def until(what: Callable[[], object], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it does not come true"
        time.sleep(0.2)


class Scraped:
    """An agent whose back end is away, and what a scraper sees of it."""

    def __init__(self, folder: Path, receivers: dict[str, Any], **exporter: Any) -> None:
        self.port = free_port()
        self.folder = folder
        metrics = {"metrics": {"address": f"127.0.0.1:{self.port}"}}
        tree = {
            "receivers": receivers,
            "exporters": {"otlp_http": {"endpoint": NOWHERE, **exporter}},
            "service": {"state_dir": str(folder / "state"), "telemetry": metrics},
        }
        (folder / "agent.yaml").write_text(yaml.safe_dump(tree))
        self.agent = Agent(folder / "agent.yaml", folder / "agent.log")

    def start(self) -> None:
        self.agent.start()
        until(self.metrics)

    def metrics(self) -> dict[str, float]:
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=60) as answer:
                return series_of(answer.read().decode())
        except OSError:
            return {}

    def total(self, name: str) -> float:
        series = self.metrics().items()
        return sum(v for each, v in series if each.partition("{")[0] == f"k8s_audit_otlp_{name}")

    def firing(self, before: dict[str, float]) -> set[str]:
        return firing(promtool(), self.folder, before, self.metrics())


@contextmanager
def scraped(folder: Path, receivers: dict[str, Any], **exporter: Any) -> Iterator[Scraped]:
    one = Scraped(folder, receivers, **exporter)
    with one.agent:
        one.start()
        yield one


def test_a_log_that_grows_no_more_and_is_too_old_soon(tmp_path: Path) -> None:
    """And an agent that is started again and again."""
    log = tmp_path / "audit.log"
    source = EventSource(1, lambda: time.time() - WINDOW_S + 1800)
    log.write_bytes(b"".join(source.line() + b"\n" for _ in range(20)))
    receivers = {"k8s_audit": {"include": [str(log)]}}
    with scraped(tmp_path, receivers, audit={"vendor": "datadog"}) as one:
        until(lambda: one.total("waiting_requests"))
        assert one.firing(one.metrics()) == {
            "AuditRunwayShort", "AuditSilence", "AuditBacklogOld", "AuditExporterUnhealthy",
            "AuditNotReady",
        }  # fmt: skip
        begun = [one.metrics()["process_start_time_seconds"]]
        for _ in range(4):
            one.agent.end(signal.SIGKILL)
            one.start()
            begun.append(one.metrics()["process_start_time_seconds"])
        assert restarts_fire(tmp_path, begun)
        assert not restarts_fire(tmp_path, begun[-1:] * 5)


def restarts_fire(folder: Path, begun: list[float]) -> bool:
    """Ask promtool, for the one rule that needs more than two scrapes."""
    of = '{instance="node",job="agent"}'
    series = [
        {"series": f"process_start_time_seconds{of}", "values": " ".join(map(str, begun))},
        {"series": f"k8s_audit_otlp_build_info{of}", "values": f"1x{len(begun)}"},
    ]
    asked = {"eval_time": f"{len(begun) - 1}m", "alertname": "AuditAgentRestarts"}
    test = {"interval": "1m", "input_series": series, "alert_rule_test": [asked]}
    file = folder / "restarts.yaml"
    document = {"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": [test]}
    file.write_text(json.dumps(document))
    command = [str(promtool()), "test", "rules", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return (
        re.search(r'Labels:\{alertname="AuditAgentRestarts"', done.stdout + done.stderr) is not None
    )


def test_a_webhook_that_may_have_lost_something_and_takes_no_more(tmp_path: Path) -> None:
    """An apiserver that had to repeat a request; and one whose events find no room any more."""
    port = free_port()
    spool = {"max_bytes": "4MiB", "segment_bytes": "1MiB"}
    receivers = {"k8s_audit_webhook": {"endpoint": f"127.0.0.1:{port}", "spool": spool}}
    with scraped(tmp_path, receivers) as one:
        before = one.metrics()
        assert post(port, EventSource(1, lambda: time.time() - 100.0)) == 200
        until(lambda: one.total("spool_apiserver_buffer_at_risk"))
        assert one.firing(before) >= {"AuditApiserverBuffer"}
        assert not one.firing(before) & {"AuditSourceDown", "AuditWebhookRefuses"}
        source = EventSource(2)
        until(lambda: post(port, source) == 503)
        until(lambda: one.total("spool_refuses"))
        assert one.firing(before) >= {"AuditSourceDown", "AuditWebhookRefuses", "AuditNotReady"}


def post(port: int, source: EventSource) -> int:
    """Send four hundred events as an apiserver does; return the status."""
    events = b",".join(source.line() for _ in range(400))
    body = b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[' + events + b"]}"
    headers = {"Content-Type": "application/json"}
    try:
        with urlopen(
            Request(f"http://127.0.0.1:{port}/audit", body, headers), timeout=60
        ) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


def test_a_topic_that_cannot_be_reached(tmp_path: Path) -> None:
    """No broker answers: the source is down, and later and later."""
    receivers = {"kafka": {"brokers": ["127.0.0.1:9"], "topics": ["audit"], "group_id": "g"}}
    with scraped(tmp_path, receivers) as one:
        until(lambda: one.total("source_behind_seconds") > 1)
        until(lambda: "AuditSourceDown" in one.firing(one.metrics()))
        assert one.firing(one.metrics()) >= {"AuditSourceDown", "AuditSourceBehind"}
