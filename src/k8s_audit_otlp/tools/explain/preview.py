"""Goes through a log and makes the report that a person wants before paying for it.

Memory: one block, the requests that are being filled, and tables with a bound (`heaviest`,
`timeline`). With a sample of 1/N every Nth block is looked at and counts are multiplied by what
the log has for what was looked at; the time range is that of the whole log.
"""

from collections.abc import Iterable, Sequence

from k8s_audit_otlp.event.decode import REFUSED, ReadEvent, decode, read_line
from k8s_audit_otlp.model import AuditEvent, Block
from k8s_audit_otlp.otlp.event_record import event_time
from k8s_audit_otlp.tools.explain.keys import NOT_AN_EVENT, key_of
from k8s_audit_otlp.tools.explain.report import LogReport, build
from k8s_audit_otlp.tools.explain.targets import ExplainTarget
from k8s_audit_otlp.tools.explain.timeline import Timeline, is_micro_text, micro_text
from k8s_audit_otlp.tools.explain.view import SeenEvent, View


class Preview:
    """Takes in a log block by block; `report` says what would become of it."""

    def __init__(
        self, targets: Sequence[ExplainTarget], resource: bytes, scope: bytes, *, sample: int = 1
    ) -> None:
        """*resource*, *scope*: the fields of a request before its records, as they are sent."""
        self.views = [View(alike, resource, scope) for alike in _alike(targets)]
        self._sample = sample
        self._blocks = self._bytes = self._sampled_bytes = self._events = 0
        self._timeline = Timeline()

    def take(self, receiver: str, block: Block) -> None:
        size = block.span.end - block.span.start
        self._bytes += size
        self._blocks += 1
        if (self._blocks - 1) % self._sample:
            for line in _ends_of(block.data):
                for event, _ in _events(line):
                    self._reach(event, 0)
            return
        self._sampled_bytes += size
        seen = self._seen(block)
        self._events += len(seen)
        for view in self.views:
            if view.wants(receiver):
                view.take(block, seen)

    def _seen(self, block: Block) -> list[SeenEvent]:
        seen = []
        for line in block.data.split(b"\n"):
            for event, size in _events(line):
                if event is None:
                    seen.append(SeenEvent(None, NOT_AN_EVENT, size))
                    continue
                self._reach(event, size)
                seen.append(SeenEvent(event, key_of(event), size))
        return seen

    def _reach(self, event: AuditEvent | None, size: int) -> None:
        if event is None:
            return
        text = event.stage_timestamp
        if text is None or not is_micro_text(text):
            time = event_time(event)
            if not time:
                return
            text = micro_text(time)
        self._timeline.add(text, size)

    def report(self, logs: Sequence[str], damage: Sequence[str] = ()) -> LogReport:
        for view in self.views:
            view.flush()
        scale = self._bytes / self._sampled_bytes if self._sampled_bytes else 1.0
        return build(
            logs=tuple(logs),
            damage=tuple(damage),
            size=self._bytes,
            events=self._events,
            sample=self._sample,
            scale=scale,
            timeline=self._timeline,
            views=self.views,
        )


def _alike(targets: Sequence[ExplainTarget]) -> Iterable[list[ExplainTarget]]:
    """Group what maps alike and reads the same logs."""
    groups: dict[object, list[ExplainTarget]] = {}
    for target in targets:
        groups.setdefault((target.mapping, target.receivers), []).append(target)
    return groups.values()


def _ends_of(data: bytes) -> list[bytes]:
    first = data[: data.find(b"\n") + 1 or len(data)]
    last = data[data.rstrip(b"\n").rfind(b"\n") + 1 :]
    return [first, last]


def _events(line: bytes) -> list[tuple[AuditEvent | None, int]]:
    """Read a line as the encoder does; None where what it holds is no event."""
    if not line:
        return []
    try:
        event = decode(line)
        if event.kind == "Event":
            return [(event, len(line) + 1)]
    except REFUSED:
        pass
    return [(_known(read), len(read.body) + 1) for read in read_line(line)]


def _known(read: ReadEvent) -> AuditEvent | None:
    return None if read.is_unread else read.event
