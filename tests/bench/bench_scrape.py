"""What metrics cost: the CPU of the listener's threads beside that of the threads that deliver.

    python -m tests.bench.bench_scrape [--events 300000] [--rounds 3] [--every 30000,7500]

Scraped whenever so many events were delivered: one core delivers some 30,000 a second, so the first
is a scrape a second, on a machine of any load. Counted by the kernel for each thread of one agent
(`by_thread`). A first delivery is scraped once: what the listener takes to begin is said there, and
taken off the others. Then one agent at rest is scraped 100 times in turn:
the milliseconds of CPU that an answer takes. An answer is kept for 0.2 s, so the pause between two
is longer than that.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

from tests.bench.compare import Sink, measure, write_shape
from tests.bench.shippers import Shipper
from tests.kit.backends.servers import free_port

_RUN = [sys.executable, "-m", "k8s_audit_otlp", "run", "-c"]
_PAUSE_S = 0.25
_SCRAPES = 100
_DELIVER = ("read", "send", "watch")
_LISTEN = ("status", "answer")


def agent(folder: Path, log: Path, endpoint: str, port: int) -> list[str]:
    """Return the command of an agent that listens."""
    told = f", telemetry: {{metrics: {{address: '127.0.0.1:{port}'}}}}"
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


def delivery(log: Path, sink: Sink, events: int, every: int) -> tuple[Mapping[str, float], int]:
    """Return the CPU seconds of each thread of one delivery, and how often it was scraped."""
    ended, scraped, port = Event(), 0, free_port()

    def scraper() -> None:
        nonlocal scraped
        before = sink.stats()["records"]
        while not ended.wait(0.01):
            if sink.stats()["records"] - before >= every * (scraped + 1):
                with suppress(OSError):
                    scrape(port)
                scraped += 1

    with tempfile.TemporaryDirectory() as name:
        result = Path(name) / "threads.json"
        by_thread = [sys.executable, "-m", "tests.bench.by_thread", str(result)]

        def make(folder: Path, path: Path, url: str) -> Shipper:
            return Shipper([*by_thread, *agent(folder, path, url, port)[3:], "--once"])

        thread = Thread(target=scraper)
        thread.start()
        try:
            measure(make, log, sink, events)
        finally:
            ended.set()
            thread.join()
        threads: dict[str, float] = json.loads(result.read_text())
    return threads, scraped


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
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--every", default="30000,7500", help="events between two scrapes")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        events, sink = arguments.events, Sink()
        log = write_shape("steady", events, Path(name))
        try:
            begin = 0.0
            for every in [events, *map(int, arguments.every.split(",") * arguments.rounds)]:
                threads, scraped = delivery(log, sink, events, every)
                deliver = sum(threads.get(kind, 0.0) for kind in _DELIVER)
                listen = sum(threads.get(kind, 0.0) for kind in _LISTEN) - begin
                begin = begin or listen
                print(  # noqa: T201 - a report
                    f"every {every} events, {scraped} scrapes: the listener {listen:.3f} s of CPU, "
                    f"delivery {deliver:.2f} s: {listen / deliver:.2%}; all of the process, its "
                    f"start too, {threads['all']:.2f} s"
                )
            took, size = at_rest(write_shape("steady", 100, Path(name)), sink, free_port())
            print(f"at rest: {took:.2f} ms of CPU an answer of {size:,} B")  # noqa: T201
        finally:
            sink.close()


if __name__ == "__main__":
    main()
