"""What an operator can ask during a bad hour: page, status, metrics, probes, alerts and log.

An agent with two exporters: one whose back end is always well, one that the hour happens to.
"""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from tests.kit.backends.backend import Backend
from tests.kit.log.events import EventSource

WELL, ILL = "otlp_http/well", "otlp_http/ill"
SAFE = "Nothing is lost while the log is kept."
HELD = "do not restart it before that is sent"
CONFIG = """
receivers: {{k8s_audit: {{include: [{log}], resource: {{k8s.cluster.name: hour}}}}}}
exporters:
  otlp_http/well: {{endpoint: "{well}"}}
  otlp_http/ill:
    endpoint: "{ill}"
    headers: {{x-key: {key}}}
    timeout: 5s
    retry_on_failure: {{initial_interval: 300ms, max_interval: 1s}}
{more}
service:
  state_dir: {state}
  telemetry: {{logs: {{encoding: json}}, metrics: {{address: "127.0.0.1:{port}"}}}}
"""
_SERIES = re.compile(r"(\w+)(\{.*\})? (\S+)")


def series_of(text: str) -> dict[str, float]:
    """Return what was scraped, by name and labels."""
    found = (_SERIES.fullmatch(line) for line in text.splitlines() if not line.startswith("#"))
    return {m[1] + (m[2] or ""): float(m[3]) for m in found if m}


class Hour:
    """One agent, its log, its back ends, and everything that can be asked about it."""

    def __init__(self, folder: Path, well: Backend, ill: Backend, port: int) -> None:
        self.folder = folder
        self.well, self.ill = well, ill
        self.log = folder / "log" / "audit.log"
        self.log.parent.mkdir()
        self.state = folder / "state"
        self.file = folder / "agent.yaml"
        self.err = folder / "agent.log"
        self.port = port
        self.written: set[str] = set()
        self.has_disk = False  # the state has a disk of its own
        self.process: subprocess.Popen[bytes] | None = None
        self.act = "start"
        self.pictures = Path(os.environ.get("K8S_AUDIT_OTLP_PICTURES", folder / "pictures"))
        self.pictures.mkdir(exist_ok=True)
        self._source = EventSource(11)
        self._read = 0  # lines of the agent's log that were looked at
        self.configure()

    # -- what happens --------------------------------------------------------------------------

    def configure(self, key: str = "right", more: str = "") -> None:
        values = {"log": self.log, "well": self.well.url, "ill": self.ill.url, "key": key}
        text = CONFIG.format(**values, more=more, state=self.state, port=self.port)
        new = self.file.with_suffix(".new")
        new.write_text(text)
        new.replace(self.file)

    def start(self) -> None:
        command = [sys.executable, "-m", "k8s_audit_otlp", "run", "-c", str(self.file)]
        with self.err.open("ab") as err:
            self.process = subprocess.Popen(command, stderr=err)
        self.until(lambda: self.get("/livez")[0] == 200)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(60)

    def write(self, count: int, say: str = "") -> None:
        """Append events; *say* stands in the last one's user agent."""
        with self.log.open("ab") as log:
            for n in range(count):
                audit_id, line = self._source.event()
                if say and n == count - 1:
                    line = re.sub(rb'"userAgent":"[^"]*"', f'"userAgent":"{say}"'.encode(), line)
                log.write(line + b"\n")
                self.written.add(audit_id)

    def rotate(self) -> None:
        """Rename the log as lumberjack does: when an event comes, which begins the new one."""
        time.sleep(0.002)  # no two of one name
        seconds, ms = divmod(time.time_ns() // 10**6, 1000)
        stamp = time.strftime("%Y-%m-%dT%H-%M-%S", time.gmtime(seconds)) + f".{ms:03}"
        self.log.rename(self.log.with_name(f"audit-{stamp}.log"))
        self.write(1)

    # -- what one can ask ----------------------------------------------------------------------

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}{path}", timeout=60
            ) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def page(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.get("/status.json")[1])
        return found

    def card(self, exporter: str = ILL) -> dict[str, Any]:
        return next(e for e in self.page()["exporters"] if e["exporter"] == exporter)

    def ready(self) -> list[str]:
        """Return what /readyz has against it; [] where it is ready."""
        code, text = self.get("/readyz")
        reasons: list[str] = json.loads(text)["reasons"]
        assert (code == 200) == (not reasons)
        return reasons

    def command(self, *arguments: str, code: int = 0) -> str:
        command = [sys.executable, "-m", "k8s_audit_otlp", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    def status(self) -> str:
        return self.command("status", "--state-dir", str(self.state))

    def metrics(self) -> dict[str, float]:
        """Return what is scraped, by name and labels."""
        return series_of(self.get("/metrics")[1])

    def metric(self, name: str, *labels: str) -> float:
        return sum(
            value
            for series, value in self.metrics().items()
            if series.partition("{")[0] == f"k8s_audit_otlp_{name}"
            and all(label in series for label in labels)
        )

    def said(self, event: str) -> list[dict[str, Any]]:
        """Return the lines of the agent's log about *event* since they were asked for last."""
        lines = self.err.read_text().splitlines()
        new = [json.loads(line) for line in lines[self._read :]]
        return [line for line in new if line["event"] == event]

    def received(self) -> None:
        """Forget the lines of the log so far; each must have been JSON with an event."""
        lines = self.err.read_text().splitlines()
        assert all("event" in json.loads(line) for line in lines)
        self._read = len(lines)

    def until(self, what: Callable[[], object], seconds: float = 90.0) -> None:
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end, self.err.read_text()[-3000:]
            time.sleep(0.1)

    def missing(self, backend: Backend) -> set[str]:
        return self.written - set(backend.received.audit_ids)
