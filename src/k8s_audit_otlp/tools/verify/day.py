"""Judges one day of a store: whether the night is complete, and nobody touched it.

Every segment is judged with the day in which it ends, so that each is judged once and none is left
out at midnight. First the store is asked for receipts, gaps and seals, then for all records from
the first event of those segments on. Memory is that of a day's records in `verify`.
"""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from k8s_audit_otlp.evidence.seal import SEAL
from k8s_audit_otlp.tools.verify.exports.export import UID_FIELD
from k8s_audit_otlp.tools.verify.exports.record import CHAIN_ID, ExportRecord, field_of, number_of
from k8s_audit_otlp.tools.verify.judge import Judge
from k8s_audit_otlp.tools.verify.scope import Scope
from k8s_audit_otlp.tools.verify.stores.client import Store
from k8s_audit_otlp.tools.verify.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_DAY: Final = timedelta(days=1)
_SECOND_NS: Final = 1_000_000_000
# A gap has the time of the last event before it; what is older than the store takes, the present.
_AROUND_NS: Final = 7 * 86_400 * _SECOND_NS
_DAY_NS: Final = 86_400 * _SECOND_NS
_DISORDER_NS: Final = 15 * 60 * _SECOND_NS  # events are about in the order of their times
_ON_THEIR_WAY_NS: Final = 60 * _SECOND_NS  # a seal may show before the receipt that it is on


class Day(NamedTuple):
    """A day in UTC: its name, when it begins and ends in nanoseconds since the epoch."""

    name: str
    since_ns: int
    until_ns: int


def day_of(text: str) -> Day:
    """Return the day that is written as 2026-01-02. Raise ValueError where it is none."""
    begin = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    since, until = (int(at.timestamp()) * _SECOND_NS for at in (begin, begin + _DAY))
    return Day(text, since, until)


def last_full_day(now_ns: int) -> Day:
    return day_of(f"{datetime.fromtimestamp(now_ns / 1e9, UTC) - _DAY:%Y-%m-%d}")


def judge_day(
    store: Store,
    where: str,
    cluster: str,
    day: Day,
    keys: "tuple[Mapping[str, Ed25519PublicKey], list[str]] | None",
    now_ns: int,
) -> Verdict:
    """Read a day from *store* and judge it. *keys*: those that are trusted, and their files.

    Raise StoreError where the store cannot be read to the end.
    """
    is_over = day.until_ns <= now_ns  # else seals that are not due yet are not asked for

    def judged(records_until_ns: int) -> Verdict:
        scope = Scope(cluster, day.since_ns, day.until_ns if is_over else 0, by_end=True)
        judge = Judge(scope, keys[0] if keys else None)
        until_ns = min(now_ns, day.until_ns + _AROUND_NS)
        links = store.records(CHAIN_ID, day.since_ns - _AROUND_NS, until_ns)
        judge.take(item for item in links if not _is_seal_after(item, now_ns - _ON_THEIR_WAY_NS))
        if spans := scope.judged:
            first_ns = min(span.first or span.last - _DAY_NS for span in spans)
            since_ns = max(first_ns, 0) - _DISORDER_NS
            judge.take(store.records(UID_FIELD, since_ns, records_until_ns))
        return judge.verdict([f"{where}, {day.name}"], keys[1] if keys else [], None)

    until_ns = day.until_ns + _DISORDER_NS
    verdict = judged(until_ns)
    told_ns = max((span.told for span in verdict.scope.judged), default=0) + _DISORDER_NS
    if not verdict.is_complete and told_ns > until_ns:
        # A record that tells no time has that of its arrival, which may be days later.
        verdict = judged(told_ns)
    return verdict


def _is_seal_after(item: ExportRecord, ns: int) -> bool:
    return item.own is not None and number_of(field_of(item.own, SEAL + "time_ns")) > ns
