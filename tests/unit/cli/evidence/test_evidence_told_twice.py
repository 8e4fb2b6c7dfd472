"""What stands in a record twice, once as it was sent and once as somebody wants it to be read."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from k8s_audit_otlp.state.content_hash import Content, entry_of
from k8s_audit_otlp.tools.verify.exports.uids import offset_of, read_uid
from tests.kit.agent import Fixture, exported
from tests.kit.backends.backend import Backend
from tests.kit.judged import UID, Row, Rows, is_event, is_receipt, judged, segment, with_key

SEGMENT = "k8s.audit.segment."


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Fixture, Path]]:
    """Return two segments of a sealed log in a back end, and the public key."""
    with Backend() as backend:
        made = Fixture(tmp_path_factory.mktemp("night"), backend)
        made.receiver = "resource: {k8s.audit.team: blue}, attributes: {k8s.audit.zone: 1}"
        key = with_key(made)
        for n in range(2):
            segment(made, n)
        yield made, key


def events(rows: Rows, receipt: Row) -> Rows:
    identity = receipt[f"{SEGMENT}identity"]
    return [r for r in rows if is_event(r) and str(r[UID]).startswith(f"{identity}-")]


def receipt_of_fewer(rows: Rows, true: str, false: str) -> None:
    """Take out an event, and put what its receipt would say then beside what it says."""
    receipt = next(row for row in rows if is_receipt(row))
    lost, *rest = events(rows, receipt)
    content = Content()
    for row in rest:
        place = read_uid(row[UID])
        assert place is not None
        content.add(entry_of(offset_of(place.place), row[UID].encode(), row["body"].encode()))
    said = {
        "delivered": len(rest),
        "content.hash": content.finished().hex(),
        "content.sums": "-".join(f"{each:x}" for each in content.sums),
    }
    names = [SEGMENT + name for name in said]
    beside = {true.format(name): receipt.pop(name) for name in names}
    own = {false.format(SEGMENT + name): value for name, value in said.items()}
    old = dict(receipt)
    receipt.clear()
    receipt.update({**own, **old, **beside})
    rows.remove(lost)


def receipt_under_a_path(rows: Rows) -> None:
    receipt_of_fewer(rows, "z.{}", "{}")


def receipt_under_a_path_that_begins_alike(rows: Rows) -> None:
    receipt_of_fewer(rows, "a.{}", "zk8s.audit.q.{}")


def second_body(rows: Rows) -> None:
    """VictoriaLogs shows `_msg`, Grafana `line`: whoever looks sees that one."""
    event = events(rows, next(filter(is_receipt, rows)))[3]
    event["_msg"] = event["body"].replace('"verb":"', '"verb":"x')


def second_value(rows: Rows) -> None:
    event = next(r for r in events(rows, next(filter(is_receipt, rows))) if "user.name" in r)
    name, event["user.name"] = event["user.name"], "somebody-else"
    event["user_name"] = name


@pytest.mark.parametrize(
    ("tell", "words"),
    [
        (receipt_under_a_path, "changed: number 1"),
        (receipt_under_a_path_that_begins_alike, "changed: number 1"),
        (second_body, "was changed"),
        (second_value, "field user.name says"),
    ],
)
def test_neither_of_two_that_differ_is_taken_for_true(
    night: tuple[Fixture, Path], tell: Callable[[Rows], None], words: str
) -> None:
    fixture, key = night
    rows = exported(fixture.backend)
    tell(rows)
    result = judged(fixture.folder, rows, "--key", str(key))
    assert result.exit_code == 6, result.output
    assert words in result.output


def test_what_the_resource_says_is_no_part_of_a_link(night: tuple[Fixture, Path]) -> None:
    """Whatever its attributes are called."""
    fixture, key = night
    rows = exported(fixture.backend)
    assert all("k8s.audit.team" in row for row in rows)
    result = judged(fixture.folder, rows, "--key", str(key))
    assert result.exit_code == 0, result.output


def test_two_that_say_the_same_are_no_alarm(night: tuple[Fixture, Path]) -> None:
    """As a store does that keeps a field under two names, or a text of its own beside the body."""
    fixture, key = night
    rows = exported(fixture.backend)
    for row in rows:
        row |= {name.replace(".", "_"): value for name, value in row.items()}
        row |= {"message": "a line of the store's own" if is_event(row) else row["body"]}
        row |= {"line": row["body"][:40]}
    result = judged(fixture.folder, rows, "--key", str(key))
    assert result.exit_code == 0, result.output


def test_a_receipt_cannot_be_called_a_replays(night: tuple[Fixture, Path]) -> None:
    """What was sent again is not due: its receipts say so, and commit to it."""
    fixture, key = night
    rows = exported(fixture.backend)
    receipt = next(row for row in rows if is_receipt(row))
    receipt["k8s.audit.replayed"] = True
    gone = events(rows, receipt)
    kept = [row for row in rows if row not in gone]
    result = judged(fixture.folder, kept, "--key", str(key))
    assert result.exit_code == 6, result.output
    assert "changed: number 1" in result.output
