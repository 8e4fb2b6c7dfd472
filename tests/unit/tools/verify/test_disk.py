"""The places on disk are those that the agent's reader and encoder give their records."""

import gzip
from pathlib import Path

import orjson
import pytest

from k8s_audit_otlp.otlp.record import uid_of
from k8s_audit_otlp.tools.verify.disk import DiskLog
from k8s_audit_otlp.tools.verify.exports.uids import uid_of as uid_of_place
from tests.kit.log.events import EventSource
from tests.kit.shipped import delivered

LINE, OTHER = EventSource(3).line(), EventSource(4).line()


def on_disk(path: Path, since_ns: int = 0) -> list[str]:
    log = DiskLog(path, since_ns=since_ns)
    return [
        uid_of_place(segment.identity, place)
        for segment in log.segments(log.files())
        for place in segment.places
    ]


def test_every_segment_and_event_is_named_as_the_agent_names_it(
    audit_log: Path, uids: list[str]
) -> None:
    """Live, plain and compressed, oldest first."""
    assert len(uids) == 200
    assert on_disk(audit_log) == uids


ODD = {
    "a list of events": orjson.dumps({"kind": "EventList", "items": [orjson.loads(LINE)] * 3}),
    "an array": b"[%b,%b]" % (LINE, LINE),
    "a torn line with an event glued to it": LINE[: len(LINE) // 2] + LINE,
    "no JSON": b"this is no event",
    "another object": b'{"a":1}',
    "a hole before it": bytes(5000) + LINE,
    "a byte order mark": b"\xef\xbb\xbf" + LINE,
    "an empty line": b"",
    "wrong types": LINE.replace(b'"verb":', b'"verb":7,"x":'),
    "not UTF-8": LINE.replace(b'"level":"', b'"level":"\xff'),
    "long": LINE.replace(b'"verb":"', b'"verb":"' + b"v" * 3_000_000),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
@pytest.mark.parametrize("first", [False, True])
def test_an_odd_line_has_the_places_that_the_agent_gives_it(
    log_dir: Path, odd: bytes, *, first: bool
) -> None:
    """In the middle of a file and at its beginning."""
    path = log_dir / "audit.log"
    lines = [odd, LINE, LINE] if first else [LINE, odd, LINE]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    wanted = [uid_of(record) for record in delivered(path)]
    assert len(wanted) >= 2
    assert on_disk(path) == wanted


def test_an_unterminated_line_counts_only_in_a_finished_file(log_dir: Path) -> None:
    """The live file's last line may be half written; a backup's is whole."""
    path = log_dir / "audit.log"
    path.write_bytes(LINE + b"\n" + LINE)
    backup = log_dir / "audit-2026-01-02T03-04-05.678.log"
    backup.write_bytes(OTHER + b"\n" + OTHER + b" ")
    assert len(on_disk(path)) == 3


def test_two_segments_with_the_same_first_event_are_numbered_as_the_agent_does(
    log_dir: Path,
) -> None:
    """The second one has `.2` in its identity."""
    for day, after in ((1, LINE), (2, OTHER)):
        name = f"audit-2026-01-0{day}T03-04-05.678.log"
        (log_dir / name).write_bytes(LINE + b"\n" + after + b"\n")
    path = log_dir / "audit.log"
    uids = on_disk(path)
    assert len({uid.partition("-")[0] for uid in uids}) == 2
    assert uids == [uid_of(record) for record in delivered(path)]


def test_a_copy_of_a_segment_is_not_asked_for_twice(log_dir: Path) -> None:
    """As copytruncate makes it."""
    path = log_dir / "audit.log"
    for name in ("audit.log", "audit.log.1"):
        (log_dir / name).write_bytes((LINE + b"\n") * 3)
    assert len(on_disk(path)) == 3


def test_a_torn_gzip_gives_its_whole_lines_and_says_so(log_dir: Path) -> None:
    """What can be read is compared; the damage is named."""
    source = EventSource(5)
    whole = b"".join(source.line() + b"\n" for _ in range(300))
    packed = gzip.compress(whole)
    (log_dir / "audit-2026-01-02T03-04-05.678.log.gz").write_bytes(packed[: len(packed) // 2])
    log = DiskLog(log_dir / "audit.log")
    (segment,) = log.segments(log.files())
    assert 0 < len(segment.places) < 300
    assert "breaks off" in segment.damage


def test_since_asks_for_nothing_before_the_first_event_of_that_time(
    audit_log: Path, uids: list[str]
) -> None:
    """Whole segments and the beginning of one are left out."""
    everything = on_disk(audit_log)
    assert on_disk(audit_log, since_ns=1) == everything == uids
    assert on_disk(audit_log, since_ns=(1 << 63) - 1) == []


def framed(line: bytes, how: str) -> list[bytes]:
    text = line.decode()
    if how == "cri":
        middle = len(text) // 2
        return [
            b"2025-03-04T06:22:10Z stdout P " + text[:middle].encode(),
            b"2025-03-04T06:22:10Z stderr F I0304 06:22:10.000000 a line of klog",
            b"2025-03-04T06:22:10Z stdout F " + text[middle:].encode(),
        ]
    if how == "docker":
        return [orjson.dumps({"log": f"{text}\n", "stream": "stdout", "time": "2025"})]
    return [orjson.dumps({"MESSAGE": text, "__REALTIME_TIMESTAMP": "1"})]


@pytest.mark.parametrize("how", ["cri", "docker", "journald"])
def test_framed_lines_have_the_places_that_the_agent_gives_them(log_dir: Path, how: str) -> None:
    """Over several blocks, with events in pieces; what is no audit event is not asked for."""
    path = log_dir / "audit.log"
    source = EventSource(5)
    lines = [one for _ in range(900) for one in framed(source.line(), how)]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    wanted = [uid_of(record) for record in delivered(path, "auto")]
    assert len(wanted) == 900
    assert on_disk(path) == wanted
