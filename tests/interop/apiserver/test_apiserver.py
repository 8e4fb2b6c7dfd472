"""Nothing that a real kube-apiserver writes is lost, or it is said what is; and records are right.

It writes files of 1 MB, compresses them and keeps few, while two agents follow: one that nobody
disturbs and one that is killed again and again. Their back ends are away for a while.
"""

import math
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from k8s_audit_otlp.receiver.identity import identify
from tests.faults.compare import disagreeing_receipts
from tests.faults.processes import GAP, RECEIPT, Agent, Totals
from tests.interop.apiserver.apiserver import ApiServer, Keeper, offsets_of
from tests.kit import reference
from tests.kit.backends.backend import Backend
from tests.kit.backends.received import Record

# The fixture's own time, a build included, does not count.
pytestmark = [pytest.mark.interop, pytest.mark.timeout(400, func_only=True)]

CACHE = Path.home() / ".cache" / "k8s-audit-otlp" / "bin"
PROGRAMS = ("etcd", "kube-apiserver", "load")
BUILD = Path(__file__).parent / "kube" / "build.sh"
BACKUPS = 8
LOAD_S, AWAY_S = 22.0, 10.0


@pytest.fixture(scope="module")
def programs() -> Path:
    """Return where the programs are; build them where Go is and they are not there yet."""
    folder = Path(os.environ.get("K8S_AUDIT_OTLP_BIN", CACHE))
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a key with")
    if not all((folder / name).exists() for name in PROGRAMS):
        if shutil.which("go") is None:
            pytest.skip(f"{folder} lacks one of {', '.join(PROGRAMS)}, and there is no Go")
        subprocess.run(["bash", BUILD], env={**os.environ, "OUT": str(folder)}, check=True)
    return folder


@pytest.fixture
def apiserver(programs: Path, tmp_path: Path) -> Iterator[ApiServer]:
    server = ApiServer(programs, tmp_path / "cluster")
    yield server
    server.stop()


def configure(folder: Path, log: Path, endpoint: str, audit: dict[str, Any]) -> Path:
    folder.mkdir()
    exporter = {
        "endpoint": endpoint,
        "retry_on_failure": {"initial_interval": "100ms", "max_interval": "1s"},
        "audit": audit,
    }
    tree = {
        "receivers": {"k8s_audit": {"include": [str(log)]}},
        "exporters": {"otlp_http": exporter},
        "service": {"state_dir": str(folder / "state")},
    }
    (folder / "agent.yaml").write_text(yaml.safe_dump(tree))
    return folder / "agent.yaml"


@dataclass
class Side:
    """An agent with its back end."""

    agent: Agent
    backend: Backend
    state: Path
    away: bool = False

    def start(self) -> None:
        """Start the agent and wait until it knows the log: of what it never saw it cannot tell."""
        before = self._written()
        self.agent.start()
        end = time.monotonic() + 60
        while self._written() == before:
            assert time.monotonic() < end, "the agent writes no checkpoint"
            time.sleep(0.05)

    def _written(self) -> int:
        return self.state.stat().st_mtime_ns if self.state.exists() else 0

    def turn(self, *, away: bool) -> None:
        """Let the back end be away or there."""
        if away != self.away:
            (self.backend.stop if away else self.backend.start)()
            self.away = away

    def finish(self) -> None:
        """End the agent and let another one deliver what is left."""
        self.agent.end(signal.SIGTERM)
        code = self.agent.start("--once", "--deadline", "60s").wait(120)
        assert code == 0, "--once left something undelivered"

    def missing(self, written: dict[str, list[int]]) -> dict[str, list[int]]:
        """Return the offsets of events that did not arrive, by segment."""
        arrived = self.backend.received.uids
        return {
            identity: lost
            for identity, offsets in written.items()
            if (lost := [o for o in offsets if f"{identity}-{o:x}" not in arrived])
        }

    def gaps(self) -> list[Record]:
        return [n for n in self.backend.received.notices if n.event_name == GAP]


def untold(missing: dict[str, list[int]], gaps: list[Record]) -> dict[str, int]:
    """Count the missing events that lie in no gap that the agent told of, by segment.

    Of a file that was deleted before it was read nobody knows the size: its gap has no end.
    """
    ranges: dict[str, list[tuple[int, float]]] = {}
    for gap in gaps:
        said = gap.attributes
        deleted = said["k8s.audit.gap.reason"] == "deleted"
        end = math.inf if deleted else said["k8s.audit.gap.end"]
        known = ranges.setdefault(said["k8s.audit.segment.identity"], [])
        known.append((said["k8s.audit.gap.start"], end))
    counts = {
        identity: sum(
            not any(start <= offset < end for start, end in ranges.get(identity, ()))
            for offset in offsets
        )
        for identity, offsets in missing.items()
    }
    return {identity: count for identity, count in counts.items() if count}


@pytest.fixture
def sides(apiserver: ApiServer, tmp_path: Path) -> Iterator[tuple[Side, Side]]:
    """Two agents with back ends of their own on one log: the quiet one and the killed one."""
    with Backend(keep="uids") as one, Backend(keep="uids") as two:
        made = []
        for name, backend in (("quiet", one), ("killed", two)):
            folder = tmp_path / name
            config = configure(folder, apiserver.log, backend.url, {})
            agent = Agent(config, folder / "agent.log")
            made.append(Side(agent, backend, folder / "state" / "checkpoint.json"))
        with made[0].agent, made[1].agent:
            yield made[0], made[1]


def test_an_outage_and_kills_lose_nothing_in_silence(
    apiserver: ApiServer, sides: tuple[Side, Side]
) -> None:
    """Undisturbed: all is there. Killed while files are deleted: what is not is told, exactly."""
    apiserver.start("--audit-log-maxsize=1", f"--audit-log-maxbackup={BACKUPS}",
                    "--audit-log-compress=true")  # fmt: skip
    quiet, killed = sides
    with Keeper(apiserver.log) as keeper:
        for side in sides:
            side.start()
        load = apiserver.load(LOAD_S, workers=4)
        started = time.monotonic()
        kills = 0
        while load.poll() is None or keeper.files() <= 2 * BACKUPS:
            if load.poll() is not None:  # on a slow machine it takes longer to rotate so often
                load = apiserver.load(5.0, workers=4)
            time.sleep(2.0)
            passed = time.monotonic() - started
            away = 6.0 < passed < 6.0 + AWAY_S
            for side in sides:
                side.turn(away=away)
            if kills < passed // 3:
                killed.agent.end(signal.SIGKILL)
                killed.start()
                kills += 1
        apiserver.stop()
        keeper.look()
        for side in sides:
            side.finish()
        written = keeper.segments()
    events = sum(map(len, written.values()))
    lost, told = quiet.missing(written), killed.missing(written)
    print(  # noqa: T201 - shown with -s
        f"{events} events in {len(written)} segments, {kills} kills; quiet: "
        f"{sum(map(len, lost.values()))} missing, {quiet.backend.received.duplicates} repeats; "
        f"killed: {sum(map(len, told.values()))} missing, {len(killed.gaps())} gaps told, "
        f"{killed.backend.received.duplicates} repeats"
    )
    assert len(written) > 2 * BACKUPS, "the log did not rotate often enough to prove anything"
    assert not lost
    assert not quiet.gaps()
    assert not untold(told, killed.gaps())
    for side in sides:
        received = side.backend.received
        assert not received.uids.keys() - {
            f"{identity}-{offset:x}" for identity, offsets in written.items() for offset in offsets
        }
        assert disagreeing_receipts(received.notices, received.uids, Totals()) == []
        receipted = {n.attributes["k8s.audit.segment.identity"] for n in received.notices
                     if n.event_name == RECEIPT}  # fmt: skip
        assert len(written.keys() - receipted) <= 1  # the live file's comes with its end


def test_every_attribute_of_a_real_log_is_what_the_plain_reference_says(
    apiserver: ApiServer, tmp_path: Path
) -> None:
    """`run --once` on what a kube-apiserver has written; bodies as they are."""
    apiserver.start("--audit-log-maxsize=100")
    apiserver.load(4.0, workers=4).wait()
    apiserver.stop()
    data = apiserver.log.read_bytes()
    identity = identify(data, finished=True)
    assert identity is not None
    with Backend(keep="records") as backend:
        raw = {"bodies": "raw", "unsafe": True}
        config = configure(tmp_path / "agent", apiserver.log, backend.url, raw)
        with Agent(config, tmp_path / "agent" / "agent.log") as agent:
            assert agent.start("--once").wait(60) == 0
        records = {record.attributes["log.file.record_offset"]: record for record in
                   backend.received.records}  # fmt: skip
    offsets = offsets_of(data)
    assert len(offsets) > 300
    assert sorted(records) == offsets
    for start, end in zip(offsets, [*offsets[1:], len(data)], strict=True):
        record, line = records[start], data[start:end].rstrip(b"\n")
        place = (identity.name, start, "audit.log", record.observed_ns)
        wanted = reference.from_line(line, place)
        wanted["attributes"]["log.file.path"] = str(apiserver.log)
        found = {
            "time": record.time_ns,
            "observed": record.observed_ns,
            "severity": record.severity_number,
            "severity_text": record.severity_text,
            "event_name": record.event_name,
            "body": record.body,
            "attributes": record.attributes,
        }
        wanted.pop("dropped")
        assert found == wanted, line[:300]
