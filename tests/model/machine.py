"""The receiver driven on real files, step by step, against the world's plain list of lines.

Two consumers with their own ledgers read one log through the real AuditLog, BlockReader,
SubscriptionReader and Batcher. A line is a record. Faulty pieces can be put in by subclasses.
"""

from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from k8s_audit_otlp.exporter.batcher import Batcher, BatchLimits
from k8s_audit_otlp.exporter.shared import EncodedBlocks
from k8s_audit_otlp.exporter.subscription import Subscription, collect, forget_finished
from k8s_audit_otlp.exporter.subscription_reader import SubscriptionReader
from k8s_audit_otlp.model import EncodedBlock, LogKey
from k8s_audit_otlp.receiver.blocks import BlockReader
from k8s_audit_otlp.receiver.deleted import DeletedSegments, HoldLimits
from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.receiver.segments import LogLimits
from k8s_audit_otlp.state.checkpoint import Checkpoint
from k8s_audit_otlp.state.ledger import Tally
from tests.kit.agent import NobodyListens
from tests.model.world import World

CONSUMERS = ("one", "two")
CACHE_BYTES = 600_000
UNKNOWN = {"unseen", "corrupt_gzip"}  # where not a line could be read, its times alone are told
REST_IS_LOST = {"deleted", "let_go", "truncated"}  # such a gap reaches to the end of its segment


def encode(block: Any) -> Any:
    """Make a record of each line; what holds only NULs is the rest of a hole."""
    records, ends, offset = [], [], block.span.start
    for line in block.data.splitlines(keepends=True):
        offset += len(line)
        if line.strip(b"\0"):
            records.append(line)
            ends.append(offset)
    return EncodedBlock(block.span, records, ends, lines=len(records))


class Gaps:
    """What one consumer was told is lost: identity, start, end, reason, and between which times."""

    def __init__(self, told: Any = ()) -> None:
        self.told = list(told)

    def gap(self, _subscription: Any, segment: Any, gap: Any) -> None:
        self.told.append(
            (
                segment.state.identity.partition(".")[0],
                gap.span.start,
                gap.span.end,
                gap.reason,
                number_at(gap.since_ns),
                number_at(gap.until_ns) or 1 << 60,
            )
        )

    def cover(self, line: Any, identities: Any) -> Any:
        return any(
            identity in identities
            and start < line.end
            and (end > line.start or reason in REST_IS_LOST)
            for identity, start, end, reason, _, _ in self.told
        )

    def between(self, line: Any) -> Any:
        """Say whether a gap of unknown length lies around the time of *line*."""
        return any(
            since < line.number < until
            for _, _, _, reason, since, until in self.told
            if reason in UNKNOWN
        )


def number_at(time_ns: Any) -> Any:
    """Return the number of the line with this time: it is its microseconds."""
    return time_ns // 1000 % 1_000_000


class Reading:
    """One consumer in one life of the process, and what it was given."""

    def __init__(self, subscription: Any, reader: Any, gaps: Any, given: Any) -> None:
        self.subscription = subscription
        self.reader = reader
        self.gaps = gaps
        self.given = given  # numbers of lines that must not come again
        self.acked: set[int] = set()
        self.under_way: list[Any] = []


class ReceiverMachine(RuleBasedStateMachine):
    """Nothing twice without a restart, nothing missing without a gap, no position ahead."""

    log_class = AuditLog
    reader_class = BlockReader
    gaps_class = Gaps
    strict = True  # what nobody can have seen lies in a gap all the same; no gap without a harm
    judges_gaps = True  # False: a gap without a harm is no end of a story

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.key = str(LogKey("k8s_audit", str(self.world.path)))
        self.scans = 0
        self.last_given: dict[str, int] = {}  # by consumer: the scan that found its newest segment

    @initialize(max_open=st.sampled_from([3, 256]), most=st.sampled_from([1, 3, 1000]))
    def start(self, max_open: Any, most: Any) -> None:
        self.limits = LogLimits(max_open=max_open)
        self.most = most
        self.acked: dict[str, set[int]] = {name: set() for name in CONSUMERS}
        self.committed = None
        self.commit_of_nothing()
        self.run()
        self.scan()  # what came and went before the first look is nobody's to tell
        self.commit()

    def commit_of_nothing(self) -> None:
        self.checkpoint = msgspec.json.encode(Checkpoint())
        self.settled: dict[str, set[int]] = {name: set() for name in CONSUMERS}
        self.gaps_then: dict[str, list[Any]] = {name: [] for name in CONSUMERS}
        self.known_then: dict[Any, Any] = {}

    def run(self) -> None:
        """Start a process from the last checkpoint."""
        self.base = msgspec.json.decode(self.checkpoint, type=Checkpoint)
        self.log = self.log_class(
            "k8s_audit",
            self.world.path,
            NobodyListens(),
            self.base.manifests.get(self.key),
            limits=self.limits,
            deleted=DeletedSegments(HoldLimits(), free=lambda _: 1 << 40),
            clock_ns=self.world.now_ns,
        )
        self.reader = self.reader_class(self.log, cache_bytes=CACHE_BYTES)
        encoded = EncodedBlocks(encode, sharers=len(CONSUMERS))
        self.readings = {}
        self.last_given = dict.fromkeys(CONSUMERS, 0)
        for name in CONSUMERS:
            subscription = Subscription.resume(
                self.log, name, self.base.positions.get(self.key, {}).get(name)
            )
            subscription.ledger = self.prepared(subscription.ledger)
            self.log.register(subscription.ledger)
            gaps = self.gaps_class(self.gaps_then[name])
            reader = SubscriptionReader(
                subscription,
                self.reader,
                encoded,
                Batcher("k8s_audit", BatchLimits(max_records=self.most)),
                on_gap=gaps.gap,
                encode_notice=lambda notice: notice.uid.encode(),
                monotonic=lambda: self.world.clock_s,
            )
            self.readings[name] = Reading(subscription, reader, gaps, set(self.settled[name]))

    def prepared(self, ledger: Any) -> Any:
        """Give a faulty machine its chance."""
        return ledger

    # -- the writer --------------------------------------------------------------------------------

    @rule(
        sizes=st.lists(
            st.sampled_from([*[0] * 12, 300, 9_000, 9_000, 150_000]), min_size=1, max_size=4
        )
    )
    def write(self, sizes: Any) -> None:
        for size in sizes:
            self.world.write(size)

    @rule()
    def write_half(self) -> None:
        self.world.write_half()

    @rule()
    def finish(self) -> None:
        self.world.finish()

    @rule(times=st.integers(1, 2), lines=st.integers(0, 2))
    def rotate(self, times: Any, lines: Any) -> None:
        for _ in range(times):
            self.world.rotate()
            for _ in range(lines):
                self.world.write(0)

    @precondition(lambda self: bool(set(self.world.backups()) - set(self.world.packing)))
    @rule(which=st.integers(0, 9))
    def begin_packing(self, which: Any) -> None:
        plain = [n for n in self.world.backups() if n not in self.world.packing]
        self.world.begin_packing(plain[which % len(plain)])

    @precondition(lambda self: self.world.packing)
    @rule()
    def end_packing(self) -> None:
        self.world.end_packing(next(iter(self.world.packing)))

    @precondition(lambda self: self.world.backups(packed=True))
    @rule()
    def delete_oldest(self) -> None:
        self.world.delete(self.world.oldest_first()[0])

    @precondition(lambda self: not any(n.startswith("audit.log.") for n in self.world.packing))
    @rule(late=st.integers(0, 2), look=st.booleans(), hole=st.booleans())
    def copytruncate(self, late: Any, look: Any, hole: Any) -> None:
        if late:
            self.world.finish()
        copied = self.world.copy()
        if look:
            self.scan()
        for _ in range(late):
            self.world.write(10)
        if look:
            self.poll()
        self.world.truncate(copied, hole=hole)

    @precondition(lambda self: self.world.live.lines)
    @rule(lost=st.integers(1, 40), lines=st.integers(0, 60), away=st.booleans())
    def cut_and_write_on(self, lost: Any, lines: Any, away: Any) -> None:
        """Take the end of the live log away, as a power cut does, and write on at once."""
        self.world.finish()
        if away:
            self.commit()
        self.world.cut(max(1, len(self.world.live.lines) - lost), self.read_of_live())
        for _ in range(lines):
            self.world.write(0)
        if away:
            self.crash_and_restart()

    def read_of_live(self) -> int:
        """Return how far anyone has read the live file."""
        own = self.world.live.identity  # what was called so at the last look may be a backup now
        live = [s.state for s in self.log.segments() if s.live]
        read = [s.marks[0][0] for s in live if s.marks and s.identity.partition(".")[0] == own]
        return max(read, default=0)

    @precondition(lambda self: len(self.world.live.lines) > 1 and not self.world.live.muddled)
    @rule(lines=st.integers(1, 3), restart=st.booleans())
    def zero(self, lines: int, restart: bool) -> None:
        """Let NULs stand where the live log had lines that nobody has read yet."""
        self.world.zero(self.read_of_live(), lines)
        if restart:
            self.commit()
            self.crash_and_restart()

    @rule(times=st.integers(2, 5), kept=st.integers(1, 2), away=st.booleans())
    def freeze(self, times: Any, kept: Any, away: Any) -> None:
        """Let the log rotate faster than anyone looks, and keep few backups."""
        if away:
            self.commit()
        for _ in range(times):
            self.world.finish()
            self.world.write(0)
            self.world.rotate()
            for name in self.world.oldest_first()[:-kept]:
                self.world.delete(name)
        if away:
            self.crash_and_restart()

    @precondition(lambda self: self.world.growing())
    @rule(which=st.integers(0, 9))
    def grow(self, which: int) -> None:
        names = self.world.growing()
        self.world.grow(names[which % len(names)])

    @precondition(lambda self: self.world.damageable())
    @rule(which=st.integers(0, 9))
    def damage_a_head(self, which: int) -> None:
        names = self.world.damageable()
        self.world.damage(names[which % len(names)])

    @rule(
        which=st.integers(0, 9),
        broken=st.booleans(),
        away=st.booleans(),
        batches=st.integers(0, 2),
    )
    def keep_from_reading(self, which: int, broken: bool, away: bool, batches: int) -> None:
        """Make a file unreadable for a while: what is there is not gone."""
        self.deny(which, batches, broken=broken, away=away)

    def deny(
        self,
        which: int,
        batches: int,
        *,
        broken: bool,
        away: bool,
        rotations: int = 0,
        kept: int = 1,
    ) -> None:
        """Let no one read a file while the log rotates and all but some backups are deleted."""
        names = sorted(self.world.files)
        name = names[which % len(names)]
        broken &= name.startswith("audit-")  # the stand-in is known by its name alone
        with self.world.unreadable(name, broken=broken):
            self.look_denied(batches, away=away)
            for _ in range(rotations):
                self.world.clock_s += 1
                self.world.finish()
                self.world.write(0)
                self.world.rotate()
                for old in self.world.oldest_first()[:-kept]:
                    self.world.delete(old)
                self.look_denied(batches, away=False)

    def look_denied(self, batches: int, *, away: bool) -> None:
        if away:
            self.commit()
        with self.world.denied():
            if away:
                self.crash_and_restart()
            self.scan()
            for consumer in CONSUMERS:
                for _ in range(batches):
                    self.read_one(consumer)

    @precondition(lambda self: self.world.restorable())
    @rule(which=st.integers(0, 9))
    def replace(self, which: Any) -> None:
        names = self.world.restorable()
        self.world.replace(names[which % len(names)])

    @rule(seconds=st.sampled_from([-86_400, -10, 1, 3_600]))
    def step_the_clock(self, seconds: float) -> None:
        self.world.clock_s += seconds

    # -- the receiver ------------------------------------------------------------------------------

    @rule()
    def scan(self) -> None:
        self.log.scan()
        self.scans += 1
        known = {s.identity.partition(".")[0] for s in self.log.state().segments}
        for generation in set(self.world.files.values()) - {self.world.unread}:
            generation.seen = True
            # A backup without a line is no segment: nobody keeps it open.
            generation.held = generation is self.world.live or generation.identity is not None
            lost = generation.lost_from
            generation.known = generation.size if lost is None else max(generation.known, lost)
            if generation.first_scan is None and generation.identity in known:
                generation.first_scan = self.scans

    @rule()
    def poll(self) -> None:
        if self.log.poll():
            self.scan()
        elif self.world.live.seen:
            self.world.live.known = self.world.live.size

    @rule(name=st.sampled_from(CONSUMERS), batches=st.integers(1, 4))
    def read(self, name: str, batches: Any) -> None:
        for _ in range(batches):
            self.read_one(name)

    def read_one(self, name: str) -> Any:
        reading = self.readings[name]
        told = len(reading.gaps.told)
        reading.reader.read_ahead()
        batch = reading.reader.take(flush_now=True)
        if batch is None:
            return len(reading.gaps.told) > told
        ticket = reading.subscription.ledger.open(batch.span)
        lines = self.world.lines()
        for record in batch.records:
            digits = record[6:12]
            assert digits.isdigit(), f"{record[:40]!r} is not the line that was written there"
            number = int(digits)
            line, generations = lines.get(number, (None, []))
            assert line is not None, f"{record[:40]!r} was given before it was whole"
            assert record == line.text, f"{record[:40]!r} is not the line {line.text[:40]!r}"
            muddled = any(g.muddled for g in generations)
            assert number not in reading.given or muddled, f"line {number} came twice to {name}"
            reading.given.add(number)
            self.check_order(name, generations, muddled=muddled)
        reading.under_way.append((ticket, batch))
        return True

    def read_to_the_end(self, *names: str) -> None:
        """Look, and let consumers read and acknowledge what is there."""
        self.scan()
        for name in names:
            while self.read_one(name):
                self.acknowledge(name, 0, everything=True)

    def check_order(self, name: str, generations: Any, *, muddled: Any) -> None:
        found = generations[0].first_scan
        if muddled or found is None or any(g.late for g in generations):
            return
        assert found >= self.last_given[name], f"a segment found later came first to {name}"
        self.last_given[name] = found

    @rule(name=st.sampled_from(CONSUMERS), which=st.integers(0, 9), everything=st.booleans())
    def acknowledge(self, name: str, which: Any, everything: Any) -> None:
        reading = self.readings[name]
        while reading.under_way:
            ticket, batch = reading.under_way.pop(which % len(reading.under_way))
            reading.acked |= {int(record[6:12]) for record in batch.records}
            self.acked[name] |= reading.acked
            reading.subscription.ledger.settle(ticket, tally_of(batch))
            if not everything:
                break

    @rule()
    def commit(self) -> None:
        subscriptions = [r.subscription for r in self.readings.values()]
        for name in CONSUMERS:
            self.settled[name] |= self.lines_before_position(name)
        self.check_receipts()
        forget_finished([self.log], subscriptions)
        checkpoint = collect(self.base, [self.log], subscriptions, "now")
        self.checkpoint = msgspec.json.encode(checkpoint)
        for subscription in subscriptions:
            subscription.stored()
        self.gaps_then = self.gaps_to_store()
        listed = {s.identity.partition(".")[0] for s in checkpoint.manifests[self.key].segments}
        self.known_then = {
            g: g.known for g in self.world.generations if g.seen and g.identity in listed
        }

    def check_receipts(self) -> None:
        """See that each receipt counts the records of its segment that its back end has."""
        generations = self.world.by_identity()
        for name, reading in self.readings.items():
            subscription = reading.subscription
            for segment in self.log.segments():
                generation = generations.get(segment.state.identity)
                if generation is None or generation.muddled or generation.lost_from is not None:
                    continue
                if subscription.needs_receipt(segment.state):
                    said = subscription.ledger.place(segment.seq).tally.delivered
                    here = {line.number for line in generation.lines} & self.acked[name]
                    assert said == len(here), f"{name} has {len(here)} records, not {said}"

    def gaps_to_store(self) -> Any:
        """Return what goes into the checkpoint beside the positions."""
        return {name: list(r.gaps.told) for name, r in self.readings.items()}

    @rule()
    def crash_and_restart(self) -> None:
        self.log.close()
        for generation in self.world.generations:
            generation.seen, generation.held = generation in self.known_then, False
            generation.known = self.known_then.get(generation, 0)
            generation.first_scan = 0 if generation.seen else None
            if generation.lost_from is not None:
                self.world.excuse(generation)
        self.run()

    # -- the promises ------------------------------------------------------------------------------

    def lines_before_position(self, name: str) -> Any:
        """Numbers of lines that the position of a consumer has passed."""
        ledger = self.readings[name].subscription.ledger
        generations = self.world.by_identity()
        passed = set()
        for segment in self.log.segments():
            generation = generations.get(segment.state.identity)
            offset = ledger.settled_offset(segment.seq)
            if generation and offset:
                passed |= {line.number for line in generation.lines if line.end <= offset}
        return passed

    @invariant()
    def no_position_is_ahead_of_what_was_acknowledged(self) -> None:
        if not hasattr(self, "readings"):
            return
        for name, reading in self.readings.items():
            for number in self.lines_before_position(name) - self.acked[name]:
                line, generations = self.world.lines()[number]
                told = reading.gaps.cover(line, {g.identity for g in generations})
                assert told, f"the position of {name} is behind line {number}, not acknowledged"

    @invariant()
    def descriptors_and_memory_are_bounded(self) -> None:
        if not hasattr(self, "readings"):
            return
        held = sum(s.source is not None for s in self.log.segments())
        # The live file and what each consumer reads just now come on top.
        assert held <= self.limits.max_open + 1 + len(CONSUMERS), f"{held} files are open"
        assert self.reader._cache.size <= CACHE_BYTES

    def teardown(self) -> None:
        try:
            if hasattr(self, "readings"):
                self.everything_arrives_or_is_told()
        finally:
            if hasattr(self, "log"):
                self.log.close()
            self.world.close()

    def everything_arrives_or_is_told(self) -> None:
        self.world.finish()
        if self.world.harmed:
            self.world.write(0)  # what is missing is told when something follows it
        idle = 0
        while idle < 3:
            self.world.clock_s += 61
            self.scan()
            moved = False
            for name in CONSUMERS:
                while self.read_one(name):
                    moved = True
                moved |= bool(self.readings[name].under_way)
                self.acknowledge(name, 0, everything=True)
            self.no_position_is_ahead_of_what_was_acknowledged()
            idle = 0 if moved else idle + 1
        self.check_receipts()
        for number, (line, generations) in self.world.lines().items():
            identities = {g.identity for g in generations}
            for name, reading in self.readings.items():
                assert (
                    number in self.acked[name]
                    or number in self.world.tolerated
                    or ((not self.strict or self.world.copied) and number in self.world.excused)
                    or reading.gaps.cover(line, identities)
                    or reading.gaps.between(line)
                ), f"line {number} never came to {name}, and no gap tells of it"
        for name, reading in self.readings.items():
            told = reading.gaps.told
            judged = self.strict and self.judges_gaps
            assert self.world.harmed or not told or not judged, (
                f"{name} was told {told}, and nothing was lost"
            )


def tally_of(batch: Any) -> Any:
    return Tally(read=len(batch.records), delivered=len(batch.records), lines=batch.lines)
