"""What has killed a process is met by the next one without the compiled part of the encoder."""

from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.agent.agent import Agent
from k8s_audit_otlp.agent.start import AgentOptions
from k8s_audit_otlp.config.load import load_tree
from k8s_audit_otlp.exporter.shared import Encode
from k8s_audit_otlp.otlp.encode import Encoder, PythonEncoder
from k8s_audit_otlp.state.marker import Marker
from tests.kit.backends.backend import Backend
from tests.kit.log.events import EventSource


@pytest.mark.parametrize(("died", "kind"), [(True, PythonEncoder), (False, Encoder)])
def test_a_line_in_which_a_process_died_is_encoded_in_python(
    tmp_path: Path, *, died: bool, kind: type[Encoder]
) -> None:
    """The C could be what killed it, and would do so again; every line arrives."""
    log, state = tmp_path / "audit.log", tmp_path / "state"
    source = EventSource(1)
    log.write_bytes(b"".join(source.line() + b"\n" for _ in range(20)))
    if died:
        state.mkdir(mode=0o700)
        Marker(state).enter("0123456789abcdef", 0)
    encoders: list[Any] = []

    def seen(encode: Encode) -> Encode:
        encoders.append(encode)
        return encode

    with Backend() as backend:
        tree = {
            "receivers": {"k8s_audit": {"include": [str(log)]}},
            "exporters": {"otlp_http": {"endpoint": f"http://127.0.0.1:{backend.port}"}},
            "service": {"state_dir": str(state)},
        }
        options = AgentOptions(once=True, around_encode=seen)
        agent = Agent(load_tree(tree, "agent.yaml", {}).config, {}, options)
        agent.start()
        assert agent.run()
        events = [r for r in backend.received.records if r.event_name == "k8s.audit.event"]
    assert len(events) == 20
    [forgiving] = encoders
    assert type(forgiving._encode.encode.__self__) is kind
