"""Logs of one node that are called alike can be told apart in the back end."""

from pathlib import Path

import pytest

from k8s_audit_otlp.agent.agent import Agent
from k8s_audit_otlp.agent.start import AgentOptions
from k8s_audit_otlp.config.load import load_tree
from tests.kit.backends.backend import Backend
from tests.kit.log.events import EventSource


@pytest.mark.parametrize("said", [True, False])
def test_records_say_the_path_of_their_file(tmp_path: Path, *, said: bool) -> None:
    """Two kube-apiservers, an audit.log each, backups too; the receiver's key leaves it out."""
    source, paths = EventSource(1), set()
    for name in ("prod", "test"):
        (tmp_path / name).mkdir()
        for file in ("audit-2026-01-02T03-04-05.678.log", "audit.log"):
            path = tmp_path / name / file
            path.write_bytes(source.line() + b"\n" + source.line() + b"\n")
            paths.add(str(path))
    with Backend() as backend:
        include = [str(tmp_path / name / "audit.log") for name in ("prod", "test")]
        tree = {
            "receivers": {"k8s_audit": {"include": include, "include_file_path": said}},
            "exporters": {"otlp_http": {"endpoint": f"http://127.0.0.1:{backend.port}"}},
            "service": {"state_dir": str(tmp_path / "state")},
        }
        agent = Agent(load_tree(tree, "agent.yaml", {}).config, {}, AgentOptions(once=True))
        agent.start()
        assert agent.run()
        records = [r for r in backend.received.records if r.event_name == "k8s.audit.event"]
    assert len(records) == 8
    found = {record.attributes.get("log.file.path") for record in records}
    assert found == (paths if said else {None})
    assert {record.attributes["log.file.name"] for record in records} == {
        "audit-2026-01-02T03-04-05.678.log",
        "audit.log",
    }
