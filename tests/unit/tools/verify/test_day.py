"""A day of a store: what tells no time of its own is asked for where it arrived."""

import time
from collections.abc import Iterator

import pytest

from k8s_audit_otlp.evidence.seal import read_public_keys
from k8s_audit_otlp.tools.verify.day import day_of, judge_day, last_full_day
from k8s_audit_otlp.tools.verify.exports.export import UID_FIELD
from k8s_audit_otlp.tools.verify.exports.record import ExportRecord, flat, item_of_fields
from tests.kit.agent import Fixture, fixture
from tests.kit.judged import with_key

__all__ = ["fixture"]
HOUR_NS = 3_600 * 10**9
DAY = day_of("2026-01-02")
Timed = list[tuple[int, ExportRecord]]


class Store:
    """Records with the times that a store gives them: its own, where they tell none."""

    def __init__(self, timed: Timed) -> None:
        self._timed = timed

    def records(self, field: str, since_ns: int, until_ns: int) -> Iterator[ExportRecord]:
        items = (item for ns, item in self._timed if since_ns <= ns < until_ns)
        return (item for item in items if item.own is not None or field == UID_FIELD)


def stored(fixture: Fixture, arrival_ns: int) -> Timed:
    received, timed = fixture.backend.received, Timed()
    for record in [*received.records, *received.notices]:
        said = {"log.record.uid": record.uid, "event.name": record.event_name, "body": record.body}
        fields = flat({**said, **record.resource, **record.attributes})
        timed.append((record.time_ns or arrival_ns, item_of_fields(fields, "log.record.uid")))
    return timed


def line(at: str) -> bytes:
    event = (
        '{"kind":"Event","level":"Metadata","auditID":"%s","stage":"Panic","stageTimestamp":"%s"}'
    )
    return (event % (at, at)).encode() + b"\n"


@pytest.mark.parametrize("with_events", [True, False])
@pytest.mark.parametrize("lost", [0, 1])
def test_unreadable_lines_are_part_of_the_day(
    fixture: Fixture, *, with_events: bool, lost: int
) -> None:
    """Read on another day than written, or in a file of nothing else."""
    fixture.receiver = "resource: {k8s.cluster.name: prod}"
    with fixture.log.open("ab") as file:
        file.write(line("2026-01-02T03:04:05.000000Z") if with_events else b"")
        file.write(b"no event\n" * 5)
    fixture.rotate("audit-2026-01-02T03-04-06.000.log")
    fixture.log.write_bytes(line("2026-01-03T00:00:01.000000Z"))
    fixture.once()
    (receipt,) = fixture.notices("k8s.audit.segment")
    told_ns = int(str(receipt["k8s.audit.segment.told_ns"]))
    timed = stored(fixture, told_ns - HOUR_NS)
    odd = [each for each in timed if (each[1].body or "").startswith("[unparsable")]
    timed = [each for each in timed if each not in odd[:lost]]
    day = DAY if with_events else DAY._replace(since_ns=told_ns - 1, until_ns=told_ns + 1)
    verdict = judge_day(Store(timed), "here", "prod", day, None, told_ns + HOUR_NS)
    assert verdict.complete.total("arrived") == 5 + with_events - lost
    assert verdict.is_complete == (not lost)


def test_the_newest_receipt_of_a_day_cannot_be_taken_out(fixture: Fixture) -> None:
    """Seals that name it came after the day, and what they name had come by then."""
    key, day = with_key(fixture), last_full_day(time.time_ns())
    for hour in (3, 4):
        fixture.log.write_bytes(line(f"{day.name}T{hour:02}:00:00.000000Z"))
        fixture.rotate(f"audit-{day.name}T{hour + 1:02}-00-00.000.log")
    fixture.log.write_bytes(line(f"{day.name}T05:00:00.000000Z"))
    fixture.once()
    keys = read_public_keys([key]), [str(key)]
    timed, now_ns = stored(fixture, 0), time.time_ns() + HOUR_NS
    verdict = judge_day(Store(timed), "here", "", day, keys, now_ns)
    assert verdict.is_sound, verdict.faults
    newest = next(item for _, item in timed if item.receipt and item.receipt.number == 2)
    kept = [(ns, item) for ns, item in timed if item is not newest]
    verdict = judge_day(Store(kept), "here", "", day, keys, now_ns)
    assert any("sealed and not there: number 2" in fault for fault in verdict.faults)
