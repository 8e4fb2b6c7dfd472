"""One process that reads a log, with steps of the log's writer between its system calls.

A profile function is told of every call of a C function before it is made. No thread runs: the
dice say how many steps the writer makes there, and whether the process is killed.
"""

import random
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from k8s_audit_otlp.exporter.subscription import Subscription, collect, forget_finished
from k8s_audit_otlp.model import LogKey
from k8s_audit_otlp.receiver.blocks import BlockReader
from k8s_audit_otlp.receiver.deleted import DeletedSegments, HoldLimits
from k8s_audit_otlp.receiver.gaps import Gap
from k8s_audit_otlp.receiver.inotify import DirectoryWatch
from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.receiver.marks import mark_of
from k8s_audit_otlp.state.checkpoint import Checkpoint, CheckpointFile
from k8s_audit_otlp.state.ledger import Tally
from k8s_audit_otlp.state.manifest import SegmentState
from k8s_audit_otlp.state.positions import PositionFile
from tests.model.stepwise import StepwiseLog

_CALLS = frozenset({"open", "pread", "stat", "fstat", "scandir", "lseek", "access", "ioctl"})
_ACTS = {"scan": 12, "read": 6, "poll": 3, "commit": 2, "store": 2, "stay": 3, "kill": 1, "wait": 1}
_STEPS = 400  # of the writer in one run
_KILLED = 0.001  # how likely at each call
_AROUND_NS = 1000  # times of events are in microseconds


class Killed(BaseException):
    """Ends the process where it is."""


class Nobody:
    def discovered(self, log: LogKey, segment: SegmentState) -> None: ...

    def trouble(self, log: LogKey, message: str) -> None: ...


class Run:
    """One seed. `came` counts each line that was delivered, `gaps` are those that were told."""

    def __init__(
        self, seed: int, directory: Path, scheme: str, kept: int, log: Any = AuditLog
    ) -> None:
        self.log_class = log
        self.opened = ExitStack()  # by the present process
        self.came: Counter[int] = Counter()
        self.gaps: list[tuple[Gap, str]] = []
        self._dice = random.Random(seed)  # noqa: S311 - a seed, no secret
        self.state = directory / "state"
        self.state.mkdir()
        path = directory / "log" / "audit.log"
        path.parent.mkdir()
        self.writer = StepwiseLog(path, self._dice, scheme, kept)
        self._busy = self._dice.choice((0.01, 0.03, 0.1))  # how likely a step is at each call
        self._left = _STEPS
        self.stood_still = False  # a rotation, for longer than one is waited for
        self.first = 0  # lines that were there before anybody had stored anything

    def run(self) -> None:
        """Let both go on until the writer has done its steps, and then read all there is."""
        process = None
        self._write(self._dice.randrange(1, 4))
        while self._left > 0:
            try:
                with self._interleaved():
                    process = process or Process(self)
                    self._act(process)
            except Killed:
                self.opened.close()
                process = None
        self.writer.finish()
        process = process or Process(self)
        idle = 0
        while idle < 3:
            self.writer.wait(61)
            process.log.scan()
            idle = 0 if process.read() else idle + 1
            process.commit(durable=True)
        self.opened.close()
        self.writer.close()

    def _act(self, process: "Process") -> None:
        match self._dice.choices(list(_ACTS), list(_ACTS.values()))[0]:
            case "scan":
                process.log.scan()
                process.commit(durable=False)
            case "read":
                process.read(self._dice.choice((1, 2, 5, sys.maxsize)))
            case "poll":
                if process.log.poll():
                    process.log.scan()
            case "stay":
                self._write(self._dice.randrange(60))
            case "kill":
                self._write(self._dice.choice((0, 5, 60)))
                raise Killed
            case "wait":
                seconds = self._dice.choice((0.5, 3, 7, 70))
                self.stood_still |= self.writer.rotating and seconds > 1
                self.writer.wait(seconds)
            case commit:
                process.commit(durable=commit == "store")

    def _write(self, steps: int) -> None:
        told = sys.getprofile()
        sys.setprofile(None)  # these calls are the writer's
        for _ in range(min(steps, self._left)):
            self._left -= 1
            self.writer.step()
        sys.setprofile(told)

    @contextmanager
    def _interleaved(self) -> Iterator[None]:
        def before(_frame: Any, event: str, call: Any) -> None:
            if event != "c_call" or call.__name__ not in _CALLS:
                return
            while self._left > 0 and self._dice.random() < self._busy:
                self._write(1)
            if self._dice.random() < _KILLED:
                raise Killed

        sys.setprofile(before)
        try:
            yield
        finally:
            sys.setprofile(None)

    # -- what the back end could conclude ------------------------------------------------------

    def missing(self) -> list[int]:
        return [number for number in self.writer.written if number not in self.came]

    def silent(self) -> list[int]:
        """Return the lines that never came and lie in no gap."""
        told = [
            (gap.since_ns - _AROUND_NS, (gap.until_ns or sys.maxsize) + _AROUND_NS)
            for gap, _ in self.gaps
        ]
        return [
            number
            for number in self.missing()
            if number > self.first
            and not any(since <= self.writer.written[number] <= until for since, until in told)
        ]


class Process:
    """The receiver, a consumer and the state of an agent, without threads."""

    def __init__(self, run: Run) -> None:
        """Take up where the one before was."""
        self._run = run
        self._file = CheckpointFile(run.state, fsync=lambda _: None)
        self._base = self._file.load().checkpoint or Checkpoint()
        path = run.writer.path
        key = str(LogKey("k8s_audit", str(path)))
        self.log = run.log_class(
            "k8s_audit",
            path,
            Nobody(),
            self._base.manifests.get(key),
            deleted=DeletedSegments(HoldLimits(), free=lambda _: sys.maxsize),
            clock_ns=run.writer.now_ns,
        )
        run.opened.callback(self.log.close)
        self._reader = BlockReader(self.log)
        self._positions = PositionFile(run.state, fsync=lambda _: None)
        run.opened.callback(self._positions.close)
        self._consumer = Subscription.resume(
            self.log, "x", self._base.positions.get(key, {}).get("x")
        )
        self.log.register(self._consumer.ledger)
        self._consumer.write_to(self._positions)
        self._begun, self._stored = False, -1
        self.log.scan()
        watch = DirectoryWatch(path.parent)
        run.opened.callback(watch.close)
        self.log.follow(watch.changes)
        self._consumer.resume_new_segments()
        self.commit(durable=True)
        run.first = run.first or len(run.writer.written)

    def commit(self, *, durable: bool) -> None:
        version = self.log.version
        if version == self._stored and not durable:
            return
        forget_finished([self.log], [self._consumer])
        self._file.save(collect(self._base, [self.log], [self._consumer], "now"), durable=durable)
        if durable and not self._begun:
            self._positions.begin()
            self._begun = True
            self._consumer.write_moved()
        self._stored = version
        if durable:
            self._consumer.stored()

    def read(self, most: int = sys.maxsize) -> bool:
        """Read so many blocks and gaps; say whether there was one."""
        ledger, done, again = self._consumer.ledger, 0, 0
        while done < most and again < 3 and (segment := self.log.next_segment(ledger)):
            version = self.log.version
            found = self._reader.read(segment, ledger.next_offset(segment.seq))
            if found is None:
                again = again + 1 if self.log.version != version else 3
                continue
            done += 1
            if isinstance(found, Gap):
                self._run.gaps.append((found, segment.state.detail))
                self._consumer.settle_when_stored(ledger.open(found.span), Tally(gaps=1))
            else:
                lines = (line for line in found.data.splitlines() if line.strip(b"\0"))
                self._run.came.update(int(line[6:12]) for line in lines)
                ledger.settle(ledger.open(found.span, mark_of(found.data)), Tally())
        return done > 0
