"""Makes notices (gap, receipt, silence, agent) and encodes them as LogRecords. Pure.

k8s.audit.gap       bytes of the log that an exporter can never get
k8s.audit.segment   the receipt of a segment: what became of every record in it
k8s.audit.silence   nothing was written for long, or is written again
k8s.audit.agent.*   started, stopped, config_changed, safe_mode, failed

The uid of a notice begins with what it is, so that a query for the uids of a segment, which begin
with its identity, finds events only. Its time is that of the last event that it is about.
"""

from collections.abc import Mapping

from k8s_audit_otlp.event.formats import left_out
from k8s_audit_otlp.otlp.record import encode_record
from k8s_audit_otlp.receiver.gaps import Gap
from k8s_audit_otlp.state.content_hash import VERSION as CONTENT_VERSION
from k8s_audit_otlp.state.ledger import Place
from k8s_audit_otlp.state.manifest import SegmentState
from k8s_audit_otlp.state.outbox import COUNT, Notice, Value

INFO, WARN, ERROR = 9, 13, 17
TYPICAL_LINE = 1400  # bytes; what a gap's number of records is estimated with

# Why bytes are lost, for people. The set is closed: counters and queries may rely on it.
GAP_REASONS = {
    "deleted": "the file was deleted before it was read",
    "truncated": "the file was truncated before it was read",
    "zeroed": "NUL bytes stand where lines were, as after a power cut",
    "corrupt_gzip": "the compressed file is damaged",
    "let_go": "the bound for deleted files was reached and the oldest was let go",
    "unseen": "nothing proves that no file of the log came and went in between",
    "skipped": "start_at leaves it out",
}

_SEGMENT = "k8s.audit.segment."
_CONTENT = _SEGMENT + "content."
_GAP = "k8s.audit.gap."


def gap(
    exporter: str, segment: SegmentState, gap: Gap, *, since_ns: int = 0, now_ns: int
) -> Notice:
    """Tell of bytes that *exporter* cannot get any more.

    *since_ns*: time of the last event of the segment that it has settled, 0 where there is none.
    """
    start, end = gap.span.start, gap.span.end
    size, since_ns = end - start, max(gap.since_ns, since_ns)
    records, why = max(1, size // TYPICAL_LINE), GAP_REASONS[gap.reason]
    what = f"{'at least ' if gap.open_end else ''}{size} bytes of {segment.name} are"
    if gap.reason == "unseen":
        size = records = 0  # that are known to be missing
        what, why = "events may be", gap.why or f"{why}, before {segment.name}"
    return Notice(
        f"gap-{exporter}-{segment.identity}-{start:x}-{end:x}",
        "k8s.audit.gap",
        since_ns or segment.last_ns or now_ns,
        ERROR,
        f"{what} missing at {exporter}: {why}",
        {
            "k8s.audit.exporter": exporter,
            _GAP + "reason": gap.reason,
            _GAP + "start": start,
            _GAP + "end": end,
            _GAP + "bytes": size,
            _GAP + "open_end": gap.open_end,
            _GAP + "estimated_records": records,
            **({_GAP + "since_ns": since_ns} if since_ns else {}),
            **({_GAP + "until_ns": gap.until_ns} if gap.until_ns else {}),
            _GAP + "told_ns": now_ns,
            **_segment(segment),
            **({_GAP + "detail": gap.why} if gap.why else {}),
        },
    )


def receipt(
    exporter: str,
    segment: SegmentState,
    place: Place,
    *,
    number: int,
    raw_hash: str = "",
    now_ns: int,
) -> Notice:
    """State what became of every record of a segment that is settled to its end.

    An end that nobody saw is a gap too: what was written there may have been delivered by a process
    that was killed before it could note so. *raw_hash*: of the segment's bytes, where it is known.
    """
    tally = place.tally
    dropped, gaps = sum(tally.dropped.values()), max(tally.gaps, int(segment.open_end))
    by_policy, lines = left_out(tally.dropped)
    other = f"{lines} no audit events, " if lines else ""
    body = (
        f"{segment.name}: {tally.read} records read from {segment.size} bytes: "
        f"{tally.delivered} delivered, {by_policy} dropped by policy, {other}"
        f"{tally.dead_lettered} dead-lettered, {tally.refused} refused, {gaps} gaps"
    )
    return Notice(
        f"receipt-{segment.identity}-{number}",
        "k8s.audit.segment",
        tally.last_ns or now_ns,
        WARN if gaps or tally.refused or tally.dead_lettered else INFO,
        body,
        {
            "k8s.audit.exporter": exporter,
            _SEGMENT + "number": number,
            _SEGMENT + "bytes": segment.size,
            _SEGMENT + "lines": tally.lines,
            _SEGMENT + "records": tally.read,
            _SEGMENT + "delivered": tally.delivered,
            _SEGMENT + "dropped": dropped,
            _SEGMENT + "dead_lettered": tally.dead_lettered,
            _SEGMENT + "refused": tally.refused,
            _SEGMENT + "gaps": gaps,
            _SEGMENT + "first_event_ns": tally.first_ns,
            _SEGMENT + "last_event_ns": tally.last_ns,
            _SEGMENT + "told_ns": now_ns,
            **{f"{_SEGMENT}dropped_by.{rule}": n for rule, n in sorted(tally.dropped.items())},
            **({_SEGMENT + "sha256": raw_hash} if raw_hash else {}),
            **_content(place),
            **_segment(segment),
        },
    )


def open_segment(segment: SegmentState, place: Place) -> str:
    """Say for a seal what became of a segment so far, as its receipt does when it is closed.

    Identity, bytes, records delivered, given up, gaps, times of the first and the last event, hash
    and sums of what was delivered; no hash where nobody knows what that was.
    """
    tally, content = place.tally, _content(place)
    given_up, times = tally.dead_lettered + tally.refused, (tally.first_ns, tally.last_ns)
    hashed = (content.get(_CONTENT + name, "") for name in ("hash", "sums"))
    counts = place.offset, tally.delivered, given_up, tally.gaps, *times
    return "/".join(map(str, (segment.identity, *counts, *hashed)))


def _content(place: Place) -> dict[str, Value]:
    """Say what the delivered records said; where that is not known of all of them, why."""
    content, delivered = place.content, place.tally.delivered
    if content.unknown:
        return {_CONTENT + "none": "refused_unnamed"}
    if content.records != delivered:
        return {_CONTENT + "none": "not_hashed" if content.records < delivered else "repeated"}
    if content.disordered:
        return {_CONTENT + "none": "disordered"}
    return {
        _CONTENT + "version": CONTENT_VERSION,
        _CONTENT + "hash": content.finished().hex(),
        _CONTENT + "sums": "-".join(f"{each:x}" for each in content.sums),
    }


def _segment(segment: SegmentState) -> dict[str, Value]:
    return {
        _SEGMENT + "identity": segment.identity,
        _SEGMENT + "sequence": segment.seq,
        "log.file.name": segment.name,
    }


def agent(event: str, body: str, attributes: Mapping[str, Value], now_ns: int) -> Notice:
    """Tell of the agent itself: `started`, `stopped`, `config_changed`."""
    uid, name = f"agent-{event}-{now_ns:x}", f"k8s.audit.agent.{event}"
    return Notice(uid, name, now_ns, INFO, body, dict(attributes))


def refused(exporter: str, count: int, why: str, now_ns: int) -> Notice:
    """Tell that *count* records of an exporter are refused for good; *why* is in our words."""
    return Notice(
        f"refused-{exporter}-{now_ns:x}",
        "k8s.audit.refused",
        now_ns,
        ERROR,
        f"{exporter}: records are refused and in the dead letter: {why}",
        {"k8s.audit.exporter": exporter, "k8s.audit.refused.why": why, COUNT: count},
    )


def skipped(exporter: str, log: str, size: int, now_ns: int) -> Notice:
    """Tell what an exporter's first start leaves out on purpose."""
    gap: dict[str, Value] = {
        "reason": "skipped",
        "bytes": size,
        "estimated_records": max(1, size // TYPICAL_LINE),
    }
    body = f"{size} bytes of {log} are not sent to {exporter}: {GAP_REASONS['skipped']}"
    return _gap_of_log(f"skipped-{exporter}-{now_ns:x}", exporter, body, now_ns, INFO, gap)


def missed(exporter: str, log: str, segments: int, now_ns: int) -> Notice:
    """Tell what was deleted while an exporter was disabled; how much, nobody kept."""
    gap: dict[str, Value] = {
        "reason": "deleted",
        "segments": segments,
        "open_end": True,
        "told_ns": now_ns,
    }
    body = (
        f"while {exporter} was disabled, the rest of a segment of {log} and {segments} whole ones "
        "were deleted"
    )
    return _gap_of_log(f"missed-{exporter}-{now_ns:x}", exporter, body, now_ns, ERROR, gap)


def lost_at_source(
    exporter: str, log: str, number: int, what: str, messages: int, now_ns: int
) -> Notice:
    """Tell what a service deleted before a source had read it: the *number*th time."""
    gap: dict[str, Value] = {"reason": "deleted", "detail": what, "estimated_records": messages}
    gap |= {"open_end": True, "told_ns": now_ns}
    body = f"{exporter} can never get what a source of {log} has lost: {what}"
    uid = f"missed-{exporter}-{now_ns:x}-{number}"
    return _gap_of_log(uid, exporter, body, now_ns, ERROR, gap)


def _gap_of_log(
    uid: str, exporter: str, body: str, now_ns: int, severity: int, gap: Mapping[str, Value]
) -> Notice:
    """Return a gap that lies in no segment; *gap*: its attributes without their common prefix."""
    attributes = {_GAP + name: value for name, value in gap.items()}
    attributes["k8s.audit.exporter"] = exporter
    return Notice(uid, "k8s.audit.gap", now_ns, severity, body, attributes)


def silence(log: str, since_ns: int, now_ns: int, *, ended: bool) -> Notice:
    """Tell that a log is silent, or that it no longer is."""
    seconds = (now_ns - since_ns) // 1_000_000_000
    body = (
        f"{log} is written again after {seconds} s"
        if ended
        else f"nothing was written to {log} for {seconds} s: is auditing still on?"
    )
    return Notice(
        f"silence-{since_ns:x}-{'end' if ended else 'begin'}",
        "k8s.audit.silence",
        now_ns if ended else since_ns,
        INFO if ended else WARN,
        body,
        {"k8s.audit.silence.seconds": seconds, "k8s.audit.silence.ended": ended},
    )


def encode(notice: Notice, observed_ns: int) -> bytes:
    """Return the notice as a LogRecord field of ScopeLogs."""
    # Most back ends drop the field EventName: the attribute is what can be asked for.
    attributes = {**notice.attributes, "log.record.uid": notice.uid, "event.name": notice.event}
    return encode_record(
        notice.time_ns, observed_ns, notice.severity, notice.event, notice.body, attributes
    )
