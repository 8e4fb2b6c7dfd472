"""The demo's table keeps what matters in a narrow terminal."""

import io
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from k8s_audit_otlp.cli.demo import _one, _table
from k8s_audit_otlp.tools.demo.backend import DemoRecord


@pytest.mark.parametrize("width", [80, 120, 200])
def test_time_verb_code_and_outcome_are_whole(width: int) -> None:
    """However long the name of the user and of the object are."""
    attributes = {
        "verb": "update",
        "username": "system:serviceaccount:kube-system:endpointslice-controller",
        "namespace": "production-of-something",
        "k8s.audit.object_ref.resource": "endpointslices",
        "responseCode": 403,
        "k8s.audit.outcome": "failure",
    }
    when = 1_700_000_000_123_000_000
    record = DemoRecord("{}", attributes, {}, when, "ERROR")
    out = io.StringIO()
    Console(file=out, width=width, height=24).print(_table([record]))
    for text in ("22:13:20", "update", "403", "failure"):
        assert text in out.getvalue()
    assert all(len(line) <= width for line in out.getvalue().splitlines())


def test_the_record_in_full_is_in_full_in_a_narrow_terminal() -> None:
    """What is longer than the line goes on in the next one."""
    body = '{"kind":"Event",' + '"a":"b",' * 40 + '"end":"here"}'
    record = DemoRecord(body, {"url.path": "/apis/x" * 20}, {}, 1, "INFO")
    out = io.StringIO()
    Console(file=out, width=80, height=24).print(_one(record))
    lines = out.getvalue().splitlines()
    assert all(len(line) <= 80 for line in lines)
    joined = "".join(line.strip("│ ").split("│")[-1].strip() for line in lines)
    assert body in joined
    assert "/apis/x" * 20 in joined


def _agents(folder: Path) -> list[str]:
    """Return the processes whose command line names a file in *folder*, but for the demo itself."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_text()
        except OSError:
            continue
        if f"{folder}/agent.yaml" in words:
            found.append(process.name)
    return found


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_who_closes_the_terminal_leaves_no_agent_behind(
    tmp_path: Path, number: signal.Signals
) -> None:
    """An agent does not end for a SIGHUP, so the demo has to end it."""
    folder = tmp_path / "kept"
    command = [sys.executable, "-m", "k8s_audit_otlp", "demo", "--keep", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as demo:
        end = time.monotonic() + 60
        while not _agents(folder) and time.monotonic() < end:
            time.sleep(0.02)
        assert _agents(folder)
        demo.send_signal(number)
        assert demo.wait(60) == 128 + number
    assert _agents(folder) == []
