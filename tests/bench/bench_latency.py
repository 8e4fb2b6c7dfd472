"""Written -> acknowledged, at a steady rate: how long an event takes to be at the back end.

    python tests/bench/bench_latency.py [--rate 1000] [--seconds 10]

Writes events of 1.4 KB to a log that the agent follows as a process; the back end, in this process,
notes when each arrives. Prints the median and the 99th percentile in milliseconds.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.bench.bench_encode import lines
from tests.kit.backends.backend import Backend


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=10.0)
    arguments = parser.parse_args()
    wanted = int(arguments.rate * arguments.seconds)
    ready = [line.rstrip(b"\n") + b"\n" for line in lines(wanted)]
    written: list[float] = []
    arrived: list[float] = []
    with tempfile.TemporaryDirectory() as name, Backend(keep="nothing") as backend:
        log = Path(name) / "audit.log"
        log.touch()
        command = [sys.executable, "-m", "k8s_audit_otlp", "run", "--path", str(log)]
        command += ["--state-dir", str(Path(name) / "state")]
        environ = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": backend.url}
        agent = subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL)
        time.sleep(3)
        before = backend.received.total  # notices about the start

        def watch() -> None:
            while len(arrived) < wanted:
                while backend.received.total <= before + len(arrived):
                    time.sleep(0.0005)
                now = time.perf_counter()
                arrived.extend([now] * (backend.received.total - before - len(arrived)))

        watcher = threading.Thread(target=watch)
        watcher.start()
        start = time.perf_counter()
        with log.open("ab", buffering=0) as file:
            for n, line in enumerate(ready):
                while time.perf_counter() < start + n / arguments.rate:
                    time.sleep(0.0005)
                file.write(line)
                written.append(time.perf_counter())
        watcher.join()
        agent.terminate()
        agent.wait()
    # Events arrive in the order in which they were written as far as requests in flight allow.
    waits = sorted((a - w) * 1000 for a, w in zip(arrived, written, strict=False))
    p50, p99 = waits[len(waits) // 2], waits[int(len(waits) * 0.99)]
    print(f"{arguments.rate}/s: p50 {p50:.0f} ms, p99 {p99:.0f} ms, worst {waits[-1]:.0f} ms")  # noqa: T201


if __name__ == "__main__":
    main()
