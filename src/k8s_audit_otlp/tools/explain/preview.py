"""Goes through a log and makes the report that a person wants before paying for it.

Memory: one block, the requests that are being filled, and a table with a bound (`heaviest`).
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from k8s_audit_otlp.event.decode import REFUSED, ReadEvent, decode, read_line
from k8s_audit_otlp.event.times import unix_ns
from k8s_audit_otlp.model import AuditEvent, Block
from k8s_audit_otlp.otlp.event_record import event_time
from k8s_audit_otlp.tools.explain.keys import NOT_AN_EVENT, key_of
from k8s_audit_otlp.tools.explain.report import LogReport
from k8s_audit_otlp.tools.explain.targets import ExplainTarget
from k8s_audit_otlp.tools.explain.view import SeenEvent, View

_LENGTH = 27  # of a time as kube-apiserver writes it


class Preview:
    """Takes in a log block by block; `report` says what would become of it."""

    def __init__(self, targets: Sequence[ExplainTarget], resource: bytes, scope: bytes) -> None:
        """*resource*, *scope*: the fields of a request before its records, as they are sent."""
        self._views = [View(alike, resource, scope) for alike in _alike(targets)]
        self._bytes = self._events = 0
        self._first = self._last = ""  # texts of one form, so they compare

    def take(self, receiver: str, block: Block) -> None:
        self._bytes += block.span.end - block.span.start
        seen = [one for line in block.data.split(b"\n") for one in _events(line)]
        self._events += len(seen)
        for one in seen:
            self._reach(one.event)
        for view in self._views:
            if view.wants(receiver):
                view.take(block, seen)

    def _reach(self, event: AuditEvent | None) -> None:
        if event is None:
            return
        text = event.stage_timestamp
        if text is None or len(text) != _LENGTH or text[-1] != "Z":
            if not (time := event_time(event)):
                return
            text = micro_text(time)
        self._first = min(self._first or text, text)
        self._last = max(self._last, text)

    def report(self, logs: Sequence[str], damage: Sequence[str] = ()) -> LogReport:
        views = tuple(view.report() for view in self._views)
        seconds = ((unix_ns(self._last) or 0) - (unix_ns(self._first) or 0)) / 1e9
        times = self._first, self._last, seconds
        return LogReport(tuple(logs), tuple(damage), self._bytes, self._events, *times, views)


def _alike(targets: Sequence[ExplainTarget]) -> Iterable[list[ExplainTarget]]:
    """Group what maps alike and reads the same logs."""
    groups: dict[object, list[ExplainTarget]] = {}
    for target in targets:
        groups.setdefault((target.mapping, target.receivers), []).append(target)
    return groups.values()


def micro_text(ns: int) -> str:
    """Write a time as kube-apiserver does."""
    moment = datetime.fromtimestamp(ns // 1_000_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ns // 1000 % 1_000_000:06}Z"


def _events(line: bytes) -> list[SeenEvent]:
    """Read a line as the encoder does."""
    if not line:
        return []
    try:
        event = decode(line)
        if event.kind == "Event":
            return [SeenEvent(event, key_of(event), len(line) + 1)]
    except REFUSED:
        pass
    return [_seen(read) for read in read_line(line)]


def _seen(read: ReadEvent) -> SeenEvent:
    size = len(read.body) + 1
    if read.is_unread:
        return SeenEvent(None, NOT_AN_EVENT, size)
    return SeenEvent(read.event, key_of(read.event), size)
