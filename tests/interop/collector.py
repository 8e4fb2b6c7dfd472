"""A real OpenTelemetry Collector as a value: started, stopped, and what it has written."""

import os
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import yaml

from tests.kit.backends.servers import free_port

START_S = 180.0


class Collector:
    """Receives OTLP on two ports and writes every request to a file, a line each."""

    def __init__(self, binary: Path, directory: Path) -> None:
        self.directory = directory
        self.output = directory / "received.jsonl"
        self.http, self.grpc, self.health = free_port(), free_port(), free_port()
        self._binary = binary
        self._process: subprocess.Popen[bytes] | None = None

    def config(
        self,
        *,
        http: Mapping[str, Any] | None = None,
        grpc: Mapping[str, Any] | None = None,
        memory_limiter: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return a configuration that acknowledges what it has given to the file."""
        protocols = {
            "http": {"endpoint": f"127.0.0.1:{self.http}", **(http or {})},
            "grpc": {"endpoint": f"127.0.0.1:{self.grpc}", **(grpc or {})},
        }
        processors = {"memory_limiter": memory_limiter} if memory_limiter else {}
        return {
            "extensions": {"health_check": {"endpoint": f"127.0.0.1:{self.health}"}},
            "receivers": {"otlp": {"protocols": protocols}},
            "processors": processors,
            "exporters": {"file": {"path": str(self.output), "append": True}},
            "service": {
                "extensions": ["health_check"],
                "telemetry": {"metrics": {"level": "none"}},
                "pipelines": {
                    "logs": {
                        "receivers": ["otlp"],
                        "processors": list(processors),
                        "exporters": ["file"],
                    }
                },
            },
        }

    def start(
        self,
        config: Mapping[str, Any] | Path,
        env: Mapping[str, str] | None = None,
        *,
        ports: Sequence[int] | None = None,
    ) -> None:
        """Run with a configuration, or a file with one, and wait until its ports are open.

        *ports*: where it listens; that of OTLP over HTTP and that over gRPC by default.
        """
        ports = (self.http, self.grpc) if ports is None else ports
        if not isinstance(config, Path):
            path = self.directory / "collector.yaml"
            path.write_text(yaml.safe_dump(config))
            config = path
        with (self.directory / "collector.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._binary, "--config", config],
                env={**os.environ, **(env or {})},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        end = time.monotonic() + START_S
        while not all(map(_is_open, ports)):
            if self._process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"the Collector did not start:\n{self.log()}")
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop; with SIGTERM it writes what it has acknowledged."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None

    def log(self) -> str:
        return (self.directory / "collector.log").read_text(errors="replace")

    def requests(self) -> int:
        return self.output.read_bytes().count(b"\n") if self.output.exists() else 0

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield the LogRecords of audit events, as OTLP JSON, in the order of their arrival."""
        data = self.output.read_bytes() if self.output.exists() else b""
        for line in data[: data.rfind(b"\n") + 1].splitlines():  # the last may be half written
            for resource in orjson.loads(line)["resourceLogs"]:
                for scope in resource["scopeLogs"]:
                    yield from (
                        record
                        for record in scope["logRecords"]
                        if record.get("eventName") == "k8s.audit.event"
                    )

    def events(self) -> Counter[tuple[str, ...]]:
        """Count what has arrived, by what each body says of itself."""
        return Counter(key_of(record["body"]["stringValue"]) for record in self.records())

    def uids(self) -> Counter[str]:
        return Counter(attributes(record)["log.record.uid"] for record in self.records())


def attributes(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a record; lists as lists, integers as their text."""
    return {pair["key"]: next(iter(pair["value"].values())) for pair in record["attributes"]}


def key_of(line: str | bytes) -> tuple[str, ...]:
    """Return what tells the events of the demo's log apart."""
    event = orjson.loads(line)
    return event["auditID"], event["stage"], event["stageTimestamp"]


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
