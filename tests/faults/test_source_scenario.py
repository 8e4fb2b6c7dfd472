"""A seed of the campaign over each source in every test run; more are asked for by hand."""

from pathlib import Path

import pytest

pytest.importorskip("confluent_kafka")

from tests.faults.source_scenario import KINDS, run_source


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_source_has_said_yes_to_arrives(tmp_path: Path, kind: str) -> None:
    """Kills, a full disk of the spool, a bad back end: nothing that was taken is missing."""
    totals = run_source(tmp_path / "run", kind, 3)
    assert not totals.wrong, totals
    assert totals.written
