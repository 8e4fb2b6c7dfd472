"""The loop of a running agent: it commits, tells how things are, and ends when all is reached.

A part that fails in a way that nobody foresaw is told of, and stops no other part.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue

from k8s_audit_otlp.agent.committer import Committer
from k8s_audit_otlp.agent.shutdown import Shutdown
from k8s_audit_otlp.agent.sources import Sources

SYNC_S = 1.0  # how often the state is synced to the disk
COMMIT_S = 0.1  # how often it is looked at
COMMIT_SHARE = 20  # writing may take one part in so many of the time, up to SYNC_S

Act = Callable[[], object]


class Wake:
    """Wakes the thread that waits; its own signal handlers may set it, too.

    They may not set an Event: who waits holds its lock for moments, and a handler that comes then
    waits for that lock for ever.
    """

    def __init__(self) -> None:
        self._wake_ups: SimpleQueue[None] = SimpleQueue()

    def set(self) -> None:
        self._wake_ups.put(None)

    def wait(self, timeout_s: float) -> None:
        """Return once it was set, or after so long; it is not set then any more."""
        with suppress(Empty):
            self._wake_ups.get(timeout=timeout_s)
            for _ in range(self._wake_ups.qsize()):
                self._wake_ups.get_nowait()


@dataclass(eq=False, repr=False)
class CommitLoop:
    """Comes round until *shutdown* says that it is over; set *wake* for it to come round at once.

    *guard* does a part's act, and says whether it came to its end.
    """

    committer: Committer
    sources: Sources
    shutdown: Shutdown
    wake: Wake
    guard: Callable[[str, Act], bool]
    monotonic: Callable[[], float]

    def run(self, ticks: Sequence[Act], each_second: Sequence[tuple[str, Act]]) -> None:
        """Call *ticks* every time round, and *each_second*, a part's name and its act, then."""
        next_sync, pause = self.monotonic(), COMMIT_S
        while not (self.shutdown.at_once or self.shutdown.reached):
            self.wake.wait(pause)
            now = self.monotonic()
            is_due = now >= next_sync
            self._commit(durable=is_due or self.shutdown.has_target)
            for tick in ticks:
                self.guard("status", tick)
            if is_due:
                next_sync = now + SYNC_S
                for part, act in each_second:
                    self.guard(part, act)
            pause = min(SYNC_S, max(COMMIT_S, COMMIT_SHARE * (self.monotonic() - now)))
            self.guard("shutdown", partial(self.shutdown.look, now))

    def _commit(self, *, durable: bool) -> None:
        logs, exporters = self.committer.logs, self.committer.exporters
        self.guard("sources", partial(self.sources.mark_passed, logs, exporters))
        durable |= self.sources.is_short_of_room
        done = self.guard("commit", partial(self.committer.commit, durable=durable))
        if done and durable and not self.committer.error:
            self.guard("sources", self.sources.free)
