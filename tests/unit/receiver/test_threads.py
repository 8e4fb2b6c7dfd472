"""One watcher, several consumers and a busy apiserver at the same time."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import Any

from k8s_audit_otlp.receiver.gaps import Gap
from k8s_audit_otlp.receiver.identity import Identity
from k8s_audit_otlp.receiver.segments import KnownSegments, LogLimits
from k8s_audit_otlp.state.ledger import Ledger, Tally
from tests.kit.log.lumberjack import LumberjackLog

LINES = 4_000
PATIENCE_S = 60.0  # nobody waits that long unless two wait for each other


def watch(log: Any, done: Any) -> None:
    while not done.is_set():
        log.poll()
        log.scan()
        done.wait(0.005)


def consume(receiver: Any, ledger: Any, lines: Any) -> None:
    while len(lines) < LINES:
        segment = receiver.log.next_segment(ledger)
        found = segment and receiver.reader.read(segment, ledger.next_offset(segment.seq))
        if found is None:
            time.sleep(0.001)
            continue
        lines += [] if isinstance(found, Gap) else found.data.splitlines()
        ledger.settle(ledger.open(found.span), Tally())


def test_consumers_and_the_watcher_do_not_stand_in_each_others_way(
    receive: Callable[..., Any], log_dir: Path
) -> None:
    """Rotation and compression go on while all of them read; each gets every line once.

    Hundreds of rotations a second are more than a listing can follow in order.
    """
    receiver, done = receive(), Event()
    ledgers = [receiver.ledger, Ledger(), Ledger()]
    for ledger in ledgers[1:]:
        receiver.log.register(ledger)
    got: list[list[Any]] = [[] for _ in ledgers]
    consumers = [
        Thread(target=consume, args=(receiver, *pair), daemon=True)
        for pair in zip(ledgers, got, strict=True)
    ]
    watcher = Thread(target=watch, args=(receiver.log, done), daemon=True)
    for thread in (watcher, *consumers):
        thread.start()
    with LumberjackLog(log_dir / "audit.log", max_bytes=40_000, compress=True) as log:
        for number in range(LINES):
            log.write(b"%06d %s" % (number, b"x" * 200))
    for thread in consumers:
        thread.join(PATIENCE_S)
    done.set()
    watcher.join(PATIENCE_S)
    for lines in got:
        assert sorted(int(line[:6]) for line in lines) == list(range(LINES))


def test_the_watcher_does_not_end_where_another_thread_forgets_segments() -> None:
    """Whoever stores the manifest forgets what is settled, at any moment of a look."""
    known = KnownSegments(None, LogLimits(), time.time_ns)
    for number in range(200):
        known.add(Identity(f"{number:016x}", "", 0, 0), "audit.log.1")
    done, failed = Event(), []

    def look() -> None:
        try:
            while not done.is_set():
                known.live()
                known.predecessor()
        except RuntimeError as error:
            failed.append(error)

    watcher = Thread(target=look)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        watcher.start()
        for number in range(500, 2_500):
            known.forget([known.add(Identity(f"{number:016x}", "", 0, 0), "audit.log.1").seq])
    finally:
        done.set()
        watcher.join()
        sys.setswitchinterval(before)
    assert failed == []
