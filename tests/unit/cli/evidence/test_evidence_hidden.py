"""A loss cannot be taken out of what is judged: by another cluster's name, by a time, by a file."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.kit.agent import Fixture, exported
from tests.kit.backends.backend import Backend
from tests.kit.judged import UID, Row, Rows, is_event, is_receipt, judged, segment, with_key

IDENTITY = "k8s.audit.segment.identity"
ALL_TIME = ("--from", "2020-01-01", "--to", "2100-01-01")
WORDS = {
    "cluster": ("--cluster", "prod"),
    "range": ALL_TIME,
    "both": ("--cluster", "prod", *ALL_TIME),
}


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Fixture, Path]]:
    """Return a sealed log in a back end, and the key: one of its files has no event in it."""
    with Backend() as backend:
        made = Fixture(tmp_path_factory.mktemp("night"), backend)
        made.receiver = "resource: {k8s.cluster.name: prod}"
        key = with_key(made)
        segment(made, 0)
        made.rotate("audit-2026-01-02T03-01-05.000.log")
        made.log.write_bytes(b"no event\n" * 5)
        made.once()
        segment(made, 2, 0)
        segment(made, 3)
        yield made, key


@pytest.fixture(scope="module")
def other_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Rows, Path]]:
    """Return what a back end has of another node of the cluster, and its key."""
    with Backend() as backend:
        made = Fixture(tmp_path_factory.mktemp("node"), backend, seed=2)
        made.receiver = "resource: {k8s.cluster.name: prod}"
        key = with_key(made)
        segment(made, 0)
        yield exported(backend), key


def receipts(rows: Rows) -> Rows:
    return [row for row in rows if is_receipt(row)]


def without(rows: Rows, receipt: Row, count: int) -> Rows:
    """Take out some of the events that a receipt speaks of."""
    gone = [r for r in rows if str(r[UID]).startswith(f"{receipt[IDENTITY]}-")][:count]
    assert len(gone) == count
    return [row for row in rows if row not in gone]


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
@pytest.mark.parametrize("chain", [{}, {"k8s.audit.chain.id": "feed" * 4, "number": 1}])
@pytest.mark.parametrize(
    "said",
    [
        {"k8s.cluster.name": "other"},
        {"k8s.audit.segment.last_event_ns": 5 * 10**18},
        {"k8s.audit.segment.first_event_ns": 1},
    ],
)
def test_a_receipt_that_somebody_puts_in_hides_no_loss(
    night: tuple[Fixture, Path], words: tuple[str, ...], chain: Row, said: Row
) -> None:
    """It names the segment of the loss, under another cluster or at another time."""
    fixture, key = night
    rows = exported(fixture.backend)
    assert judged(fixture.folder, rows, "--key", str(key), *words).exit_code == 0
    true = receipts(rows)[0]
    own = {k: v for k, v in true.items() if ".chain." not in k} | said | chain
    own[UID] = f"{true[UID]}0"
    result = judged(fixture.folder, [*without(rows, true, 1), own], "--key", str(key), *words)
    assert result.exit_code in {5, 6}, result.output


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
def test_what_tells_no_time_is_judged_where_it_arrived(
    night: tuple[Fixture, Path], words: tuple[str, ...]
) -> None:
    """A file of lines that are no events has no time but that of its receipt."""
    fixture, key = night
    rows = exported(fixture.backend)
    odd = next(r for r in receipts(rows) if not r["k8s.audit.segment.last_event_ns"])
    kept = without(rows, odd, 5)
    assert judged(fixture.folder, kept, "--key", str(key), *words).exit_code == 5
    later = judged(fixture.folder, kept, "--key", str(key), "--from", "2099-01-01")
    assert later.exit_code == 8, later.output


def test_receipts_that_are_called_another_clusters_leave_their_events_unproven(
    night: tuple[Fixture, Path], other_node: tuple[Rows, Path]
) -> None:
    """All of a node's, seals too: what is left of its events still says whose they are."""
    fixture, key = night
    rows, theirs = exported(fixture.backend), other_node[0]
    words = ("--key", str(key), "--key", str(other_node[1]), "--cluster", "prod")
    assert judged(fixture.folder, [*rows, *theirs], *words).exit_code == 0
    kept = [dict(row) for row in without(rows, receipts(rows)[0], 5)]
    for row in kept:
        row["k8s.cluster.name"] = "prod" if is_event(row) else "other"
    result = judged(fixture.folder, [*kept, *theirs], *words)
    assert result.exit_code == 7, result.output
    assert "its events name this cluster" in result.output


@pytest.mark.parametrize("words", [(), *WORDS.values()], ids=["all", *WORDS])
@pytest.mark.parametrize("uid", ["", "nonsense", "agent-0-started-1", "gap-x-0123456789abcdef-0-9"])
@pytest.mark.parametrize("kept", ["event.name", "k8s.audit.id", "body"])
def test_an_event_under_no_uid_of_an_agent_is_named(
    night: tuple[Fixture, Path], uid: str, words: tuple[str, ...], kept: str
) -> None:
    """Whoever reads the back end sees it, and no receipt speaks of it; one sign is enough."""
    fixture, key = night
    rows = exported(fixture.backend)
    true = next(row for row in rows if is_event(row) and row.get("k8s.audit.id"))
    own = {k: v for k, v in true.items() if k in {kept, "k8s.cluster.name"}} | {UID: uid}
    result = judged(fixture.folder, [*rows, own], "--key", str(key), *words)
    assert result.exit_code == 6, result.output
    assert "1 audit event under no uid that an agent gives" in " ".join(result.output.split())
    assert (uid or "one without a uid") in result.output


def test_an_event_that_looks_like_a_request_of_otlp_is_not_passed_over(
    night: tuple[Fixture, Path],
) -> None:
    """Every record of such a line is read as one of the request, which holds none here."""
    fixture, key = night
    rows = exported(fixture.backend)
    event = next(row for row in rows if is_event(row))
    rows.append({"resourceLogs": [], **event, UID: f"{event[UID]}.7"})
    result = judged(fixture.folder, rows, "--key", str(key))
    assert result.exit_code == 7, result.output
    assert "1 line of it cannot be read" in result.output


def test_what_another_program_sends_without_a_uid_is_passed_over(
    night: tuple[Fixture, Path],
) -> None:
    fixture, key = night
    event = {"event.name": "k8s.event", "body": '{"kind":"Event","apiVersion":"v1"}', UID: ""}
    rows = [*exported(fixture.backend), event, {"body": "a line of a log"}]
    assert judged(fixture.folder, rows, "--key", str(key)).exit_code == 0


@pytest.mark.parametrize("words", [(), *WORDS.values()], ids=["all", *WORDS])
@pytest.mark.parametrize(
    "of",
    [
        {"log.file.path": "/var/log/other/audit.log"},
        {"log.file.path": "/var/log/other/audit.log", "k8s.node.name": "cp-9"},
        {"log.file.path": "", "k8s.node.name": ""},
        {},
    ],
    ids=["log", "node", "nothing", "same"],
)
def test_a_segment_that_never_was_is_named(
    night: tuple[Fixture, Path], of: Row, words: tuple[str, ...]
) -> None:
    """Whatever log it is said to be of: no seal speaks of it."""
    fixture, key = night
    rows = exported(fixture.backend)
    true = next(row for row in rows if is_event(row) and row.get("k8s.audit.id"))
    hour = (datetime.now(UTC) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S.000000Z")
    body = re.sub(r'("stageTimestamp":")[^"]+', rf"\g<1>{hour}", str(true["body"]))
    kept = {name: true[name] for name in ("event.name", "k8s.cluster.name")}
    own = {**kept, **of, "body": body, UID: "00000000feedface-0"}
    result = judged(fixture.folder, [*rows, own], "--key", str(key), *words)
    assert result.exit_code == 7, result.output
    assert "no seal names their segment" in result.output
