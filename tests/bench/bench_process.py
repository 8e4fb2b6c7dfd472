"""CPU of the whole process, file -> OTLP/HTTP gzip, beside a real Collector in the same run.

    python tests/bench/bench_process.py [--events N] [--rounds N] [--collector] [--keep-bodies]

Makes a log of Metadata events of 1.4 KB, starts a sink process that only counts, and runs the agent
with `--once` on it: one exporter, default profile, redaction on. Prints user + system CPU-seconds
and peak memory of the agent's process, start-up included, as the kernel accounts for them. With
--collector the same log goes through `otelcol` (file_log and a transform that maps the eleven
fields), in turns with the agent, and the ratio is printed.

The machine's speed drifts: believe ratios, and the decode + map + encode + gzip figure that is
measured in the same run.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from tests.bench.bench_encode import lines

CACHE = Path(os.environ.get("K8S_AUDIT_OTLP_BIN", Path.home() / ".cache/k8s-audit-otlp/bin"))
COLLECTOR = """
receivers:
  file_log:
    include: [{log}]
    start_at: beginning
    operators: [{{type: json_parser, parse_to: attributes}}]
processors:
  transform:
    log_statements:
      - context: log
        statements:
          - set(attributes["username"], attributes["user"]["username"])
          - set(attributes["responseCode"], attributes["responseStatus"]["code"])
          - set(attributes["sourceIP_0"], attributes["sourceIPs"][0])
          - set(attributes["namespace"], attributes["objectRef"]["namespace"])
          - set(attributes["node"], attributes["objectRef"]["name"])
          - set(attributes["status"], "OK") where attributes["responseCode"] == 200
          - set(attributes["status"], "FAIL") where attributes["responseCode"] != 200
          - set(time, Time(attributes["stageTimestamp"], "%Y-%m-%dT%H:%M:%S.%fZ"))
          - keep_keys(attributes, ["kind", "level", "stage", "verb", "auditID", "username",
              "responseCode", "status", "sourceIP_0", "namespace", "node"])
  batch: {{send_batch_size: 500, send_batch_max_size: 500}}
exporters:
  otlp_http: {{endpoint: "{endpoint}", compression: gzip}}
service:
  pipelines:
    logs: {{receivers: [file_log], processors: [transform, batch], exporters: [otlp_http]}}
  telemetry: {{metrics: {{level: none}}, logs: {{level: error}}}}
"""


def make_log(path: Path, events: int) -> int:
    with path.open("wb") as file:
        return sum(file.write(line.rstrip(b"\n") + b"\n") for line in lines(events))


class Sink:
    """A back end in a process of its own that counts records and keeps nothing."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.kit.backend", "--keep", "nothing"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()

    def records(self) -> int:
        with urllib.request.urlopen(f"{self.url}/stats") as answer:  # noqa: S310 - our own
            return int(json.load(answer)["records"])

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()


def spent(
    command: list[str], environ: dict[str, str], until: "Sink | None", want: int
) -> tuple[float, float]:
    """Run a command to its end, or stop it when the sink has what it wants; CPU s and peak MB."""
    process = subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL)
    if until is not None:
        while until.records() < want and process.poll() is None:
            time.sleep(0.2)
        process.terminate()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if until is None and process.returncode:
        raise SystemExit(f"{command[:4]} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def agent(folder: Path, log: Path, sink: Sink) -> tuple[float, float]:
    state = folder / "state"
    shutil.rmtree(state, ignore_errors=True)
    command = [sys.executable, "-m", "k8s_audit_otlp", "run", "--once"]
    command += ["--path", str(log), "--state-dir", str(state)]
    environ = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": sink.url}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled
    return spent(command, environ, None, 0)


def collector(folder: Path, log: Path, sink: Sink, events: int) -> tuple[float, float]:
    config = folder / "collector.yaml"
    config.write_text(COLLECTOR.format(log=log, endpoint=sink.url))
    command = [str(CACHE / "otelcol"), "--config", str(config)]
    return spent(command, dict(os.environ), sink, sink.records() + events)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--collector", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = folder / "audit.log"
        size = make_log(log, arguments.events)
        sink = Sink()
        try:
            for _ in range(arguments.rounds):
                cpu, peak = agent(folder, log, sink)
                line = f"agent {cpu / arguments.events * 1e6:.1f} us/event, "
                line += f"{arguments.events / cpu:,.0f} events and {size / cpu / 1e6:.0f} MB "
                line += f"per CPU-second, peak {peak:.0f} MB"
                if arguments.collector:
                    other, peak = collector(folder, log, sink, arguments.events)
                    line += f" | collector {other / arguments.events * 1e6:.1f} us/event, "
                    line += f"peak {peak:.0f} MB | ratio {other / cpu:.1f}"
                print(line, flush=True)  # noqa: T201 - what a benchmark is for
        finally:
            sink.close()


if __name__ == "__main__":
    main()
