"""Exports of several nodes with rotations, gaps, replays, changed forms: one forgery is never 0."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8s_audit_otlp.cli.actions.evidence import CODES
from k8s_audit_otlp.evidence.chain import CHAIN, REPLAYED, begin, link
from k8s_audit_otlp.evidence.seal import SealKey, make_key, read_public_keys
from k8s_audit_otlp.state.content_hash import VERSION, Content, entry_of
from k8s_audit_otlp.state.outbox import EXPORTER, Chain, Notice, Value
from k8s_audit_otlp.tools.verify.exports.export import UID_FIELD
from k8s_audit_otlp.tools.verify.exports.record import item_of_fields
from k8s_audit_otlp.tools.verify.judge import Judge
from k8s_audit_otlp.tools.verify.scope import Scope
from k8s_audit_otlp.tools.verify.verdict import Verdict
from k8s_audit_otlp.tools.verify.wording import answer_of

STEP = 64  # bytes of a line
SEGMENT = "k8s.audit.segment."
Row = dict[str, Value]


class Shape(NamedTuple):
    """What an export is made of: records of each segment of each node; what happened to them."""

    nodes: list[list[int]]
    gap: bool  # the first node lost the end of its first segment
    replayed: bool  # another exporter's form of the first node is there, with receipts
    rotated: bool  # every second seal is by another key


shapes = st.builds(
    Shape,
    st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=3), min_size=1, max_size=3),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("keys")
    make_key(folder / "old")
    make_key(folder / "new", folder / "old")
    return [folder / "old", folder / "new"]


def row_of(notice: Notice, resource: Row) -> Row:
    return {
        **resource,
        **notice.attributes,
        UID_FIELD: notice.uid,
        "event.name": notice.event,
        "body": notice.body,
    }


def stream(
    identities: dict[str, int], resource: Row, keys: list[SealKey], *, gap: bool
) -> list[Row]:
    """Make what one exporter of one node sends: events, linked receipts and gaps, seals."""
    chain, rows, exporter = Chain(), list[Row](), str(resource["log.mapping"])
    for number, (identity, count) in enumerate(identities.items()):
        content = Content()
        for at in range(count):
            uid = f"{identity}-{at * STEP:x}"
            body = f'{{"at":"{uid}","in":"{exporter}"}}'
            content.add(entry_of(at * STEP, uid.encode(), body.encode()))
            rows.append({**resource, UID_FIELD: uid, "event.name": "k8s.audit.event", "body": body})
        lost = gap and not number
        said: dict[str, Value] = {
            EXPORTER: exporter,
            SEGMENT + "identity": identity,
            SEGMENT + "bytes": (count + lost) * STEP,
            SEGMENT + "delivered": count,
            SEGMENT + "gaps": int(lost),
            SEGMENT + "content.version": VERSION,
            SEGMENT + "content.hash": content.finished().hex(),
            SEGMENT + "content.sums": "-".join(f"{each:x}" for each in content.sums),
        }
        if REPLAYED in resource:
            said[REPLAYED] = True
        notices = [Notice(f"receipt-{identity}-{count}", "k8s.audit.segment", 1, 9, "", said)]
        if lost:
            uid = f"gap-{exporter}-{identity}-{count * STEP:x}-{(count + 1) * STEP:x}"
            notices.insert(0, Notice(uid, "k8s.audit.gap", 1, 9, "", {EXPORTER: exporter}))
        for notice in notices:
            chain = chain if chain.id else begin(notice.uid, "log", f"{exporter}{resource}", 7)
            chain, linked = link(chain, notice)
            rows.append(row_of(linked, resource))
        key = keys[number % len(keys)]
        rows.append(row_of(key.seal(chain, "log", exporter, 10**18 + number), resource))
    return rows


def exported(shape: Shape, keys: list[Path]) -> list[Row]:
    sealing = [SealKey.read(key) for key in keys[: 1 + shape.rotated]]
    rows = []
    for node, counts in enumerate(shape.nodes):
        of = {f"{node:08x}{n:08x}": count for n, count in enumerate(counts)}
        resource: Row = {"k8s.node.name": f"cp-{node}", "log.mapping": "aaaaaaaa"}
        rows += stream(of, resource, sealing, gap=shape.gap and not node)
        if shape.replayed and not node:
            again: Row = {**resource, "log.mapping": "bbbbbbbb", REPLAYED: True}
            rows += stream(of, again, sealing, gap=False)
    return rows


def judged(rows: list[Row], keys: list[Path], cluster: str = "", since_ns: int = 0) -> Verdict:
    public = read_public_keys([key.with_suffix(".pub") for key in keys])
    judge = Judge(Scope(cluster, since_ns), public)
    judge.take(item_of_fields(row.items(), UID_FIELD) for row in rows)
    return judge.verdict([], [], None)


def body(rows: list[Row], at: int) -> None:
    """Change what a record or a link says."""
    row = rows[at]
    if row["event.name"] == "k8s.audit.event":
        row["body"] = f"{row['body']} "
    elif SEGMENT + "delivered" in row:
        row[SEGMENT + "delivered"] = int(str(row[SEGMENT + "delivered"])) + 1
    else:
        row[EXPORTER] = "another"


def take_out(rows: list[Row], at: int) -> None:
    del rows[at]


def without_body(rows: list[Row], at: int) -> None:
    """Export a record without its body: nothing can be said of it."""
    del rows[at]["body"]


def put_in(rows: list[Row], at: int) -> None:
    """Add a copy under another uid."""
    row = dict(rows[at])
    identity, _, rest = str(row[UID_FIELD]).rpartition("-")
    row[UID_FIELD] = f"{identity}-{int(rest, 16) + 1:x}"
    rows.append(row)


def fork(rows: list[Row], at: int) -> None:
    """Add another content under the same uid."""
    rows.append(dict(rows[at]))
    body(rows, len(rows) - 1)


def swap(rows: list[Row], at: int) -> None:
    """Give a record the uid of another of its kind."""
    one = rows[at]
    other = next(r for r in [*rows[at + 1 :], *rows] if r["event.name"] == one["event.name"])
    one[UID_FIELD], other[UID_FIELD] = other[UID_FIELD], one[UID_FIELD]


TAMPERINGS: list[Callable[[list[Row], int], None]] = [body, take_out, put_in, fork, swap]


def is_harmless(tamper: Callable[[list[Row], int], None], row: Row, rows: list[Row]) -> bool:
    """Say what nobody can tell from an honest export.

    A seal's uid is not signed, and an older seal says nothing that a newer one does not say. An
    export may begin behind the first link: the report says which number it begins with.
    """
    is_seal = "k8s.audit.seal.key" in row
    if is_seal and tamper in (put_in, swap):
        return True
    others = [r for r in rows if r.get(CHAIN + "id") == row.get(CHAIN + "id", "")]
    seals = [r for r in others if "k8s.audit.seal.key" in r]
    is_first = row.get(CHAIN + "number") == 1 and len(others) > len(seals)
    return tamper is take_out and bool(seals if is_seal else is_first)


@settings(deadline=None)
@given(shape=shapes, seed=st.integers(0, 2**32))
def test_untouched_it_is_proven_but_for_a_gap(keys: list[Path], shape: Shape, seed: int) -> None:
    """In any order and with repeats; a gap that was told is a lack."""
    rows, rng = exported(shape, keys), random.Random(seed)  # noqa: S311 - not for secrets
    rows += rng.choices(rows, k=rng.randrange(4))
    rng.shuffle(rows)
    verdict = judged(rows, keys)
    assert verdict.is_sound, verdict.faults
    assert verdict.is_complete == (not shape.gap), verdict.lacks
    assert not verdict.unproven


@settings(deadline=None, max_examples=200)
@given(shape=shapes, seed=st.integers(0, 2**32), tamper=st.sampled_from(TAMPERINGS))
def test_one_forgery_anywhere_is_never_proven(
    keys: list[Path], shape: Shape, seed: int, tamper: Callable[[list[Row], int], None]
) -> None:
    """But where an export may honestly end or begin: an older seal, or the first receipt."""
    rows, rng = exported(shape._replace(gap=False), keys), random.Random(seed)  # noqa: S311 - not for secrets
    at = rng.randrange(len(rows))
    row = dict(rows[at])
    before = [dict(each) for each in rows]
    tamper(rows, at)
    if rows != before and not is_harmless(tamper, row, rows):
        verdict = judged(rows, keys)
        assert verdict.nothing or not verdict.is_proven, (tamper.__name__, row)


def code(rows: list[Row], keys: list[Path]) -> int:
    """Return how bad the exit code is: proven, not all proven, missing, changed."""
    verdict = judged(rows, keys)
    return 0 if verdict.nothing else (0, 7, 5, 6).index(CODES[answer_of(verdict)])


@settings(deadline=None, max_examples=40)
@given(
    shape=shapes,
    seed=st.integers(0, 2**32),
    tampers=st.lists(st.sampled_from([body, take_out, without_body]), min_size=2, max_size=4),
)
def test_the_exit_code_is_that_of_the_worst_finding(
    keys: list[Path],
    shape: Shape,
    seed: int,
    tampers: list[Callable[[list[Row], int], None]],
) -> None:
    """Each forgery alone, then all at once, in records of segments of their own."""
    rows, rng = exported(shape._replace(replayed=False), keys), random.Random(seed)  # noqa: S311 - not for secrets
    at = {str(row[UID_FIELD]).partition("-")[0]: n for n, row in enumerate(rows) if is_event(row)}
    every, alone = [dict(row) for row in rows], [code(rows, keys)]
    places = rng.sample(sorted(at.values()), min(len(at), len(tampers)))
    chosen = dict(zip(places, tampers, strict=False))
    for n, tamper in sorted(chosen.items(), reverse=True):
        one = [dict(row) for row in rows]
        tamper(one, n)
        alone.append(code(one, keys))
        tamper(every, n)
    assert code(every, keys) == max(alone)


def is_event(row: Row) -> bool:
    return row["event.name"] == "k8s.audit.event"


def test_whole_numbers_may_be_written_as_fractions(keys: list[Path]) -> None:
    """As a store or a program does that knows one kind of number only."""
    rows = exported(Shape([[3, 2], [1]], gap=False, replayed=False, rotated=False), keys)
    for row in rows:
        row.update({k: float(v) for k, v in row.items() if type(v) is int and v < 1 << 53})
    assert any(row.get(SEGMENT + "delivered") == 3.0 for row in rows)
    verdict = judged(rows, keys)
    assert (verdict.faults, verdict.lacks, verdict.unproven) == ([], [], [])


def test_links_that_name_another_cluster_are_told(keys: list[Path]) -> None:
    """Whoever writes so at the oldest receipts would take them out of what is judged."""
    shape = Shape([[2, 2, 2]], gap=False, replayed=False, rotated=False)
    rows = [{**row, "k8s.cluster.name": "mine"} for row in exported(shape, keys)]
    assert judged(rows, keys, "mine").is_proven
    next(row for row in rows if row.get(CHAIN + "number") == 1)["k8s.cluster.name"] = "theirs"
    for since_ns in (0, 1):  # an earlier beginning of the range would not bring it
        said = "\n".join(judged(rows, keys, "mine", since_ns).unproven)
        assert "1 link of it left out" in said
        assert "its events name this cluster, and its receipts another" in said
