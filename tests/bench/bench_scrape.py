"""What metrics cost: CPU of a delivery without a listener, with one, and with one that is scraped.

    python -m tests.bench.bench_scrape [--events 300000] [--rounds 5] [--every 1,0.25]

Agents take turns over the same log; what a log of one event costs (start and stop) is taken off,
and the least of all rounds is held against that of the agent without a listener. Then one agent at
rest is scraped 100 times in turn: the milliseconds of CPU that an answer takes. An answer is kept
for 0.2 s, so the pause between two is longer than that.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

from tests.bench.compare import Sink, measure, write_shape
from tests.bench.shippers import Shipper
from tests.kit.servers import free_port

_RUN = [sys.executable, "-m", "k8s_audit_otlp", "run", "-c"]
_PAUSE_S = 0.25
_SCRAPES = 100


def agent(folder: Path, log: Path, endpoint: str, port: int) -> list[str]:
    """Return the command of an agent; port 0 is none that listens."""
    told = f", telemetry: {{metrics: {{address: '127.0.0.1:{port}'}}}}" if port else ""
    config = folder / "agent.yaml"
    config.write_text(
        f"receivers: {{k8s_audit: {{include: [{log}]}}}}\n"
        f"exporters: {{otlp_http: {{endpoint: '{endpoint}'}}}}\n"
        f"service: {{state_dir: {folder}/state{told}}}\n"
    )
    return [*_RUN, str(config)]


def scrape(port: int) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        body: bytes = answer.read()
        return body


def delivery(log: Path, sink: Sink, events: int, port: int, every_s: float) -> tuple[float, int]:
    """Return the CPU seconds of one delivery, and how often it was scraped."""
    ended, scraped = Event(), 0

    def scraper() -> None:
        nonlocal scraped
        while not ended.wait(every_s):
            with suppress(OSError):
                scrape(port)
                scraped += 1

    thread = Thread(target=scraper)
    if every_s:
        thread.start()
    try:
        cpu, _, _ = measure(
            lambda folder, path, url: Shipper([*agent(folder, path, url, port), "--once"]),
            log, sink, events,
        )  # fmt: skip
    finally:
        ended.set()
        if every_s:
            thread.join()
    return cpu, scraped


def at_rest(log: Path, sink: Sink, port: int) -> tuple[float, int]:
    """Return the milliseconds of CPU that one answer takes, and its bytes."""
    with tempfile.TemporaryDirectory() as name:
        process = subprocess.Popen(agent(Path(name), log, sink.url, port), stderr=subprocess.PIPE)
        try:
            assert process.stderr is not None
            while b"caught up" not in (line := process.stderr.readline()):
                assert line, "the agent has ended"
            Thread(target=process.stderr.read, daemon=True).start()
            spent = []
            for pause in (True, False):  # the second time for what it takes at rest by itself
                before = _cpu(process.pid)
                for _ in range(_SCRAPES):
                    if pause:
                        size = len(scrape(port))
                    time.sleep(_PAUSE_S)
                spent.append(_cpu(process.pid) - before)
        finally:
            process.terminate()
            process.communicate()
    return (spent[0] - spent[1]) / _SCRAPES * 1000, size


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--every", default="1,0.25", help="seconds between two scrapes")
    arguments = parser.parse_args()
    kinds = {"none": (0, 0.0), "listening": (free_port(), 0.0)}
    for every in arguments.every.split(","):
        kinds[f"scraped every {every} s"] = (free_port(), float(every))
    with tempfile.TemporaryDirectory() as name:
        events, sink = arguments.events, Sink()
        one = write_shape("steady", 1, Path(name)).rename(Path(name) / "one.log")
        log = write_shape("steady", events, Path(name))
        starts: dict[str, list[float]] = {kind: [] for kind in kinds}
        runs: dict[str, list[tuple[float, int]]] = {kind: [] for kind in kinds}
        try:
            for _ in range(arguments.rounds):
                for kind, (port, every_s) in kinds.items():
                    starts[kind].append(delivery(one, sink, 1, port, 0.0)[0])
                    runs[kind].append(delivery(log, sink, events, port, every_s))
            none = min(cpu for cpu, _ in runs["none"]) - min(starts["none"])
            for kind, found in runs.items():
                start = min(starts[kind])
                cpu, scraped = min(found)
                share = (cpu - start) / none - 1
                print(  # noqa: T201 - a report
                    f"{kind}: start {start:.2f} s of CPU, then {cpu - start:.2f} s "
                    f"({share:+.1%}), {scraped} scrapes"
                )
            took, size = at_rest(write_shape("steady", 100, Path(name)), sink, free_port())
            print(f"at rest: {took:.2f} ms of CPU an answer of {size:,} B")  # noqa: T201
        finally:
            sink.close()


if __name__ == "__main__":
    main()
