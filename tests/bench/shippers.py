"""Programs that carry a log file to an OTLP/HTTP back end, as configurations and command lines.

Another one is a function here: folder, log, endpoint -> a Shipper.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

BIN = Path(os.environ.get("K8S_AUDIT_OTLP_BIN", Path.home() / ".cache/k8s-audit-otlp/bin"))

_AGENT = """
receivers: {{k8s_audit: {{include: [{log}]}}}}
exporters:
{exporters}
service: {{state_dir: {folder}/state}}
"""
_COLLECTOR = """
receivers:
  file_log:
    include: [{log}]
    start_at: beginning
    max_log_size: 64MiB
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
  otlp_http: {{endpoint: "{endpoint}", compression: gzip{level}}}
service:
  pipelines:
    logs: {{receivers: [file_log], processors: [transform, batch], exporters: [otlp_http]}}
  telemetry: {{metrics: {{level: none}}, logs: {{level: error}}}}
"""


@dataclass(frozen=True, slots=True)
class Shipper:
    """`ends`: it stops by itself when the log is delivered. `copies`: records sent for an event."""

    command: list[str]
    environ: dict[str, str] = field(default_factory=dict)
    ends: bool = True
    copies: int = 1


Make = Callable[[Path, Path, str], Shipper]


def _agent(*exporters: str) -> Make:
    def make(folder: Path, log: Path, endpoint: str) -> Shipper:
        blocks = [
            f"  otlp_http/{n}: {{endpoint: {endpoint}{more}}}" for n, more in enumerate(exporters)
        ]
        config = folder / "agent.yaml"
        config.write_text(_AGENT.format(log=log, folder=folder, exporters="\n".join(blocks)))
        command = [sys.executable, "-m", "k8s_audit_otlp", "run", "--once", "--config", str(config)]
        return Shipper(command, copies=len(exporters))

    return make


def _collector(level: str, **environ: str) -> Make:
    def make(folder: Path, log: Path, endpoint: str) -> Shipper:
        config = folder / "collector.yaml"
        config.write_text(_COLLECTOR.format(log=log, endpoint=endpoint, level=level))
        return Shipper([str(BIN / "otelcol"), "--config", str(config)], environ, ends=False)

    return make


OURS: dict[str, Make] = {
    "default": _agent(""),
    "raw": _agent(", audit: {bodies: raw, unsafe: true}"),
    "compact": _agent(", compression_params: {level: 1}, audit: {profile: semconv}"),
    "two exporters": _agent("", ""),
    "three exporters": _agent("", "", ""),
}
OTHERS: dict[str, Make] = {
    "collector": _collector(""),
    "collector tuned": _collector(", compression_params: {level: 1}", GOGC="400"),
}
