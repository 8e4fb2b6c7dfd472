"""Records under no receipt: those are honest that a seal names, or that are newer than it."""

from datetime import UTC, datetime

import pytest

from k8s_audit_otlp.tools.verify.exports.export import UID_FIELD
from k8s_audit_otlp.tools.verify.exports.record import ExportRecord, Receipt, item_of_fields
from k8s_audit_otlp.tools.verify.exports.uids import read_uid
from k8s_audit_otlp.tools.verify.unreceipted import Segments

MINUTE = 60
PATH = "/var/log/kubernetes/audit.log"
SEALED = 120  # the minute of the newest seal of the log


def event(identity: str, at: int, second: int, path: str, node: str) -> ExportRecord:
    when = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.000000Z")
    body = (
        f'{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"{at}",'
        f'"stage":"ResponseComplete","verb":"get","stageTimestamp":"{when}"}}'
    )
    fields = {UID_FIELD: f"{identity}-{at:x}", "body": body, "k8s.node.name": node}
    fields |= {"log.file.path": path} if path else {}
    return item_of_fields(fields.items(), UID_FIELD)


class Export:
    """Takes in whole segments of one event a minute."""

    def __init__(self) -> None:
        self.segments = Segments()

    def segment(
        self,
        identity: str,
        first: int,
        last: int,
        *,
        path: str = PATH,
        node: str = "cp-1",
        chain: str = "",
    ) -> None:
        """Take in its events, from minute *first* to *last*; with a receipt in *chain*, if any."""
        for minute in range(first, last + 1):
            item = event(identity * 16, minute, minute * MINUTE, path, node)
            place = read_uid(item.uid)
            assert place is not None
            self.segments.take_event(place, item)
        if chain:
            self.segments.take_receipt(Receipt(identity * 16, chain=chain))

    def unnamed(self, named: str = "3") -> str:
        """Return the first digit of each identity that should be named; "a" has the newest seal."""
        without = self.segments.without_receipt(set())
        sealed_ns = {"a": SEALED * MINUTE * 10**9, "b": (SEALED - 60) * MINUTE * 10**9}
        names = {name * 16 for name in named}
        return "".join(line[0] for line in self.segments.unnamed(without, names, sealed_ns))


@pytest.fixture
def export() -> Export:
    """Return two segments with receipts, and the live one, which seals name."""
    made = Export()
    made.segment("1", 100, 109, chain="a", path="/var/log/kubernetes/audit-2026-01-02T03.log")
    made.segment("2", 110, 117, chain="a")
    made.segment("3", 118, 121)
    return made


def test_a_segment_that_a_seal_names_waits_for_its_receipt(export: Export) -> None:
    """However long, and so does one of another log that is rotated once in a month."""
    export.segment("4", 1, 2, path="/var/log/other/audit.log")
    assert export.unnamed("34") == ""
    assert export.unnamed("") == "34"


@pytest.mark.parametrize("path", [PATH, "", "/var/log/other/audit.log"])
@pytest.mark.parametrize("node", ["cp-1", "cp-9"])
@pytest.mark.parametrize("minutes", [(90, 95), (105, 105), (119, 140), (131, 131)])
def test_one_that_no_seal_names_was_put_in(
    export: Export, minutes: tuple[int, int], node: str, path: str
) -> None:
    """Whatever log it says that it is of, and whenever."""
    export.segment("9", *minutes, path=path, node=node)
    assert export.unnamed() == "9"


def test_what_is_newer_than_the_newest_seal_need_not_be_named_yet(export: Export) -> None:
    """The file was found since, and the next seal is due 10 minutes after the last."""
    export.segment("9", 120, 130)
    assert export.unnamed() == ""


def test_the_newest_seal_is_that_of_its_log(export: Export) -> None:
    """Another node's agent may have sealed an hour before, and be gone."""
    export.segment("5", 40, 49, chain="b", node="cp-2")
    export.segment("8", 61, 65, node="cp-2")
    assert export.unnamed() == ""
    export.segment("9", 61, 75, node="cp-2")
    assert export.unnamed() == "9"


def test_logs_that_differ_by_a_number_are_two(export: Export) -> None:
    """A seal of one is none of the other."""
    export.segment("5", 40, 49, chain="b", path="/var/log/kubernetes/audit2.log")
    export.segment("9", 121, 122, path="/var/log/kubernetes/audit2.log")
    assert export.unnamed() == "9"
