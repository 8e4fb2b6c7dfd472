"""The notices and receipts of the agent that wait to be acknowledged.

One outbox per (log, exporter). It is stored with the position, and a notice is sent only when it is
stored: a crash neither loses one, nor changes one that a back end has. It is bounded: notices about
the same thing become one that says how many they were and keeps their sums.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from itertools import islice
from threading import Lock

import msgspec

MAX_PENDING = 1000
_SEAL = "k8s.audit.seal"  # the newest of a chain says all that an older one did
# What happens often is told once, with how often it was.
_AGENT = "k8s.audit.agent."
MERGED = (_AGENT, "k8s.audit.refused")
COUNT = "k8s.audit.notice.count"
SINCE = "k8s.audit.notice.since_ns"  # when the oldest of them was
EXPORTER = "k8s.audit.exporter"
GAP = "k8s.audit.gap."
# How the attributes of two notices become one; any other attribute is the newer one's.
_ALIKE = (EXPORTER, GAP + "reason")  # must be equal
_SUMMED = (GAP + "bytes", GAP + "estimated_records", GAP + "segments")
_LINK = "k8s.audit.chain."  # a copy that says something else is no link
_OF_ONE = (GAP + "start", GAP + "end", GAP + "detail")  # mean nothing for several places

Value = str | int | float | bool


class Notice(msgspec.Struct, omit_defaults=True):
    """One LogRecord. `uid` is the same at every repeat of it."""

    uid: str
    event: str  # k8s.audit.gap, k8s.audit.segment, …
    time_ns: int
    severity: int
    body: str
    attributes: dict[str, Value] = {}

    kept: bool = False  # never merged: others are linked to it


class Chain(msgspec.Struct, omit_defaults=True):
    """How far the chain of receipts and gaps of one outbox is: number and hash of its end.

    `until_ns`: the newest time of the log that its links speak of.
    """

    id: str = ""
    number: int = 0
    hash: str = ""
    until_ns: int = 0


class Outbox:
    """Pending notices in the order they came. Safe for threads."""

    def __init__(self, pending: Iterable[Notice] = ()) -> None:
        """*pending*: what the checkpoint holds."""
        self._lock = Lock()
        self._pending: dict[str, Notice] = {}
        self._stored: set[str] = set()
        self._sending: set[str] = set()
        for notice in pending:
            self._put(notice)
        self._stored.update(self._pending)
        self._on_ready: Callable[[], None] = lambda: None

    def listen(self, on_ready: Callable[[], None]) -> None:
        """Call *on_ready* when there is something more to send."""
        self._on_ready = on_ready

    def add(self, notice: Notice) -> None:
        """Put a notice at the end; one that is already there is not doubled."""
        with self._lock:
            if notice.uid in self._pending:
                return
            same = self._to_merge_with(notice)
            if same is not None:
                self._drop(same)
                notice = _merged(same, notice)
            self._put(notice)

    def _put(self, notice: Notice) -> None:
        for old in self._replaced_by(notice):
            self._drop(old)
        self._pending[notice.uid] = notice

    def _drop(self, notice: Notice) -> None:
        self._pending.pop(notice.uid, None)
        self._stored.discard(notice.uid)
        self._sending.discard(notice.uid)

    def _replaced_by(self, notice: Notice) -> list[Notice]:
        """Return the unsent notices that need not be told once *notice* is."""
        if notice.event != _SEAL:
            return []
        chain = notice.attributes.get(_LINK + "id")
        return [
            one
            for one in self._pending.values()
            if one.event == _SEAL
            and one.attributes.get(_LINK + "id") == chain
            and one.uid not in self._sending
        ]

    def _to_merge_with(self, notice: Notice) -> Notice | None:
        """Return an unsent notice that *notice* may replace.

        Starts and stops that nobody could be told of become one, and so do refusals at the same
        exporter; everything else stays by itself until the outbox is full.
        """
        few = not notice.event.startswith(MERGED) and len(self._pending) < MAX_PENDING
        if few or notice.kept:
            return None
        unsent = (n for n in reversed(self._pending.values()) if n.uid not in self._sending)
        return next((n for n in unsent if _alike(n, notice)), None)

    def __contains__(self, uid: str) -> bool:
        with self._lock:
            return uid in self._pending

    @property
    def full(self) -> bool:
        """No more notices that may not be merged should be added now."""
        with self._lock:
            return len(self._pending) >= MAX_PENDING

    def stored(self, notices: Iterable[Notice]) -> None:
        """Let *notices* be sent: a checkpoint holds them."""
        with self._lock:
            before = len(self._stored)
            self._stored |= {n.uid for n in notices if self._pending.get(n.uid) is n}
            more = len(self._stored) > before
        if more:
            self._on_ready()

    def take(self, most: int) -> list[Notice]:
        """Return stored notices that are not on their way yet, and count them as sent."""
        with self._lock:
            if len(self._sending) == len(self._stored):
                return []
            unsent = self._stored - self._sending
            waiting = (n for n in self._pending.values() if n.uid in unsent)
            chosen = [*islice(waiting, most)]
            self._sending.update(n.uid for n in chosen)
            return chosen

    def resend_all(self) -> None:
        """Send everything again: the requests that carried it have failed."""
        with self._lock:
            self._sending.clear()

    def acknowledged(self, notices: Iterable[Notice]) -> None:
        with self._lock:
            for notice in notices:
                self._drop(notice)

    def snapshot(self) -> list[Notice]:
        """Return everything that is not acknowledged, on its way or not."""
        with self._lock:
            return list(self._pending.values())

    def __len__(self) -> int:
        with self._lock:
            return len(self._pending)


def _alike(one: Notice, other: Notice) -> bool:
    return (
        one.event == other.event
        and not one.kept
        and all(one.attributes.get(name) == other.attributes.get(name) for name in _ALIKE)
    )


def _merged(old: Notice, new: Notice) -> Notice:
    """Return *new* with the sums of both, over the range of both."""
    one, other = old.attributes, new.attributes
    count = int(one.get(COUNT, 1)) + int(other.get(COUNT, 1))
    kept: dict[str, Value] = {
        k: v for k, v in other.items() if k not in _OF_ONE and not k.startswith(_LINK)
    }
    for name in _SUMMED:
        if name in one or name in other:
            kept[name] = int(one.get(name, 0)) + int(other.get(name, 0))
    for name, choose in ((GAP + "since_ns", min), (GAP + "until_ns", max)):
        if values := [int(a[name]) for a in (one, other) if name in a]:
            kept[name] = choose(values)
    if one.get(GAP + "open_end"):
        kept[GAP + "open_end"] = True
    kept[COUNT] = count
    kept[SINCE] = since_ns = min(int(n.attributes.get(SINCE, n.time_ns)) for n in (old, new))
    body = new.body
    if new.event.startswith(_AGENT):
        since = datetime.fromtimestamp(since_ns / 1e9, UTC).isoformat(timespec="seconds")
        body = f"{body} ({count} times since {since}, and none of them was acknowledged)"
    if kept.get(GAP + "bytes"):
        where = f"{kept[GAP + 'bytes']} bytes in {count} places are missing"
        body = f"{where} at {kept.get(EXPORTER, '')}: {kept.get(GAP + 'reason', '')}"
    return msgspec.structs.replace(
        new, attributes=kept, body=body, time_ns=max(old.time_ns, new.time_ns)
    )
