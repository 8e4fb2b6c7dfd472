"""Asks everything that answers during the hour: page, browser, status, metrics, probes, tap."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from tests.faults.hour import WELL, Hour
from tests.interop.stores.stores import binary_of
from tests.kit.pages import ROOT

ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yaml"
BROWSER = shutil.which("chromium")  # without one nobody looks at the page


def promtool() -> Path:
    found = binary_of("promtool")
    if not found.exists():
        pytest.skip("promtool is not there: tests/interop/build.sh builds it")
    return found


def alerts(hour: Hour, before: dict[str, float]) -> set[str]:
    return firing(promtool(), hour.folder, before, hour.metrics())


def firing(
    promtool: Path, folder: Path, before: Mapping[str, float], now: Mapping[str, float]
) -> set[str]:
    """Return the alerts that would fire, were it so for half an hour: asked of promtool."""
    rules = folder / "rules.test.yaml"
    series = []
    for name in {*before, *now}:
        first, last = before.get(name, 0.0), now.get(name, 0.0)
        then = f"{first} {last}x40"
        if "timestamp_seconds" in name.partition("{")[0]:  # promtool's clock begins at 0
            still = "last_acknowledgement" in name and first == last  # events come all the time
            then = f"{last - time.time()}+{0 if still else 60}x40"
        if name.startswith("k8s_audit_otlp_source_behind_seconds") and last:
            then = f"{last}+60x40"
        label = name if "{" in name else name + "{}"
        label = label.replace("{", '{instance="node",job="agent"' + ("," if "{" in name else ""))
        series.append({"series": label, "values": then})
    names = re.findall(r"alert: (\w+)", ALERTS.read_text())
    tests = [
        {"eval_time": at, "alertname": name} for name in names for at in ("5m", "10m", "30m", "40m")
    ]
    document = {
        "rule_files": [str(ALERTS)],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": series, "alert_rule_test": tests}],
    }
    rules.write_text(json.dumps(document))
    done = subprocess.run(
        [promtool, "test", "rules", rules], capture_output=True, text=True, check=False, timeout=60
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0 or "got:" in output, output
    return set(re.findall(r'Labels:\{alertname="(\w+)"', output))


def answers_agree(hour: Hour) -> None:
    """Readiness, its metric, the page, `status` and what a browser shows of it say the same."""

    def agree() -> bool:
        ready, page, status = hour.ready(), hour.page(), hour.status()
        return (
            page["reasons"] == ready
            and hour.metric("ready") == (not ready)
            and ("not ready" in status) == bool(ready)
            and all(f"not ready: {reason}" in status for reason in ready)
            and f"agent {hour.pid} is running" in status
        )

    hour.until(agree)
    if BROWSER is None:
        return

    def shown() -> bool:
        page = hour.page()
        text = unescape(browse(hour, "--dump-dom"))
        return all(each in text for each in [*page["reasons"], page["verdict"]])

    hour.until(shown)
    pictures(hour)


def pictures(hour: Hour) -> None:
    """Take the page on a telephone and on a screen, by day and by night."""
    if BROWSER is None:
        return
    for width, dark in ((380, False), (380, True), (1440, False), (1440, True)):
        picture = hour.pictures / f"{hour.act}-{width}{'-dark' if dark else ''}.png"
        more = ["--blink-settings=preferredColorScheme=0"] if dark else []
        browse(hour, f"--screenshot={picture}", f"--window-size={width},1400", *more)
        assert picture.stat().st_size > 10_000, "it shows next to nothing"


def browse(hour: Hour, *arguments: str) -> str:
    """Open the page as a person does, and wait until it shows its values."""
    assert BROWSER is not None
    profile = hour.folder / "browser"
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
               f"--user-data-dir={profile}", "--virtual-time-budget=3000", *arguments]  # fmt: skip
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{hour.port}/"],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@contextmanager
def tapped(hour: Hour, exporter: str) -> Iterator[list[dict[str, Any]]]:
    """Watch what leaves *exporter* until its first event is seen; the list is filled at the end."""
    command = [sys.executable, "-m", "k8s_audit_otlp", "tap", "--state-dir", str(hour.state)]
    seen: list[dict[str, Any]] = []
    with subprocess.Popen(
        [*command, "--json", "--exporter", exporter, "--for", "60s"], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    ) as tap:  # fmt: skip
        assert tap.stderr is not None
        assert tap.stdout is not None
        assert "watching the agent" in tap.stderr.readline()
        yield seen
        seen.append(json.loads(tap.stdout.readline()))
        tap.terminate()


def all_is_well(hour: Hour) -> None:
    """Whatever is asked says so, and it is so."""
    hour.until(lambda: not hour.missing(hour.well) and not hour.missing(hour.ill))
    hour.until(lambda: hour.card()["kind"] == hour.card(WELL)["kind"] == "good")
    hour.until(lambda: hour.ready() == [])
    assert hour.card()["next"] == ""
    hour.until(lambda: hour.status().count("backlog  0 B") == 2)
    hour.until(lambda: hour.metric("waiting_requests") == hour.metric("backlog_bytes") == 0)
