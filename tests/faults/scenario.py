"""Runs one seed, and says what was written, what was done to everyone, and what is missing.

While a writer writes and rotates, rng choose what happens next: the agent is killed, asked to
end or frozen, the back end changes its fault or goes away, the disk of the state fills up, the
writer itself is killed. At the end all is well again, and the agent delivers what is left.
"""

import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from k8s_audit_otlp.cli.exit_codes import STATE
from k8s_audit_otlp.state.checkpoint import CheckpointFile
from tests.faults.compare import compare, unbalanced
from tests.faults.processes import Agent, Script, Totals, Writer, write_config
from tests.faults.weather import FAULTS, Weather
from tests.kit.agent import exported
from tests.kit.backends.backend import Backend
from tests.kit.judged import write_rows

KEEPS = (0, 0, 2, 1)  # backups that the writer keeps, by turns of the seed; 0 keeps all
STATE_DISK_BYTES = 4_000_000  # three generations of the state of a thousand segments
DEADLINE = "60s"
WAIT_S = 120.0  # for what comes at once on a quiet machine
AUDIT_ID = re.compile(rb'"auditID":"([^"]+)"')

# name -> how likely it is to be next
ACTS = {
    "kill": 6,
    "term": 3,
    "freeze": 3,
    "change_fault": 6,
    "go_away": 2,
    "fill_disk": 2,
    "kill_writer": 1,
    "power_cut": 1,
}


def script_of(rng: random.Random, seconds: float | None, max_backups: int) -> Script:
    """Choose how the log is written; the smallest files make a storm of rotations."""
    return Script(
        rate=rng.choice((300, 1000, 1000, 2500)),
        seconds=seconds or rng.uniform(2.0, 3.5),
        max_bytes=rng.choice((40_000, 150_000, 400_000, 1_000_000)),
        max_backups=max_backups,
        compress=rng.random() < 0.8,
    )


@contextmanager
def small_disk(folder: Path, size: int = STATE_DISK_BYTES) -> Iterator[bool]:
    """Give a folder a disk of its own that can be filled, where we may mount one."""
    folder.mkdir(parents=True)
    mounted = os.geteuid() == 0 and not _mount(
        *("mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(folder))
    )
    try:
        yield mounted
    finally:
        if mounted:
            _mount("umount", "--lazy", str(folder))


def _mount(*command: str) -> int:
    return subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode


class Scenario:
    """What may be done to the agent, the back end, the disk and the writer."""

    def __init__(self, folder: Path, rng: random.Random, *, disk: bool) -> None:
        self.totals = Totals()
        self._folder, self._rng = folder, rng
        self._log = folder / "log" / "audit.log"
        self._cut: set[str] = set()  # ids of events that a power cut took
        self._acts: dict[str, Callable[[], None]] = {n: getattr(self, n) for n in ACTS}
        if not disk:
            del self._acts["fill_disk"]

    def run(self, backend: Backend, weather: Weather, script: Script, seed: int) -> None:
        log = self._log
        log.parent.mkdir()
        self.totals.deletes_early = int(script.max_backups > 0)
        config = write_config(self._folder, backend.url)
        self.backend, self.weather = backend, weather
        with Agent(config, self._folder / "agent.log") as self.agent, ExitStack() as later:
            self.agent.start()
            self._wait_for(self._folder / "state" / "checkpoint.json")
            self.writer = later.enter_context(Writer(log, script, seed))
            self._wait_for_first_events()
            if not script.max_backups:
                self._wait_for_first_segment()
            while self.writer.writing:
                time.sleep(self._rng.choice((0.1, 0.4, 1.0)) * self._rng.random())
                name = self._rng.choices(list(self._acts), [ACTS[n] for n in self._acts])[0]
                self._acts[name]()
                self._look()
            weather.fault = "calm"
            self.agent.end(self._rng.choice((signal.SIGKILL, signal.SIGTERM)))
            code = self.agent.start("--once", "--deadline", DEADLINE).wait(120)
            if code:
                self.totals.notes.append(f"--once ended with {code}")
        self.totals.faults, self.totals.unanswered = weather.faults, weather.unanswered
        self.totals.rotations = len(list(log.parent.glob("audit-*"))) or self.totals.rotations
        compare(self.writer.record, backend, self.totals, self._cut)
        self.totals.notes += unbalanced(self._folder / "state")

    @staticmethod
    def _wait_for(path: Path) -> None:
        end = time.monotonic() + WAIT_S
        while not path.exists() and time.monotonic() < end:
            time.sleep(0.02)

    def _wait_for_first_events(self) -> None:
        """Begin once something has arrived: what was deleted before that, nobody can tell of."""
        end = time.monotonic() + WAIT_S
        while not self.backend.received.audit_ids and self.writer.writing:
            if time.monotonic() > end:
                self.totals.notes.append("nothing arrived")
                return
            time.sleep(0.02)

    def _wait_for_first_segment(self) -> None:
        """Begin once the state knows a file: before that, nothing proves that it is the first."""
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            checkpoint = CheckpointFile(self._folder / "state").load().checkpoint
            if checkpoint and any(m.segments for m in checkpoint.manifests.values()):
                return
            time.sleep(0.02)

    def _look(self) -> None:
        """Note an end that nobody asked for; on a full disk the agent may refuse to start."""
        if (code := self.agent.ended) is not None:
            if not (code == STATE and self.totals.full_disks):
                self.totals.notes.append(f"the agent ended by itself with {code}")
            self.agent.start()

    # -- the acts ------------------------------------------------------------------------------

    def kill(self) -> None:
        self.agent.end(signal.SIGKILL)
        self.totals.kills += 1
        self._start_again()

    def term(self) -> None:
        took = self.agent.end(signal.SIGTERM)
        self.totals.terms += 1
        self.totals.slowest_term_s = max(self.totals.slowest_term_s, took)
        self._start_again()

    def _start_again(self) -> None:
        if self._rng.random() < 0.3:
            time.sleep(self._rng.uniform(0, 0.6))
        self.agent.start()

    def freeze(self) -> None:
        self.agent.signal(signal.SIGSTOP)
        self.totals.stops += 1
        long = self._rng.random() < 0.2  # many rotations, where files are small
        time.sleep(self._rng.uniform(0.8, 2.0) if long else self._rng.uniform(0.05, 0.8))
        if self._rng.random() < 0.2:
            self.kill()
        else:
            self.agent.signal(signal.SIGCONT)

    def change_fault(self) -> None:
        self.weather.fault = self._rng.choice(list(FAULTS))

    def go_away(self) -> None:
        self.backend.stop()
        self.totals.outages += 1
        time.sleep(self._rng.uniform(0.05, 0.8))
        self.backend.start()

    def fill_disk(self) -> None:
        ballast = self._folder / "state" / "ballast"
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        self.totals.full_disks += 1
        time.sleep(self._rng.uniform(0.1, 0.6))
        if self._rng.random() < 0.3:
            self.kill()
            time.sleep(self._rng.uniform(0, 0.5))
        ballast.unlink(missing_ok=True)

    def kill_writer(self) -> None:
        if self.writer.writing and not self.totals.writer_kills:
            self.writer.kill()
            self.totals.writer_kills += 1

    def power_cut(self) -> None:
        """Take the end of the log, which nobody synced, while nobody runs; both come back."""
        if not self.writer.writing or self.totals.power_cuts:
            return
        self.agent.end(signal.SIGKILL)
        self.writer.kill(self._lose_tail)
        self.totals.power_cuts += 1
        self._start_again()

    def _lose_tail(self) -> None:
        data = self._log.read_bytes()
        left = max(0, len(data) - self._rng.randint(0, 20_000))
        line = data.rfind(b"\n", 0, left) + 1
        self._cut |= {found.decode() for found in AUDIT_ID.findall(data[line:])}
        os.truncate(self._log, left)


def run_scenario(
    folder: Path,
    seed: int,
    seconds: float | None = None,
    max_backups: int | None = None,
) -> Totals:
    """Run one seed in a folder of its own; *seconds* is how long the writer writes."""
    if max_backups is None:
        max_backups = KEEPS[seed % len(KEEPS)]
    rng = random.Random(seed)  # noqa: S311 - a seed makes a run repeatable
    weather = Weather(seed)
    with (
        small_disk(folder / "state") as disk,
        Backend(weather) as backend,
    ):
        one = Scenario(folder, rng, disk=disk)
        one.totals.seed = seed
        one.run(backend, weather, script_of(rng, seconds, max_backups), seed)
        write_rows(folder / "export.ndjson", exported(backend))
        if one.totals.wrong:
            no_sockets = shutil.ignore_patterns("*.sock")
            shutil.copytree(folder / "state", folder / "state-at-end", ignore=no_sockets)
            (folder / "received").write_text("\n".join(backend.received.uids))
            notices = [f"{n.event_name} {n.attributes}" for n in backend.received.notices]
            (folder / "notices").write_text("\n".join(notices))
        return one.totals
