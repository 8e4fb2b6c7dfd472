"""CPU and memory of the whole process, file -> OTLP/HTTP gzip, beside other shippers in one run.

    python -m tests.bench.compare [LOG ...] [--shapes steady,recipe] [--events N] [--rounds N]
        [--ours default,raw,compact] [--others collector,'collector tuned']

Each shipper reads the same file in turns; what a one-event file costs it (start and stop) is taken
off. Medians; the ratio is the other's CPU over ours in default form, of the same rounds. A LOG is a
real audit log, plain or `.gz`. The Collector is the one that tests/interop/build.sh builds; it maps
the eleven fields and redacts nothing.
"""

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from tests.bench.shapes import SHAPES
from tests.bench.shippers import BIN, OTHERS, OURS, Make

_LAUNCH = Path(__file__).with_name("launch.py")
_IDLE_S = 60.0  # a shipper that delivers nothing for so long has failed


class Sink:
    """A back end in a process of its own that counts records and keeps nothing."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.kit.backends.backend", "--keep", "nothing"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()

    def stats(self) -> dict[str, int]:
        with urllib.request.urlopen(f"{self.url}/stats") as answer:  # noqa: S310 - our own
            found: dict[str, int] = json.load(answer)
        return found

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()


def measure(make: Make, log: Path, sink: Sink, events: int) -> tuple[float, float, int]:
    """Deliver *log*; CPU seconds, peak MB, bytes on the wire."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shipper = make(folder, log, sink.url)
        result = folder / "result"
        before = sink.stats()
        environ = {**os.environ, **shipper.environ}
        environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled
        said = folder / "said"
        with said.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-S", "-E", str(_LAUNCH), str(result), *shipper.command],
                env=environ,
                stderr=file,
                stdout=subprocess.DEVNULL,
            )
        if not shipper.ends:
            _await(sink, before["records"] + events, process)
            process.terminate()
        process.wait()
        code, cpu, peak = result.read_text().split()
        after = sink.stats()
        arrived = after["records"] - before["records"]
        if arrived < events * shipper.copies or (shipper.ends and code != "0"):
            why = f"{shipper.command[:3]}: {arrived} of {events} arrived, exit {code}"
            raise SystemExit(f"{why}\n{said.read_text()[-4000:]}")
        return float(cpu), int(peak) / 1024, after["bytes"] - before["bytes"]


def _await(sink: Sink, want: int, process: "subprocess.Popen[bytes]") -> None:
    have, end = 0, time.monotonic() + _IDLE_S
    while have < want and process.poll() is None and time.monotonic() < end:
        time.sleep(0.1)
        if (now := sink.stats()["records"]) > have:
            have, end = now, time.monotonic() + _IDLE_S


def write_shape(name: str, events: int, folder: Path) -> Path:
    path = folder / f"{name}.log"
    with path.open("wb") as file:
        for line in SHAPES[name](events):
            file.write(line)
    return path


def copy_log(log: Path, folder: Path) -> Path:
    """Copy a log under a name that no shipper takes for a backup; complete lines only."""
    path = folder / "given.log"
    data = log.read_bytes()
    data = gzip.decompress(data) if log.suffix == ".gz" else data
    path.write_bytes(data[: data.rfind(b"\n") + 1])
    return path


def compare(log: Path, sink: Sink, shippers: dict[str, Make], rounds: int) -> None:
    data = log.read_bytes()
    events = data.count(b"\n")
    one = log.with_name("one.log")
    one.write_bytes(data[: data.find(b"\n") + 1])
    title = f"{log.stem}: {events:,} events of {len(data) / events:,.0f} B"
    head = "| shipper | us/event | MB/s | sent B/event | start CPU s | peak MB | ratio |"
    print(f"\n{title}\n{head}\n|---|---|---|---|---|---|---|")  # noqa: T201 - a report
    figures: dict[str, list[float]] = {name: [] for name in shippers}
    starts: dict[str, list[float]] = {name: [] for name in shippers}
    peaks, sent = dict.fromkeys(shippers, 0.0), dict.fromkeys(shippers, 0)
    for _ in range(rounds):
        for name, make in shippers.items():
            start, _, _ = measure(make, one, sink, 1)
            cpu, peak, wire = measure(make, log, sink, events)
            starts[name].append(start)
            figures[name].append(cpu - start)
            peaks[name], sent[name] = max(peaks[name], peak), wire
    first = next(iter(shippers))
    for name in shippers:
        cpu = statistics.median(figures[name])
        pairs = zip(figures[name], figures[first], strict=True)
        ratio = statistics.median(other / ours for other, ours in pairs)
        print(  # noqa: T201 - a report
            f"| {name} | {cpu / events * 1e6:.1f} | {len(data) / cpu / 1e6:.0f} "
            f"| {sent[name] / events:.0f} | {statistics.median(starts[name]):.2f} "
            f"| {peaks[name]:.0f} | {ratio:.2f} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("logs", nargs="*", type=Path)
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ours", default="default,raw,compact")
    parser.add_argument("--others", default=",".join(OTHERS))
    arguments = parser.parse_args()
    shippers = {name: OURS[name] for name in arguments.ours.split(",") if name}
    if (BIN / "otelcol").exists():
        shippers |= {name: OTHERS[name] for name in arguments.others.split(",") if name}
    with tempfile.TemporaryDirectory() as name:
        folder, sink = Path(name), Sink()
        try:
            for shape in filter(None, arguments.shapes.split(",")):
                compare(
                    write_shape(shape, arguments.events, folder), sink, shippers, arguments.rounds
                )
            for log in arguments.logs:
                compare(copy_log(log, folder), sink, shippers, arguments.rounds)
        finally:
            sink.close()


if __name__ == "__main__":
    main()
