"""Records under no receipt: the newest of a log are honest, older ones are not."""

from datetime import UTC, datetime

import pytest

from k8s_audit_otlp.tools.verify.exports.export import UID_FIELD
from k8s_audit_otlp.tools.verify.exports.record import ExportRecord, Receipt, item_of_fields
from k8s_audit_otlp.tools.verify.exports.uids import read_uid
from k8s_audit_otlp.tools.verify.unreceipted import Segments

HOUR = 3_600
PATH = "/var/log/kubernetes/audit.log"


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
    """Takes in whole segments of one event an hour."""

    def __init__(self) -> None:
        self.segments = Segments()
        self._numbers: dict[str, int] = {}

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
        """Take in its events, from hour *first* to *last*; with a receipt in *chain*, if any."""
        for hour in range(first, last + 1):
            item = event(identity * 16, hour, hour * HOUR, path, node)
            place = read_uid(item.uid)
            assert place is not None
            self.segments.take_event(place, item)
        if chain:
            self._numbers[chain] = self._numbers.get(chain, 0) + 1
            first_ns, last_ns = first * HOUR * 10**9, last * HOUR * 10**9
            said = Receipt(identity * 16, chain=chain, number=self._numbers[chain])
            self.segments.take_receipt(
                said._replace(first_event_ns=first_ns, last_event_ns=last_ns)
            )

    def overdue(self) -> list[str]:
        """Return the first digit of each identity that should have a receipt."""
        without = self.segments.without_receipt(set())
        lines = self.segments.overdue(without, self.segments.newest_ns())
        return [line[0] for line in lines]


@pytest.fixture
def export() -> Export:
    """Return two segments with receipts, and the live one."""
    made = Export()
    made.segment("1", 100, 109, chain="a", path="/var/log/kubernetes/audit-2026-01-02T03.log")
    made.segment("2", 110, 119, chain="a")
    made.segment("3", 120, 121)
    return made


def test_the_newest_segment_waits_for_its_receipt(export: Export) -> None:
    assert export.overdue() == []


@pytest.mark.parametrize("hours", [(90, 95), (100, 109), (101, 101)])
def test_what_ended_before_a_later_segment_began_lacks_a_receipt(
    export: Export, hours: tuple[int, int]
) -> None:
    export.segment("9", *hours)
    assert export.overdue() == ["9"]


@pytest.mark.parametrize(
    "path", ["", "/var/log/other/audit.log", "/var/log/kubernetes/oauth-audit.log"]
)
def test_another_log_of_the_node_may_wait_longer(export: Export, path: str) -> None:
    """A quiet one is rotated once in days; where no path is known nobody can tell."""
    export.segment("9", 1, 2, path=path)
    assert export.overdue() == []


@pytest.mark.parametrize("hours", [(112, 113), (118, 118)])
def test_what_is_of_the_time_of_a_receipt_lacks_one(export: Export, hours: tuple[int, int]) -> None:
    export.segment("9", *hours)
    assert export.overdue() == ["9"]


def test_of_two_at_once_without_a_receipt_one_was_put_in() -> None:
    """A log is one file after the other; the newest may begin as the one before it ends."""
    export = Export()
    export.segment("1", 100, 109, chain="a")
    export.segment("2", 109, 140)
    assert export.overdue() == []
    export.segment("9", 130, 131)
    assert export.overdue() == ["9"]


def test_logs_that_differ_by_a_number_are_two(export: Export) -> None:
    export.segment("9", 1, 2, path="/var/log/kubernetes/audit2.log")
    export.segment("8", 125, 126, path="/var/log/kubernetes/audit-2.log")
    assert export.overdue() == []


def test_another_nodes_log_may_wait_longer(export: Export) -> None:
    export.segment("9", 1, 2, node="cp-2")
    assert export.overdue() == []


def test_an_exporter_that_is_behind_may_wait_longer(export: Export) -> None:
    """It sends now what another one, that began with the newest segment, has never read."""
    export.segment("8", 80, 84, chain="b")
    export.segment("9", 85, 89)
    assert export.overdue() == []


def test_a_whole_log_without_receipts_has_one_newest_segment() -> None:
    export = Export()
    for n, identity in enumerate("456"):
        export.segment(identity, 10 * n, 10 * n + 9)
    assert export.overdue() == ["4", "5"]
