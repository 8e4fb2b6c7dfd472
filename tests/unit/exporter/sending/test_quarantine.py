"""When a record that is set aside is asked about again, and when it is given up."""

import pytest

from k8s_audit_otlp.exporter.in_flight import InFlight
from k8s_audit_otlp.exporter.quarantine import MAX_WAIT_S, Quarantine, Quarantined
from k8s_audit_otlp.exporter.retry_decisions import MAX_QUARANTINED
from k8s_audit_otlp.model import Batch, Span

IN_FLIGHT = InFlight(Batch("r", Span(1, 0, 1), [b"x"]), lambda _in_flight, _tally: None, 1)


def _one(*, final: bool = True, due_s: float = 300.0, batch_accepted: bool = False) -> Quarantined:
    return Quarantined(IN_FLIGHT, b"x", b"x", "no", final, 0.0, due_s, batch_accepted)


def test_a_record_is_due_at_its_time_and_to_one_sender_only() -> None:
    """Two senders must not both ask."""
    quarantine, record = Quarantine(), _one()
    quarantine.add(record)
    assert quarantine.due(299.9) is None
    assert quarantine.due(300.0) is record
    assert quarantine.due(300.0) is None
    quarantine.keep(record, 300.0, 10.0)
    assert quarantine.due(309.9) is None
    assert quarantine.due(310.0) is record


@pytest.mark.parametrize("final", [True, False])
def test_an_acceptance_makes_due_what_names_its_own_fault(*, final: bool) -> None:
    """What may pass keeps its time: each question could be a crash of the back end."""
    quarantine, record = Quarantine(), _one(final=final)
    quarantine.add(record)
    quarantine.accepted(quarantine.begin())
    assert record.others_accepted
    assert quarantine.refused_in_a_row == 0
    assert (quarantine.due(0.0) is record) is final


def test_it_shows_how_much_it_holds_and_no_record() -> None:
    """In a log line, a record could be a secret."""
    batch = Batch("r", Span(1, 0, 1), [b"s3cret"])
    in_flight = InFlight(batch, lambda _in_flight, _tally: None, 1)
    quarantine = Quarantine()
    record = Quarantined(in_flight, b"s3cret", b"s3cret", "no", final=True, since_s=0.0, due_s=0.0)
    quarantine.add(record)
    assert repr(quarantine) == "<Quarantine 1 records, 1 refused in a row>"
    assert "s3cret" not in repr(record)


def test_a_request_that_began_before_proves_nothing() -> None:
    """The back end may have begun to refuse since."""
    quarantine, record = Quarantine(), _one()
    number = quarantine.begin()
    quarantine.add(record)
    quarantine.accepted(number)
    assert not record.others_accepted
    assert quarantine.refused_in_a_row == 1
    number = quarantine.begin()
    quarantine.keep(record, 300.0, 10.0)  # it has failed once more, after that one had begun
    quarantine.accepted(number)
    assert not record.others_accepted


def test_two_refusals_of_its_own_with_proof_end_it() -> None:
    """One alone may be the back end's bad moment; without proof there is no end."""
    quarantine, record = Quarantine(), _one()
    quarantine.add(record)
    record.refused("no", final=True)
    assert not quarantine.should_dead_letter(record, 1.0, idle=False)
    quarantine.accepted(quarantine.begin())
    assert quarantine.should_dead_letter(record, 1.0, idle=False)


def test_a_first_refusal_of_its_own_does_not_end_it_with_proof_either() -> None:
    """What came before may pass: this one may be the back end's bad moment, too."""
    quarantine, record = Quarantine(), _one(final=False)
    quarantine.add(record)
    quarantine.accepted(quarantine.begin())
    record.refused("no", final=True)
    assert not quarantine.should_dead_letter(record, 1.0, idle=False)
    record.refused("no", final=True)
    assert quarantine.should_dead_letter(record, 1.0, idle=False)


def test_an_outage_is_one_refusal_with_proof_however_long_it_lasts() -> None:
    """Something was accepted before it, and nothing since: every record fails now."""
    quarantine, record = Quarantine(), _one(final=False)
    quarantine.add(record)
    quarantine.accepted(quarantine.begin())
    for now_s in (300.0, 600.0, MAX_WAIT_S):
        record.refused("503", final=False)
        assert not quarantine.should_dead_letter(record, now_s, idle=False)
        quarantine.keep(record, now_s, 300.0)
        assert quarantine.refused_in_a_row == 1
    quarantine.accepted(quarantine.begin())
    record.refused("503", final=False)
    assert quarantine.should_dead_letter(record, MAX_WAIT_S + 1, idle=False)


def test_a_passing_fault_after_an_outage_of_refusals_is_no_end() -> None:
    """A back end that refused all, then took something, and then has another fault."""
    quarantine, record = Quarantine(), _one()
    quarantine.add(record)
    record.refused("400", final=True)
    quarantine.keep(record, 300.0, 900.0)
    quarantine.accepted(quarantine.begin())
    record.refused("503", final=False)
    assert not quarantine.should_dead_letter(record, 400.0, idle=False)
    assert not quarantine.should_dead_letter(record, MAX_WAIT_S, idle=False)
    quarantine.keep(record, MAX_WAIT_S, 900.0)
    quarantine.accepted(quarantine.begin())
    record.refused("503", final=False)
    assert quarantine.should_dead_letter(record, MAX_WAIT_S + 900.0, idle=False)


def test_what_may_pass_is_given_its_quarter_of_an_hour() -> None:
    """And the last question comes at its end, not later."""
    quarantine, record = Quarantine(), _one(final=False)
    quarantine.add(record)
    quarantine.accepted(quarantine.begin())
    record.refused("503", final=False)
    quarantine.keep(record, MAX_WAIT_S - 10, 300.0)
    quarantine.accepted(quarantine.begin())
    assert quarantine.due(MAX_WAIT_S - 0.1) is None
    assert quarantine.due(MAX_WAIT_S) is record
    record.refused("503", final=False)
    assert not quarantine.should_dead_letter(record, MAX_WAIT_S - 0.1, idle=True)
    assert quarantine.should_dead_letter(record, MAX_WAIT_S, idle=False)


def test_a_full_quarantine_lets_the_proven_ones_go_early() -> None:
    """Others must not wait for their quarter of an hour."""
    quarantine = Quarantine()
    records = [_one(final=False) for _ in range(MAX_QUARANTINED)]
    for record in records:
        quarantine.add(record)
    assert quarantine.full
    assert not quarantine.should_dead_letter(records[0], 1.0, idle=False)
    quarantine.accepted(quarantine.begin())
    quarantine.keep(records[0], 1.0, 1.0)
    assert quarantine.should_dead_letter(records[0], 1.0, idle=False)
    quarantine.release(records[1])
    assert not quarantine.full
    assert len(quarantine) == MAX_QUARANTINED - 1


def test_the_end_of_a_log_needs_no_later_proof() -> None:
    """Others of its batch were accepted, nothing else is in trouble, it was asked three times."""
    quarantine, record = Quarantine(), _one(batch_accepted=True)
    quarantine.add(record)
    record.refused("no", final=True)
    assert not quarantine.should_dead_letter(record, 1.0, idle=True)
    record.refused("no", final=True)
    assert quarantine.should_dead_letter(record, 1.0, idle=True)
    assert not quarantine.should_dead_letter(record, 1.0, idle=False)
    quarantine.add(_one())
    assert not quarantine.should_dead_letter(record, 1.0, idle=True)


def test_a_record_of_which_nobody_knows_that_others_pass_is_kept() -> None:
    """However often it is refused: that may be an outage."""
    quarantine, record = Quarantine(), _one()
    quarantine.add(record)
    for _ in range(5):
        record.refused("no", final=True)
    assert not quarantine.should_dead_letter(record, 1.0, idle=True)
