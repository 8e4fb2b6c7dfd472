"""Records of the agent's own that wait to be acknowledged. Notices in, what to send next out.

One outbox per (log, exporter). It is stored with the position: a crash neither loses nor skips a
notice. It is bounded: notices about the same thing become one that says how many they were.
"""

from collections.abc import Iterable
from threading import Lock

import msgspec

MAX_PENDING = 1000
# What happens often is told once, with how often it was.
MERGED = ("k8s.audit.agent.", "k8s.audit.refused")
COUNT = "k8s.audit.notice.count"
EXPORTER = "k8s.audit.exporter"


class Notice(msgspec.Struct, omit_defaults=True):
    """One LogRecord. `uid` is the same at every repeat of it."""

    uid: str
    event: str  # k8s.audit.gap, k8s.audit.segment, …
    time_ns: int
    severity: int
    body: str
    attributes: dict[str, str | int | float | bool] = {}


class Outbox:
    """Pending notices in the order they came. Safe for threads."""

    def __init__(self, pending: Iterable[Notice] = ()) -> None:
        self._lock = Lock()
        self._pending = {notice.uid: notice for notice in pending}
        self._sending: set[str] = set()

    def add(self, notice: Notice) -> None:
        """Put a notice at the end; one that is already there is not doubled."""
        with self._lock:
            if notice.uid in self._pending:
                return
            same = self._to_merge_with(notice)
            if same is not None:
                count = int(same.attributes.get(COUNT, 1)) + int(notice.attributes.get(COUNT, 1))
                del self._pending[same.uid]
                notice = msgspec.structs.replace(
                    notice, attributes={**notice.attributes, COUNT: count}
                )
            self._pending[notice.uid] = notice

    def _to_merge_with(self, notice: Notice) -> Notice | None:
        """Return an unsent notice that *notice* may replace.

        Starts and stops that nobody could be told of become one, and so do refusals at the same
        exporter; everything else stays by itself until the outbox is full.
        """
        if not notice.event.startswith(MERGED) and len(self._pending) < MAX_PENDING:
            return None
        unsent = (n for n in self._pending.values() if n.uid not in self._sending)
        about = notice.attributes.get(EXPORTER)
        alike = (
            n for n in unsent if n.event == notice.event and n.attributes.get(EXPORTER) == about
        )
        return next(alike, None)

    def take(self, most: int) -> list[Notice]:
        """Return notices that are not on their way yet, and count them as sent."""
        with self._lock:
            if len(self._sending) == len(self._pending):
                return []
            chosen = [n for n in self._pending.values() if n.uid not in self._sending][:most]
            self._sending.update(n.uid for n in chosen)
            return chosen

    def acknowledged(self, notices: Iterable[Notice]) -> None:
        with self._lock:
            for notice in notices:
                self._pending.pop(notice.uid, None)
                self._sending.discard(notice.uid)

    def snapshot(self) -> list[Notice]:
        """Return everything that is not acknowledged, on its way or not."""
        with self._lock:
            return list(self._pending.values())

    def __len__(self) -> int:
        with self._lock:
            return len(self._pending)
