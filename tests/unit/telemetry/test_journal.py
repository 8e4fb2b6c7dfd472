"""What an exporter's journal keeps for the page."""

from k8s_audit_otlp.exporter.backpressure import Gate
from k8s_audit_otlp.telemetry.journal import ExporterJournal


def test_records_that_wait_apart_push_no_gap_off_the_page() -> None:
    """What is told again moves: a back end that flaps all night says the same two things."""
    journal = ExporterJournal("otlp_http", Gate(lambda: None))
    journal.dead_lettered("HTTP 400", notices=False)
    for _ in range(100):
        journal.set_aside("HTTP 500", 0.1, "retryable")
        journal.taken_back()
    assert [one.kind for one in journal.counts.recent] == ["dead letter", *["quarantine"] * 2]
    assert "is delivered" in journal.counts.recent[-1].text


def test_what_waited_apart_before_a_reload_waits_no_more() -> None:
    """It is read again like all that was not acknowledged; what is lost stays on the page."""
    before = ExporterJournal("otlp_http", Gate(lambda: None))
    before.set_aside("HTTP 401", 0.1, "misconfigured")
    before.dead_lettered("HTTP 400", notices=False)
    after = ExporterJournal("otlp_http", Gate(lambda: None), counts=before.counts)
    assert [one.kind for one in after.counts.recent] == ["dead letter"]
