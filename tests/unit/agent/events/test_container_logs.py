"""What a container's log holds of an audit log arrives as the file would."""

import gzip
import json
from collections import defaultdict
from pathlib import Path

import pytest

from k8s_audit_otlp.agent.agent import Agent
from k8s_audit_otlp.agent.start import AgentOptions
from k8s_audit_otlp.cli.actions.run_lines import closing_lines
from k8s_audit_otlp.config.load import load_text
from k8s_audit_otlp.state.ledger import Tally
from k8s_audit_otlp.tools.doctor.log_checks import OF_EVENTS
from k8s_audit_otlp.tools.doctor.log_facts import look_at_log
from tests.kit.agent import RETRY, audit_ids_of, event_list, events_of
from tests.kit.backends.backend import Backend
from tests.kit.present import present

TABLE = dict(OF_EVENTS)


def delivered(include: Path, tmp_path: Path, backend: Backend) -> Agent:
    """Deliver what is in a log now, and return the agent that did."""
    text = f"""
receivers: {{k8s_audit: {{include: ["{include}"]}}}}
exporters: {{otlp_http: {{endpoint: {backend.url}, {RETRY}}}}}
service: {{state_dir: {tmp_path / "state"}}}
"""
    agent = Agent(load_text(text, "test", {}).config, {}, AgentOptions(once=True))
    agent.start()
    assert agent.run()
    return agent


def test_a_container_log_arrives_as_the_file_would(tmp_path: Path, backend: Backend) -> None:
    """`format: auto` takes the runtime's frame off; other lines of the container are left out."""
    log = tmp_path / "0.log"
    events = [json.loads(event_list(n, 1))["items"][0] | {"kind": "Event"} for n in range(50)]
    time_ = "2026-01-02T03:04:05.678901234Z"
    with log.open("w") as file:
        for event in events:
            text = json.dumps(event)
            file.write(f"{time_} stderr F I0102 started\n{time_} stdout P {text[:30]}\n")
            file.write(f"{time_} stdout F {text[30:]}\n")
    agent = delivered(log, tmp_path, backend)
    assert audit_ids_of(backend) == [f"id-{n}" for n in range(50)]
    assert [json.loads(one.body) for one in events_of(backend)] == events
    (tally,) = [s.tally() for s in agent.subscriptions()]
    assert tally.dropped == {"not_audit": 50}
    (said,) = closing_lines(agent, defaultdict(Tally))
    assert "delivered 50, dropped by policy 0, no audit events 50, " in said


@pytest.mark.parametrize("messages", [500, 2000])
def test_what_a_program_says_before_its_first_event_is_no_alarm(
    tmp_path: Path, backend: Backend, caplog: pytest.LogCaptureFixture, messages: int
) -> None:
    """An apiserver says some 500 lines; a log that has nothing else for long is another one."""
    log = tmp_path / "0.log"
    said = "2026-01-02T03:04:05.678901234Z stderr F I0102 03:04:05.678901 1 flags.go:64] FLAG: x\n"
    head = {"kind": "Event", "stageTimestamp": "2026-01-02T03:04:05Z"}
    event = json.dumps(head | json.loads(event_list(1, 1))["items"][0])
    log.write_text(said * messages + f"2026-01-02T03:04:06.678901234Z stdout F {event}\n")
    delivered(log, tmp_path, backend)
    assert len(audit_ids_of(backend)) == 1
    assert ("this is no audit log" in caplog.text) is (messages > 500)
    found = TABLE["log.format"](look_at_log(log, tmp_path, None, wait_s=0.0))
    assert present(found).why == "JSON events in the frame of cri"


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("restarts", [False, True])
def test_an_event_torn_over_a_rotation_of_kubelet_arrives(
    tmp_path: Path, backend: Backend, *, packed: bool, restarts: bool
) -> None:
    """Its pieces lie in two files; whoever reads the second looks back into the first."""
    log = tmp_path / "0.log"
    time_ = "2026-01-02T03:04:05.678901234Z"
    events = [json.loads(event_list(n, 1))["items"][0] | {"kind": "Event"} for n in range(30)]
    lines = []
    for event in events:
        text = json.dumps(event)
        lines += [f"{time_} stdout P {text[:30]}\n", f"{time_} stdout F {text[30:]}\n"]
    for number, start in enumerate(range(0, 60, 15)):  # every other part ends within an event
        if number:
            rotated = log.rename(f"{log}.2026010{number}-030405")
            if packed:
                rotated.with_name(rotated.name + ".gz").write_bytes(
                    gzip.compress(rotated.read_bytes())
                )
                rotated.unlink()
        log.write_text("".join(lines[start : start + 15]))
        if restarts:
            delivered(tmp_path / "*.log", tmp_path, backend)
    delivered(tmp_path / "*.log", tmp_path, backend)
    assert sorted(audit_ids_of(backend)) == sorted(f"id-{n}" for n in range(30))
    assert len({one.uid for one in events_of(backend)}) == 30
    assert "k8s.audit.gap" not in [notice.event_name for notice in backend.received.notices]
