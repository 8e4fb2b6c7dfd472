"""One uid in several forms: exporters that map differently, a change of the mapping, a replay."""

from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from k8s_audit_otlp.tools.verify.exports.record import ExportRecord
from k8s_audit_otlp.tools.verify.segment_contents import ContentReport
from tests.kit.shipped import judged, receipt_of

ID = "0123456789abcdef"
STEP = 64  # bytes of a line
LONG = 30  # records of a segment
FORMS = ("form-a", "form-b", "form-c")


def uid(at: int) -> str:
    return f"{ID}-{at * STEP:x}"


def record(at: int, form: str, body: str = "", *, replayed: bool = False) -> ExportRecord:
    """Return an event as a mapping makes it: each has its own body."""
    beside = {"log.mapping": form, **({"k8s.audit.replayed": "true"} if replayed else {})}
    return ExportRecord(uid(at), body=body or f"{at} as {form}", beside=beside)


def receipt(
    sent: Sequence[ExportRecord], exporter: str = "siem", *, replay: str = ""
) -> ExportRecord:
    said: dict[str, Any] = {"k8s.audit.exporter": exporter}
    if replay:
        said |= {"k8s.audit.replayed": True, "k8s.audit.chain.id": replay}
    return receipt_of(sent, LONG * STEP, **said)


def untouched(report: ContentReport) -> bool:
    return not (report.changed or report.missing or report.not_judged)


some_places = st.lists(st.integers(0, LONG - 1), min_size=1, unique=True).map(sorted)


@given(st.lists(some_places, min_size=1, max_size=3), st.data())
@settings(deadline=None)
def test_exporters_that_map_differently_are_judged_by_their_own_receipts(
    delivered: list[list[int]], data: st.DataObject
) -> None:
    """Each with a policy of its own; in any order, with repeats."""
    items: list[ExportRecord] = []
    for form, places in zip(FORMS, delivered, strict=False):
        sent = [record(at, form) for at in places]
        items += [*sent, receipt(sent, form)]
    items += data.draw(st.lists(st.sampled_from(items), max_size=5))
    assert untouched(judged(data.draw(st.permutations(items))))


def exporters() -> tuple[list[ExportRecord], list[ExportRecord]]:
    """Return what two exporters sent of all events."""
    one, other = ([record(at, form) for at in range(LONG)] for form in FORMS[:2])
    return one, other


@given(st.integers(0, LONG - 1), st.sampled_from(["gone", "changed", "put in", "doubled"]))
@settings(deadline=None)
def test_one_record_of_one_exporter_that_was_touched_is_named(at: int, how: str) -> None:
    one, other = exporters()
    receipts = [receipt(one, "one"), receipt(other, "other")]
    unknown = ExportRecord(f"{ID}-{at * STEP + 1:x}", body="x", beside=one[at].beside)
    if how == "gone":
        del one[at]
    elif how == "changed":
        one[at] = record(at, FORMS[0], "changed")
    elif how == "put in":
        one.append(unknown)
    else:
        one.append(record(at, FORMS[0], "another"))
    report = judged([*other, *one, *receipts])
    words = {
        "gone": f"{uid(at)} is there only as another receipt says",
        "changed": f"{uid(at)} was changed",
        "put in": f"{unknown.uid} was put in",
        "doubled": f"{uid(at)} is there with two contents",
    }
    (line,) = [*report.missing, *report.changed, *report.not_judged]
    assert words[how] in line
    assert (line in report.not_judged) == (how == "gone")


def changed_between(begin: int, until: int) -> list[ExportRecord]:
    """Return what is there when a process sent up to *until* and only noted up to *begin*.

    The next one sends from *begin* on, in another form.
    """
    first = [record(at, FORMS[0]) for at in range(until)]
    second = [record(at, FORMS[1]) for at in range(begin, LONG)]
    return [*first, *second, receipt([*first[:begin], *second])]


@given(st.data())
@settings(deadline=None)
def test_what_was_sent_again_in_another_form_is_no_alarm(data: st.DataObject) -> None:
    """A kill, then another redaction: the form of before is proven by what came before."""
    begin = data.draw(st.integers(1, LONG - 1))
    until = data.draw(st.integers(begin, LONG))
    report = judged(data.draw(st.permutations(changed_between(begin, until))))
    assert (report.changed, report.missing) == ([], [])
    assert [f"{until - begin} records are there a second time" in x for x in report.not_judged] == (
        [True] if until > begin else []
    )


@given(st.integers(0, LONG - 1), st.sampled_from(["form-b", "form-x", ""]))
@settings(deadline=None)
def test_a_third_content_is_named_whatever_form_it_claims(at: int, form: str) -> None:
    """Only a form that a receipt proves, and that the true record has not, can have been sent."""
    items = [record(n, FORMS[0]) for n in range(LONG)]
    proven = [*items, receipt(items)]
    report = judged([*proven, record(at, form, "forged")])
    assert [f"{uid(at)} is there with two contents" in line for line in report.changed] == [True]


@given(some_places, st.booleans(), st.booleans())
@settings(deadline=None)
def test_a_replay_brings_back_what_was_lost(lost: list[int], other: bool, alone: bool) -> None:
    """In the same form it is what the first receipt says; in another, what its own says."""
    sent = [record(at, FORMS[0]) for at in range(LONG)]
    form = FORMS[1] if other else FORMS[0]
    again = [
        record(at, form, "" if other else sent[at].body or "", replayed=True) for at in range(LONG)
    ]
    kept = [item for at, item in enumerate(sent) if at not in lost and not alone]
    before = [item._replace(uid=item.uid.replace(ID, ID[::-1])) for item in sent]
    items = [*before, receipt(before), *kept, *again, receipt(sent), receipt(again, replay="r")]
    report = judged(items)
    assert report.changed == []
    assert not (report.missing and not other)
    assert untouched(report) or other


@given(st.integers(0, LONG - 1))
@settings(deadline=None)
def test_a_record_that_one_exporter_sent_smaller_is_no_alarm(at: int) -> None:
    """Two exporters with one mapping; the bound of one of the back ends made a record smaller."""
    one = [record(n, FORMS[0]) for n in range(LONG)]
    other = list(one)
    other[at] = record(at, FORMS[0], "smaller")
    assert untouched(judged([*one, other[at], receipt(one, "one"), receipt(other, "other")]))


def test_an_export_without_resources_has_one_form() -> None:
    """As of an older version; the line of Loki has no name at all."""
    sent = [record(at, "") for at in range(LONG)]
    items = [item._replace(beside={"": item.body}) for item in sent]
    assert untouched(judged([*items, receipt(sent)]))


def test_what_cannot_be_told_apart_is_said_to_be_so() -> None:
    """An export without resources: no form has a name."""
    one, other = exporters()
    items = [item._replace(beside=None) for item in [*one, *other]]
    report = judged([*items, receipt(one, "one"), receipt(other, "other")])
    assert (report.judged, report.changed) == (0, [])
    assert ["export them apart" in line for line in report.not_judged] == [True]


def test_a_receipt_of_nothing_speaks_of_nothing() -> None:
    """A replay of another time has one, beside the receipt of the agent; so has a policy."""
    sent = [record(at, FORMS[0]) for at in range(LONG)]
    nothing = receipt_of([], LONG * STEP, ID, **{"k8s.audit.exporter": "other"})
    assert untouched(judged([*sent, receipt(sent), nothing]))
    assert untouched(judged([nothing]))
    (line,) = judged([sent[3], nothing]).changed
    assert f"{uid(3)} was put in" in line


def test_what_only_a_replay_sent_before_an_exporter_began_is_not_proven() -> None:
    """A new back end: its exporter began in the middle of a file that the replay had begun."""
    again = [record(at, FORMS[0], replayed=True) for at in range(9)]
    sent = [record(at, FORMS[0]) for at in range(9, LONG)]
    report = judged([*again, *sent, receipt(sent)])
    assert (report.changed, report.missing) == ([], [])
    assert ["9 records are there only as a replay sent" in x for x in report.not_judged] == [True]
