"""Whatever is done to any one record of an honest night is found and named; order and repeats no.

Two exporters, a gap and a seal after each segment are in it.
"""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from k8s_audit_otlp.evidence.seal import make_key, read_public_keys
from k8s_audit_otlp.tools.verify.exports.export import UID_FIELD
from k8s_audit_otlp.tools.verify.exports.record import item_of_fields
from k8s_audit_otlp.tools.verify.judge import Judge
from k8s_audit_otlp.tools.verify.scope import Scope
from k8s_audit_otlp.tools.verify.verdict import Verdict
from tests.kit.agent import RETRY, Fixture, exported
from tests.kit.backends.backend import Backend
from tests.kit.judged import UID, Row, Rows, is_event, segment, with_key

CHAIN, KEY, SIGNATURE = "k8s.audit.chain.id", "k8s.audit.seal.key", "k8s.audit.seal.signature"
Keys = dict[str, Ed25519PublicKey]


class Night:
    """Rows of a back end, the trusted keys, and another key's id."""

    def __init__(self, folder: Path, backend: Backend) -> None:
        made = Fixture(folder, backend)
        made.receiver = "resource: {k8s.cluster.name: prod, k8s.node.name: cp-1}"
        made.exporters = ", ".join(
            f"otlp_http/{name}: {{endpoint: {backend.url}, {RETRY}, audit: {{{more}}}}}"
            for name, more in (("a", ""), ("b", "bodies: drop"))
        )
        self.keys = read_public_keys([with_key(made)])
        segment(made, 0)
        made.write(9)
        made.once()
        made.write(9)
        made.log.unlink()  # a gap: nobody had read these
        for n in (1, 2, 3):
            segment(made, n)
        made.write(5)  # the live file is sealed, too
        made.once()
        self.other_key = make_key(folder / "another")
        self.rows = exported(backend)
        self.events = [at for at, row in enumerate(self.rows) if is_event(row)]
        self.links = [n for n, r in enumerate(self.rows) if CHAIN in r and KEY not in r]
        self.seals = [n for n, r in enumerate(self.rows) if KEY in r]
        self.said = {*lines(self.judged(self.rows))}

    def judged(self, rows: Rows) -> Verdict:
        judge = Judge(Scope(), self.keys)
        judge.take(item_of_fields(row.items(), UID_FIELD) for row in rows)
        return judge.verdict([], [], None)

    def found(self, rows: Rows) -> list[str]:
        """Return what is said of it, and was not said of it untouched."""
        return [line for line in lines(self.judged(rows)) if line not in self.said]


def lines(verdict: Verdict) -> list[str]:
    return [*verdict.faults, *verdict.lacks, *verdict.unproven]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    with Backend() as backend:
        yield Night(tmp_path_factory.mktemp("night"), backend)


many = settings(
    max_examples=12,
    phases=[Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
some = st.integers(0, 10_000)


def test_the_night_has_what_is_asked_of_it(night: Night) -> None:
    verdict = night.judged(night.rows)
    assert verdict.is_sound, verdict.faults
    gaps = [line for line in verdict.unproven if "is gone: more may have been written" in line]
    assert verdict.unproven == gaps
    assert len(gaps) == 2, "one for each exporter"
    assert verdict.complete.total("gaps")
    assert len({row[CHAIN] for row in night.rows if CHAIN in row}) == 2


@many
@given(seed=some, repeats=st.integers(0, 40))
def test_order_and_repeats_are_nothing(night: Night, seed: int, repeats: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - not for secrets
    rows = [*night.rows, *rng.choices(night.rows, k=repeats)]
    rng.shuffle(rows)
    assert night.found(rows) == []
    assert night.judged(rows).is_sound


def with_row(rows: Rows, at: int, row: Row) -> Rows:
    return [*rows[:at], row, *rows[at + 1 :]]


@many
@given(at=some)
def test_any_event_that_is_gone_is_named(night: Night, at: int) -> None:
    """Of both copies one proves the event, so both are taken."""
    uid = night.rows[night.events[at % len(night.events)]][UID]
    found = night.found([row for row in night.rows if row[UID] != uid])
    assert any(f"{uid} is missing" in line for line in found), found


def a_byte(row: Row) -> Row:
    return {**row, "body": row["body"][:-1] + " }"}


def another_place(row: Row) -> Row:
    return {**row, UID: f"{str(row[UID]).partition('-')[0]}-3"}


def behind_the_end(row: Row) -> Row:
    return {**row, UID: f"{str(row[UID]).partition('-')[0]}-ffffff"}


def no_uid(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != UID}


@many
@given(at=some, change=st.sampled_from([a_byte, another_place, behind_the_end, no_uid]))
def test_any_event_that_is_changed_or_put_in_is_named(
    night: Night, at: int, change: Callable[[Row], Row]
) -> None:
    place = night.events[at % len(night.events)]
    changed = change(night.rows[place])
    for rows in (with_row(night.rows, place, changed), [*night.rows, changed]):
        uid = str(changed.get(UID, "without a uid"))
        found = night.found(rows)
        assert any(uid in line for line in found), found


@many
@given(one=some, other=some)
def test_any_two_events_that_change_places_are_named(night: Night, one: int, other: int) -> None:
    a, b = (night.events[n % len(night.events)] for n in (one, other))
    first, second = night.rows[a], night.rows[b]
    if first["body"] == second["body"]:
        return
    rows = with_row(night.rows, a, {**first, UID: second[UID]})
    rows = with_row(rows, b, {**second, UID: first[UID]})
    assert not night.judged(rows).is_sound
    assert night.found(rows)


@many
@given(at=some, value=st.sampled_from(["0", "a" * 16, "", "999999"]))
def test_any_attribute_of_a_link_that_is_changed_is_named(
    night: Night, at: int, value: str
) -> None:
    names = [
        (n, name)
        for n in night.links
        for name in sorted(night.rows[n])
        if name.startswith("k8s.audit.") and str(night.rows[n][name]) != value
    ]
    place, name = names[at % len(names)]
    row = night.rows[place]
    rows = with_row(night.rows, place, {**row, name: value})
    assert not night.judged(rows).is_sound or not value, (name, value)
    assert night.found(rows), (name, value)


@many
@given(at=some)
def test_any_link_that_is_gone_is_named(night: Night, at: int) -> None:
    """The first by the records that are older than the next one, or its gap."""
    place = night.links[at % len(night.links)]
    assert night.found(with_row(night.rows, place, {UID: "agent-0"}))


@many
@given(at=some, change=st.sampled_from([CHAIN, KEY, SIGNATURE, "k8s.audit.chain.number"]))
def test_any_seal_that_is_altered_is_named(night: Night, at: int, change: str) -> None:
    place = night.seals[at % len(night.seals)]
    row = night.rows[place]
    value = night.other_key if change == KEY else str(row[change])[::-1] + "1"
    assert night.found(with_row(night.rows, place, {**row, change: value}))


def test_a_key_that_is_swapped_is_named(night: Night) -> None:
    rows = [{**row, KEY: night.other_key} if KEY in row else row for row in night.rows]
    assert any("key that was not given" in line for line in night.found(rows))


def test_seals_that_are_all_gone_are_missed(night: Night) -> None:
    assert any("no seal" in line for line in night.found([r for r in night.rows if KEY not in r]))
