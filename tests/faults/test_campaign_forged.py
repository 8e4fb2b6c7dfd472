"""What somebody takes out of the output of a campaign, or changes: each is found, and only it."""

from pathlib import Path
from typing import NamedTuple

import pytest

from k8s_audit_otlp.evidence.seal import read_public_keys
from k8s_audit_otlp.tools.verify.verdict import Verdict
from tests.faults.compare import verdict_of
from tests.faults.processes import KEY
from tests.faults.scenario import run_scenario
from tests.kit.judged import UID, Rows, is_event, is_receipt, read_rows

NUMBER = "k8s.audit.chain.number"
IDENTITY = "k8s.audit.segment.identity"
pytestmark = pytest.mark.timeout(600)  # a run of the campaign is in the first test's time
MORE = [pytest.param(seed, marks=pytest.mark.long) for seed in (10, 24, 30, 36, 37, 39, 54, 57)]


class Story(NamedTuple):
    """What arrived in a run of the campaign, and what is said of it untouched."""

    rows: Rows
    key: Path
    said: Verdict

    def judged(self, rows: Rows) -> Verdict:
        return verdict_of(rows, read_public_keys([self.key]))

    def new(self, verdict: Verdict) -> list[str]:
        """Return what is said of it, and was not said of it untouched."""
        known = {*self.said.faults, *self.said.lacks}
        return [line for line in [*verdict.faults, *verdict.lacks] if line not in known]

    def event(self) -> str:
        """Choose an event of a segment that was judged whole, and return its uid."""
        receipts = {r[IDENTITY]: r for r in self.rows if is_receipt(r)}
        unsure = " ".join([*self.said.not_judged, *self.said.lacks])
        uids = sorted(
            {
                str(row[UID])
                for row in self.rows
                if is_event(row) and str(row[UID]).partition("-")[0] in receipts
            }
        )
        sure = [uid for uid in uids if uid.partition("-")[0] not in unsure]
        return sure[len(sure) // 2]


@pytest.fixture(scope="module", params=[20, *MORE])
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("story") / "run"
    totals = run_scenario(folder, request.param)
    assert not totals.wrong, totals
    rows, key = read_rows(folder / "export.ndjson"), folder / f"{KEY}.pub"
    return Story(rows, key, verdict_of(rows, read_public_keys([key])))


def test_untouched_it_is_sound_and_lacks_what_gaps_tell(story: Story) -> None:
    """Of a segment with a gap more may be there than is counted: a kill leaves that unnoted."""
    assert story.said.is_sound, story.said.faults
    gaps = {row[IDENTITY] for row in story.rows if row.get("event.name") == "k8s.audit.gap"}
    odd = [line for line in story.said.lacks if "gap" not in line]
    assert {line.partition(":")[0] for line in odd} <= gaps, odd
    assert story.said.is_complete or story.said.lacks
    assert story.said.sound.seals


def test_a_record_that_is_gone_is_missed(story: Story) -> None:
    """By its segment's count and its uid; nothing is taken for changed."""
    uid = story.event()
    verdict = story.judged([row for row in story.rows if row[UID] != uid])
    assert not verdict.is_complete
    assert verdict.is_sound, verdict.faults
    new = story.new(verdict)
    assert any(uid in line for line in new), new
    assert all(uid.partition("-")[0] in line for line in new), new


def test_a_body_that_is_changed_is_named(story: Story) -> None:
    uid = story.event()
    rows = [{**r, "body": r["body"] + " "} if r[UID] == uid else r for r in story.rows]
    verdict = story.judged(rows)
    assert not verdict.is_sound
    new = story.new(verdict)
    assert any(uid in line for line in new), new
    assert all(uid.partition("-")[0] in line for line in new), new


def test_a_receipt_that_is_gone_is_missed(story: Story) -> None:
    """The first, before which an export may begin, leaves it unproven."""
    links = sorted({int(row[NUMBER]) for row in story.rows if is_receipt(row)})
    assert len(links) > 2
    for number in (links[len(links) // 2], links[-1]):
        rows = [r for r in story.rows if not (is_receipt(r) and int(r[NUMBER]) == number)]
        verdict = story.judged(rows)
        assert not (verdict.is_sound and verdict.is_complete)
        assert any(str(number) in line for line in story.new(verdict)), story.new(verdict)
    rows = [r for r in story.rows if not (is_receipt(r) and int(r[NUMBER]) == links[0])]
    assert not story.judged(rows).is_proven


def test_seals_that_are_gone_leave_it_unproven(story: Story) -> None:
    rows = [row for row in story.rows if "k8s.audit.seal.key" not in row]
    verdict = story.judged(rows)
    assert not verdict.is_proven
    assert any("no seal" in line for line in verdict.unproven), verdict.unproven
    assert not story.new(verdict)
