"""What somebody does to the export of an honest night: each forgery is found and named."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from k8s_audit_otlp.evidence.chain import hash_of
from k8s_audit_otlp.state.content_hash import Content, entry_of
from tests.kit.agent import Fixture, exported
from tests.kit.backends.backend import Backend
from tests.kit.judged import UID, Rows, is_event, is_receipt, judged, segment, with_key

NUMBER = "k8s.audit.chain.number"


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Fixture, Path]]:
    """Return three segments of a sealed log in a back end, and the public key."""
    with Backend() as backend:
        made = Fixture(tmp_path_factory.mktemp("night"), backend)
        key = with_key(made)
        for n in range(3):
            segment(made, n)
        yield made, key


def events(rows: Rows) -> Rows:
    """Return the events of segments that have a receipt."""
    known = {row["k8s.audit.segment.identity"] for row in rows if is_receipt(row)}
    return [r for r in rows if is_event(r) and str(r[UID]).partition("-")[0] in known]


def edit_a_body(rows: Rows) -> None:
    row = events(rows)[4]
    row["body"] = row["body"].replace('"verb":"', '"verb":"x')


def edit_bodies_everywhere(rows: Rows) -> None:
    for row in events(rows):
        row["body"] = row["body"].replace('"verb":"', '"verb":"x')


def swap_two_uids(rows: Rows) -> None:
    one, other = events(rows)[2], events(rows)[7]
    one[UID], other[UID] = other[UID], one[UID]


def copy_a_record_to_another_place(rows: Rows) -> None:
    row = dict(events(rows)[3])
    identity, _, offset = str(row[UID]).partition("-")
    row[UID] = f"{identity}-{int(offset, 16) + 1:x}"
    rows.append(row)


def put_in_behind_the_end(rows: Rows) -> None:
    row = dict(events(rows)[3])
    row[UID] = f"{str(row[UID]).partition('-')[0]}-fffff"
    rows.append(row)


def put_in_behind_the_end_beside_a_replay(rows: Rows) -> None:
    rows += [{**row, "k8s.audit.replayed": True} for row in events(rows)]
    put_in_behind_the_end(rows)


def double_a_record_with_another_body(rows: Rows) -> None:
    row = dict(events(rows)[3])
    rows.insert(0, {**row, "body": row["body"].replace("get", "delete") + " "})


def double_it_in_a_form_of_its_own(rows: Rows) -> None:
    row = dict(events(rows)[3])
    rows.append({**row, "body": "{}", "log.mapping": "deadbeef"})


def claim_that_a_change_was_replayed(rows: Rows) -> None:
    row = events(rows)[3]
    row["body"], row["k8s.audit.replayed"] = row["body"] + " ", True


def claim_another_form(rows: Rows) -> None:
    row = events(rows)[3]
    row["body"], row["log.mapping"] = row["body"] + " ", "deadbeef"


def claim_another_form_everywhere(rows: Rows) -> None:
    for row in events(rows):
        row["body"], row["log.mapping"] = row["body"] + " ", "deadbeef"


def edit_an_attribute(rows: Rows) -> None:
    events(rows)[5]["user.name"] = "somebody-else"


def backdate(rows: Rows) -> None:
    row = events(rows)[5]
    row["body"] = row["body"].replace('stageTimestamp":"20', 'stageTimestamp":"19')


def renumber_receipts(rows: Rows) -> None:
    """Take one out and close the hole."""
    second = [row for row in rows if is_receipt(row)][1]
    rows.remove(second)
    for row in rows:
        if row.get(NUMBER, 0) > second[NUMBER] and "k8s.audit.seal.key" not in row:
            row[NUMBER] -= 1


def cut_the_end(rows: Rows) -> None:
    last = max((r for r in rows if is_receipt(r)), key=lambda r: int(r[NUMBER]))
    rows.remove(last)


def take_out_all_receipts_of_a_segment(rows: Rows) -> None:
    rows.remove([row for row in rows if is_receipt(row)][1])


def take_out_the_first_receipt_and_an_event(rows: Rows) -> None:
    rows.remove(events(rows)[1])
    rows.remove(next(row for row in rows if is_receipt(row)))


def receipt_of_its_own(rows: Rows, *, chain: str) -> None:
    """Change an event and put in a receipt that says so, in a chain of its own or in none."""
    true = [row for row in rows if is_receipt(row)][1]
    identity = true["k8s.audit.segment.identity"]
    mine = [r for r in events(rows) if str(r[UID]).startswith(identity)]
    mine[3]["body"] = mine[3]["body"] + " "
    content = Content()
    for row in mine:
        uid, offset = str(row[UID]), int(str(row[UID]).partition("-")[2], 16)
        content.add(entry_of(offset, uid.encode(), row["body"].encode()))
    own = {k: v for k, v in true.items() if not k.startswith("k8s.audit.chain")}
    own[UID] = f"{true[UID]}0"
    own["k8s.audit.segment.content.hash"] = content.finished().hex()
    own["k8s.audit.segment.content.sums"] = "-".join(f"{each:x}" for each in content.sums)
    if chain:
        own |= {"k8s.audit.chain.id": chain, NUMBER: 1, "k8s.audit.chain.version": 2}
        own |= {"k8s.audit.chain.previous": ""}
        own["k8s.audit.chain.hash"] = hash_of(own[UID], "k8s.audit.segment", own)
    rows.append(own)


def put_in_a_receipt_without_a_chain(rows: Rows) -> None:
    receipt_of_its_own(rows, chain="")


def put_in_a_receipt_of_another_chain(rows: Rows) -> None:
    receipt_of_its_own(rows, chain="0123456789abcdef")


def put_in_a_receipt_of_more_bytes(rows: Rows) -> None:
    put_in_a_receipt_of_another_chain(rows)
    rows[-1]["k8s.audit.segment.bytes"] += 1
    rows[-1]["k8s.audit.chain.hash"] = hash_of(rows[-1][UID], "k8s.audit.segment", rows[-1])


def put_in_a_segment_without_a_chain(rows: Rows) -> None:
    """As if an older version had sent it: events, and a receipt that is no link."""
    receipt_of_its_own(rows, chain="")
    own = rows[-1]
    for row in events(rows):
        row["body"] = row["body"].rstrip()
    before = str(own["k8s.audit.segment.identity"])
    first = next(dict(r) for r in events(rows) if r[UID] == f"{before}-0")
    first[UID] = f"{'ab' * 8}-0"
    content = Content()
    content.add(entry_of(0, first[UID].encode(), first["body"].encode()))
    own |= {"k8s.audit.segment.identity": "ab" * 8, "k8s.audit.segment.delivered": 1}
    own["k8s.audit.segment.content.hash"] = content.finished().hex()
    own["k8s.audit.segment.content.sums"] = "-".join(f"{each:x}" for each in content.sums)
    rows.append(first)


def cut_the_seals_and_rewrite_the_end(rows: Rows) -> None:
    """Of the seals only the first is left, and the links after it are made anew.

    The log was written for an hour more, in which seals were due.
    """
    links = sorted((r for r in rows if is_receipt(r)), key=lambda r: int(r[NUMBER]))
    rows[:] = [r for r in rows if "k8s.audit.seal.key" not in r or int(r[NUMBER]) == 1]
    for before, link in pairwise(links):
        link["k8s.audit.segment.lines"] = int(link["k8s.audit.segment.lines"]) + int(
            int(link[NUMBER]) > 1
        )
        link["k8s.audit.chain.previous"] = before["k8s.audit.chain.hash"]
        link["k8s.audit.chain.hash"] = hash_of(link[UID], "k8s.audit.segment", link)
    hour = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S.000000Z")
    live = events(rows)[-1]
    rows.append({UID: f"{'cd' * 8}-0", "event.name": "k8s.audit.event", "body": live["body"]})
    rows[-1]["body"] = re.sub(r'("stageTimestamp":")[^"]+', rf"\g<1>{hour}", live["body"])


def reword_a_receipt(rows: Rows) -> None:
    row = next(row for row in rows if is_receipt(row))
    row["body"] = row["body"].replace("12 delivered", "13 delivered")


def rename_the_file_of_a_receipt(rows: Rows) -> None:
    next(row for row in rows if is_receipt(row))["log.file.name"] = "other.log"


def reseal(rows: Rows) -> None:
    for row in rows:
        if "k8s.audit.seal.key" in row:
            row["k8s.audit.seal.key"] = "0123456789abcdef"


def take_out_seals(rows: Rows) -> None:
    rows[:] = [row for row in rows if "k8s.audit.seal.key" not in row]


def take_out_the_node(rows: Rows) -> None:
    """All of its events and receipts, while another's stay."""
    mine = {r["k8s.audit.chain.id"] for r in rows if is_receipt(r)}
    theirs = [{**row, "k8s.audit.chain.id": "0123456789abcdef"} for row in rows if is_receipt(row)][
        :1
    ]
    rows[:] = [r for r in rows if "k8s.audit.seal.key" in r and r["k8s.audit.chain.id"] in mine]
    rows += theirs


FORGERIES: list[tuple[Callable[[Rows], None], set[int], str]] = [
    (edit_a_body, {6}, "was changed"),
    (edit_bodies_everywhere, {6}, "are not those that were sent"),
    (swap_two_uids, {6}, "was changed"),
    (copy_a_record_to_another_place, {6}, "was put in"),
    (put_in_behind_the_end, {6}, "-fffff was put in behind its end"),
    (put_in_behind_the_end_beside_a_replay, {6}, "-fffff was put in behind its end"),
    (double_a_record_with_another_body, {6}, "is there with two contents"),
    (double_it_in_a_form_of_its_own, {6}, "is there with two contents"),
    (claim_that_a_change_was_replayed, {7}, "is there only as a replay sent it"),
    (claim_another_form, {6}, "was changed"),
    (claim_another_form_everywhere, {6}, "are not those that were sent"),
    (edit_an_attribute, {6}, "field user.name says somebody-else"),
    (backdate, {6}, "was changed"),
    (renumber_receipts, {6}, "changed: number"),
    (cut_the_end, {6}, "sealed and not there"),
    (take_out_all_receipts_of_a_segment, {6}, "missing: number"),
    (take_out_the_first_receipt_and_an_event, {7}, "older than that are under no receipt"),
    (put_in_a_receipt_without_a_chain, {6}, "was changed"),
    (put_in_a_receipt_of_another_chain, {6}, "was changed"),
    (put_in_a_receipt_of_more_bytes, {6}, "was changed"),
    (put_in_a_segment_without_a_chain, {7}, "in no chain"),
    (cut_the_seals_and_rewrite_the_end, {7}, "not sealed"),
    (reword_a_receipt, {6}, "changed: number"),
    (rename_the_file_of_a_receipt, {6}, "changed: number"),
    (reseal, {6}, "seal by a key that was not given"),
    (take_out_seals, {7}, "no seal by a key that was given"),
    (take_out_the_node, {6, 7}, "nothing of it is there"),
]


@pytest.mark.parametrize(
    ("forge", "codes", "words"), FORGERIES, ids=[f[0].__name__ for f in FORGERIES]
)
def test_a_forgery_is_found(
    night: tuple[Fixture, Path], forge: Callable[[Rows], None], codes: set[int], words: str
) -> None:
    fixture, key = night
    rows = exported(fixture.backend)
    assert judged(fixture.folder, rows, "--key", str(key)).exit_code == 0
    forge(rows)
    result = judged(fixture.folder, rows, "--key", str(key))
    assert result.exit_code in codes, result.output
    assert words in result.output


@pytest.mark.parametrize("name", ["k8s.audit.chain.number", "k8s.audit.segment.told_ns"])
def test_a_number_that_is_too_long_to_be_read_ends_no_report(
    night: tuple[Fixture, Path], name: str
) -> None:
    fixture, key = night
    rows = exported(fixture.backend)
    next(filter(is_receipt, rows))[name] = "9" * 5000
    result = judged(fixture.folder, rows, "--key", str(key))
    assert result.exit_code == 6, result.output
