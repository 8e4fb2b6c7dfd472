"""The Pipeline script for Guance, run by DataKit's own engine on what the agent sends."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.cli.exit_codes import OK
from tests.interop.agent import Agent
from tests.interop.imitations import DataKit
from tests.interop.stores.stores import binary_of
from tests.kit.log.events import EventSource

pytestmark = pytest.mark.interop
SCRIPT = Path(__file__).parents[2] / "deploy/guance/k8s-audit.p"
ENGINE = binary_of("datakit-pipeline")


@pytest.fixture
def datakit() -> Iterator[DataKit]:
    if not ENGINE.exists():
        pytest.skip(f"{ENGINE} is not there: tests/interop/build.sh builds it")
    running = DataKit(ENGINE, SCRIPT)
    yield running
    running.stop()


def _deliver(agent: Agent, datakit: DataKit, attributes: dict[str, str]) -> list[dict[str, Any]]:
    """Send a segment, its receipt and a live log; return what the script made of each record."""
    source = EventSource(4)
    without_verb = {k: v for k, v in json.loads(source.line()).items() if k != "verb"}
    lines = [source.line() for _ in range(40)] + [json.dumps(without_verb).encode()]
    backup = agent.log.with_name("audit-2026-01-02T00-00-00.000.log")
    backup.write_bytes(b"".join(line + b"\n" for line in lines))
    agent.write([source.line() + b"\n", b"not JSON at all\n"])
    agent.configure("otlp_http", {"endpoint": datakit.endpoint, "audit": {"vendor": "guance"}})
    config = agent.directory / "agent.yaml"
    receiver = {"include": [str(agent.log)], "attributes": attributes}
    text = config.read_text().replace(f"include:\n    - {agent.log}", "")
    assert "include" not in text
    config.write_text(text.replace("k8s_audit:", f"k8s_audit: {json.dumps(receiver)}"))
    done = agent.once()
    assert done.returncode == OK, done.stderr
    points = datakit.points()
    assert not [point for point in points if point["error"] or point["warns"]]
    return points


def _message(point: dict[str, Any]) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(point["fields"]["message"])
    return read


def test_the_script_makes_of_events_what_guances_own_does(agent: Agent, datakit: DataKit) -> None:
    """A tag of atype, a number of the code, an empty verb where there is none."""
    points = _deliver(agent, datakit, {"atype": "kube-audit-log"})
    events = [one for one in points if one["fields"].get("kind") == "Event"]
    assert len(events) == 42
    for point in events:
        event, fields = _message(point), point["fields"]
        assert point["tags"]["atype"] == "kube-audit-log"
        code = event.get("responseStatus", {}).get("code")
        assert fields.get("responseCode") == code
        assert fields["verb"] == event.get("verb", "")
        assert fields["status"] == ("OK" if code == 200 else "fail")  # DataKit's own letters
        user = event.get("user", {}).get("username")
        assert fields.get("username") == user
        assert fields.get("sourceIP_0") == next(iter(event.get("sourceIPs", ())), None)


def test_the_script_goes_on_where_a_record_is_no_event(agent: Agent, datakit: DataKit) -> None:
    """Notices and lines that are no JSON pass it, and counts of receipts are numbers."""
    points = _deliver(agent, datakit, {})
    assert not [point for point in points if "atype" in point["tags"]]
    (receipt,) = (
        one["fields"] for one in points if one["fields"].get("event_name") == "k8s.audit.segment"
    )
    assert receipt["k8s_audit_segment_delivered"] == 41
    assert isinstance(receipt["k8s_audit_segment_bytes"], int)
    assert "verb" not in receipt
    others = [one for one in points if one["fields"].get("kind") != "Event"]
    assert any("unparsable" in one["fields"]["message"] for one in others)
