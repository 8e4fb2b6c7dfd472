"""`replay`: a part of the log goes to one exporter once more, beside a running agent."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit.agent import Fixture, events_of, fixture, wait_for
from tests.kit.backends.backend import Backend
from tests.kit.judged import with_key

__all__ = ["fixture", "wait_for"]
FIRST = "2020-01-01T00:00:00Z"
LAST = "2999-01-01T00:00:00Z"


def configured(fixture: Fixture, url: str) -> Path:
    file = fixture.folder / "agent.yaml"
    file.write_text(
        f"receivers: {{k8s_audit: {{include: [{fixture.log}]}}}}\n"
        f"exporters:\n"
        f"  otlp_http/live: {{endpoint: {fixture.backend.url}}}\n"
        f"  otlp_http/new: {{endpoint: {url}}}\n"
        f"service: {{state_dir: {fixture.state}, {fixture.service}}}\n"
    )
    return file


def replaying(file: Path, *more: str) -> subprocess.Popen[str]:
    words = ["replay", "--config", str(file), "--exporter", "otlp_http/new", *more]
    return subprocess.Popen(
        [sys.executable, "-m", "k8s_audit_otlp", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process: subprocess.Popen[str], code: int = 0) -> str:
    output, _ = process.communicate(timeout=90)
    assert process.returncode == code, output
    return output


def lines(fixture: Fixture) -> int:
    files = fixture.log.parent.iterdir()
    return sum(len(file.read_bytes().splitlines()) for file in files)


def test_everything_on_disk_goes_out_with_the_same_uids(fixture: Fixture) -> None:
    """Also what is live; the state of the agent stays as it was, and a dry run seals nothing."""
    with_key(fixture)
    fixture.write(50)
    fixture.rotate("audit-2026-01-02T03-04-05.000.log")
    fixture.write(20)
    fixture.once()
    before = {p.name: p.read_bytes() for p in fixture.state.iterdir() if p.is_file()}
    seals = (fixture.folder / "seals").read_bytes()
    with Backend() as new:
        file = configured(fixture, new.url)
        assert "70 records would be" in ended(replaying(file, "--from", FIRST, "--dry-run"))
        assert not new.received.uids
        assert (fixture.folder / "seals").read_bytes() == seals
        output = ended(replaying(file, "--from", FIRST, "--to", LAST))
        assert "70 records sent again" in output
        assert set(new.received.uids) == set(fixture.backend.received.uids)
    after = {p.name: p.read_bytes() for p in fixture.state.iterdir() if p.is_file()}
    assert after == before
    assert not list((fixture.state / "replay").iterdir())  # it is through


@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["real", "dry"])
def test_nothing_to_send_is_no_success(fixture: Fixture, dry: list[str]) -> None:
    """Whether everything is older than --from, or as new as --to; a dry run says it as well.

    And which times there are: whoever asks for the last hour learns that the log ended before.
    """
    fixture.write(10)
    fixture.rotate("audit-2026-01-02T03-04-05.000.log")
    fixture.write(5)
    files = sorted(fixture.log.parent.iterdir(), reverse=True)
    whole = b"".join(file.read_bytes() for file in files)
    times = sorted(re.findall(rb'"stageTimestamp":"([^"]+)"', whole))
    there = f"what is there is of {times[0].decode()} to {times[-1].decode()}"
    with Backend() as new:
        file = configured(fixture, new.url)
        none = ended(replaying(file, "--from", "2998-01-01", "--to", LAST, *dry), 2)
        assert f"nothing of what is on disk is to be sent: none is so new; {there}" in none
        early = ended(replaying(file, "--from", FIRST, "--to", "2021-01-01", *dry), 2)
        assert "15 records after --to" in early
        assert there in early
        assert not new.received.uids


@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["real", "dry"])
def test_what_is_left_out_is_no_success(fixture: Fixture, dry: list[str]) -> None:
    """A log that is away, as one that may not be read; a line without an end behind others."""
    with Backend() as new:
        file = configured(fixture, new.url)
        away = ended(replaying(file, "--from", FIRST, "--to", LAST, *dry), 2)
        assert f"left out: {fixture.log}: is not there yet" in away
        assert "nothing that could be read is to be sent, and something is left out" in away
        fixture.write(10)
        with fixture.log.open("ab") as log:
            log.write(b'{"kind":')
        torn = ended(replaying(file, "--from", FIRST, "--to", LAST, *dry), 4)
        assert f"left out: {fixture.log}: its last line has no end" in torn
        assert "10 records" in torn
        assert "that is not all: something is left out" in torn


def test_a_gap_is_no_success(fixture: Fixture) -> None:
    """Part of that time is not there to be sent, however often it is called again."""
    fixture.write(10)
    whole = fixture.log.read_bytes()
    fixture.log.write_bytes(whole + bytes(5000) + whole)
    with Backend() as new:
        output = ended(replaying(configured(fixture, new.url), "--from", FIRST), 4)
    assert "20 records sent again" in output
    assert "left out: 1 gap in the log" in output
    assert "that is not all: something is left out" in output


def test_what_stands_in_its_way_is_said_and_how_to_go_on(fixture: Fixture) -> None:
    """An age is another one the next time: the times of the first are named."""
    fixture.write(10)
    file = configured(fixture, "http://127.0.0.1:9")
    said = ended(replaying(file, "--from", "10000d", "--deadline", "1s"), 4)
    assert "left: " in said
    assert "refused" in said
    found = re.search(r"call it again with --from (\S+Z) --to (\S+Z)", said)
    assert found
    with Backend() as new:
        again = replaying(configured(fixture, new.url), "--from", found[1], "--to", found[2])
        assert "10 records sent again" in ended(again)
    assert not list((fixture.state / "replay").iterdir()), "it went on where it was"


def test_only_what_lies_between_the_times(fixture: Fixture) -> None:
    ids = fixture.write(30)
    stamps = [json.loads(line)["stageTimestamp"] for line in fixture.log.read_bytes().splitlines()]
    stamps.sort()
    with Backend() as new:
        file = configured(fixture, new.url)
        ended(replaying(file, "--from", FIRST, "--to", stamps[12]))
        assert len(new.received.uids) == 12
        assert len(ids) == 30


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_it_goes_on_where_it_was_ended(
    fixture: Fixture, wait_for: Callable[[Callable[[], object], float], None], how: signal.Signals
) -> None:
    for n in range(6):
        fixture.write(400)
        fixture.rotate(f"audit-2026-01-02T03-0{n}-05.000.log")
    fixture.write(1)
    with Backend() as new:
        file = configured(fixture, new.url)
        one = "sending_queue: {num_consumers: 1, batch: {sizer: items, max_size: 400}}"
        file.write_text(file.read_text().replace(new.url, f"{new.url}, {one}"))
        first = replaying(file, "--from", FIRST, "--to", LAST, "--rate", "400")
        wait_for(lambda: len(new.received.uids) > 100, 60)
        first.send_signal(how)
        first.communicate(timeout=60)
        some = len(new.received.uids)
        assert some < lines(fixture)
        ended(replaying(file, "--from", FIRST, "--to", LAST))
        assert len(new.received.uids) == lines(fixture)
        assert new.received.uids.total() - lines(fixture) <= 400  # what was in flight


def test_mistakes_are_told(fixture: Fixture) -> None:
    fixture.write(1)
    file = configured(fixture, fixture.backend.url)
    assert "nothing lies between" in ended(replaying(file, "--from", LAST, "--to", FIRST), 2)
    assert re.search(r"--from", ended(replaying(file, "--from", "yesterday-ish"), 2))


def test_what_is_sent_again_meets_itself_in_a_store_with_streams(fixture: Fixture) -> None:
    """The hour of the events names the stream, of a replay and of the agent alike."""
    hourly = "{endpoint: %s, audit: {hour_attribute: service.namespace}}"
    fixture.exporters = f"otlp_http/live: {hourly % fixture.backend.url}"
    fixture.write(5)
    fixture.once()
    with Backend() as new:
        file = configured(fixture, new.url)
        block = f"{{endpoint: {new.url}}}"
        file.write_text(file.read_text().replace(block, hourly % new.url))
        ended(replaying(file, "--from", FIRST, "--to", LAST))
        again = {one.uid: one.resource["service.namespace"] for one in events_of(new)}
    sent = {one.uid: one.resource["service.namespace"] for one in events_of(fixture.backend)}
    assert again == sent
    assert len(sent) == 5
