"""What stands beside a body is missed where it was taken out, put in or cut."""

import json
from collections.abc import Callable
from functools import partial

import pytest

from k8s_audit_otlp.tools.verify.field_names import FieldReport
from tests.kit import strategies
from tests.unit.tools.verify.test_fields import (
    FORMS,
    MAPPINGS,
    PLAIN,
    Row,
    encoded,
    judged,
    otlp,
)


def mutated(rows: list[Row], at: int, change: Callable[[Row], object]) -> FieldReport:
    change(rows[at]["attributes"])
    return judged(otlp(rows))


def test_an_attribute_that_was_taken_out_put_in_or_cut_is_named() -> None:
    make = partial(encoded, MAPPINGS["default"], PLAIN)
    (line,) = mutated(make(), 2, lambda a: a.pop("user.name")).changed
    assert "field user.name is not there; its body says user-2" in line
    (line,) = mutated(
        make(), 2, lambda a: a.update({"k8s.audit.impersonated_user.name": "x"})
    ).changed
    assert "field k8s.audit.impersonated.user.name says x; its body says nothing of that" in line
    (line,) = mutated(make(), 2, lambda a: a["k8s.audit.user.groups"].pop()).changed
    assert "field k8s.audit.user.groups" in line
    (line,) = mutated(make(), 2, lambda a: a.update({"user.name": "us"})).changed
    assert "says us; its body says user-2" in line


@pytest.mark.parametrize("name", ["auditID", "verb", "stage", "k8s.audit.id", "k8s.audit.outcome"])
@pytest.mark.parametrize("form", ["flat", "loki", "clickhouse", "table"])
def test_an_attribute_of_either_set_of_names_is_missed_in_any_form(form: str, name: str) -> None:
    """A table has a column for it, and nothing in it."""
    rows = encoded(MAPPINGS["default"], PLAIN)
    del rows[2]["attributes"][name]
    (line,) = judged(table(rows) if form == "table" else FORMS[form](rows)).changed
    assert "is not there" in line


def table(rows: list[Row]) -> bytes:
    """Return an answer of DataKit, whose rows have every column: with nulls."""
    names = sorted({name for row in rows for name in row["attributes"]})
    values = [[*(row["attributes"].get(name) for name in names), row["body"]] for row in rows]
    return json.dumps(
        {"content": [{"series": [{"columns": [*names, "message"], "values": values}]}]}
    ).encode()


@pytest.mark.parametrize("at", [0, -1])
def test_an_attribute_of_the_first_or_last_record_is_missed_where_mappings_have_names(
    at: int,
) -> None:
    """Others of the same mapping have it."""
    rows = encoded(MAPPINGS["default"], PLAIN)
    for row in rows:
        row["attributes"]["log.mapping"] = "5fb06b89"
    del rows[at]["attributes"]["user.name"]
    for form in ("flat", "loki", "clickhouse"):
        (line,) = judged(FORMS[form](rows)).changed
        assert "field user.name is not there" in line


def test_all_times_that_were_moved_are_no_store_of_its_own() -> None:
    """OTLP's own fields say what was sent, or somebody changed them all."""
    rows = encoded(MAPPINGS["default"], PLAIN)
    for row in rows:
        row["ns"] += 10**9
    assert len(judged(otlp(rows)).changed) == len(rows)


def test_items_of_a_list_have_the_kind_that_the_agent_gives_them() -> None:
    """Their bodies name none."""
    item = strategies.line_of(kind=None).decode().replace('"kind": null, ', "")
    line = f'{{"kind":"EventList","items":[{item},{item}]}}'.encode()
    rows = encoded(MAPPINGS["default"], [line])
    assert [row["attributes"]["kind"] for row in rows] == ["Event", "Event"]
    assert judged(otlp(rows)).changed == []


@pytest.mark.parametrize("body", ["", "[]", '{"kind":"EventList","items":[{},{}]}', "{\n}", "x"])
def test_every_record_is_judged_by_its_own_body(body: str) -> None:
    """Whatever stands between them: bodies are read many at once."""
    rows = encoded(MAPPINGS["default"], PLAIN * 30)
    for row in rows[3::5]:
        row["body"] = body
    changed = rows[-1]["attributes"]
    changed["user.name"] = "x"
    uid, report = changed["log.record.uid"], judged(otlp(rows))
    mine = [line for line in report.changed if line.startswith(uid)]
    assert mine == [f"{uid}: field user.name says x; its body says user-5"]
    others = {row["attributes"]["log.record.uid"] for row in rows[3::5]}
    assert {line.partition(":")[0] for line in report.changed} <= {uid, *others}
