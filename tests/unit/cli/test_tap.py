"""`tap` and `top` beside a running agent."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from rich.console import Console

from k8s_audit_otlp.cli.tap import _view
from k8s_audit_otlp.tools.tap import FIELDS, Volume, Watched
from tests.kit.backends.backend import Backend
from tests.kit.log.events import EventSource

COMMAND = [sys.executable, "-m", "k8s_audit_otlp"]


@pytest.fixture
def log(log_dir: Path) -> Path:
    path = log_dir / "audit.log"
    path.write_bytes(EventSource(1).line() + b"\n")
    return path


@pytest.fixture
def state(backend: Backend, log: Path, tmp_path: Path) -> Iterator[Path]:
    """Run an agent, and return its state directory once it delivers and can be watched."""
    process = run(tmp_path / "state", log, backend)
    wait_for_delivery(backend, tmp_path / "state")
    yield tmp_path / "state"
    process.send_signal(signal.SIGTERM)
    process.wait(60)


def wait_for_delivery(backend: Backend, state: Path) -> None:
    backend.wait_for(1, timeout=60)
    end = time.monotonic() + 60
    there = [state / "tap.sock", state / "status.json"]
    while not all(path.exists() for path in there) and time.monotonic() < end:
        time.sleep(0.02)


def watch(state: Path, *arguments: str) -> subprocess.Popen[str]:
    # A shell that runs this in the background has its children ignore Ctrl-C.
    command = ["env", "--default-signal=INT", *COMMAND, arguments[0], "--state-dir", str(state)]
    command += arguments[1:]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "watching" in process.stderr.readline()
    return process


def write(log: Path, count: int) -> list[dict[str, object]]:
    source = EventSource(2)
    lines = [source.line() for _ in range(count)]
    with log.open("ab") as file:
        file.write(b"".join(line + b"\n" for line in lines))
    return [json.loads(line) for line in lines]


def test_events_are_shown_as_they_leave(state: Path, log: Path) -> None:
    """Only those that are asked for, redacted, as JSON."""
    with watch(state, "tap", "--match", "resource=secrets", "--json") as process:
        lines, events, end = shown(process), write(log, 300), time.monotonic() + 60
        while not lines and time.monotonic() < end:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    bodies = [json.loads(line)["body"] for line in list(lines)]
    found = [body["auditID"] for body in bodies]
    refs: Any = ((e["auditID"], e.get("objectRef") or {}) for e in events)
    wanted = [i for i, ref in refs if ref.get("resource") == "secrets"]
    assert found
    assert set(found) <= set(wanted)
    assert all("data" not in (e.get("requestObject") or {}) or "REDACTED" in str(e) for e in bodies)


def test_top_counts_what_leaves(state: Path, log: Path) -> None:
    """All of it, with the largest first."""
    for seconds in (2, 10, 50):  # a busy machine takes longer
        process = watch(state, "top", "--for", f"{seconds}s")
        write(log, 200)
        out, err = process.communicate(timeout=100)
        assert process.returncode == 0, err
        if "200 events" in out:
            break
    assert "200 events" in out


def test_top_shows_no_more_rows_than_a_small_screen_holds() -> None:
    """Else the picture before stays, and the last one is written under it."""
    volume, screen = Volume(), Console(width=80, height=24)
    for n in range(99):
        fields = {**dict.fromkeys(FIELDS, "x" * 30), "user": f"{n:030}"}
        volume.add(Watched(fields, 0, 100, {}, "k8s.audit.event", {}))
    assert len(screen.render_lines(_view(volume, screen))) < screen.height


@pytest.mark.parametrize("command", ["tap", "top"])
def test_an_exporter_that_is_not_there_is_named(state: Path, command: str) -> None:
    """Else a mistyped name would look like a quiet cluster."""
    line = [*COMMAND, command, "--state-dir", str(state), "--exporter", "otlp_htp", "--for", "0s"]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "the agent has no exporter otlp_htp; did you mean otlp_http?" in done.stderr


def test_ctrl_c_ends_it_at_once_without_a_word(state: Path) -> None:
    """As it should a tool that somebody watches."""
    process = watch(state, "tap")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert (out + err).strip() == ""


def test_without_an_agent_it_says_so(tmp_path: Path) -> None:
    """Exit code 3: the state is not in use."""
    done = subprocess.run(
        [*COMMAND, "tap", "--state-dir", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert "no agent runs" in done.stderr


def test_an_agent_without_a_socket_is_not_said_to_be_away(state: Path) -> None:
    """The state directory may not be writable: `status` says so."""
    (state / "tap.sock").unlink()
    done = subprocess.run(
        [*COMMAND, "tap", "--state-dir", str(state)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert "opens no socket" in done.stderr


def run(
    state: Path, log: Path, backend: Backend, stderr: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    return subprocess.Popen(
        [*COMMAND, "run", "--path", str(log), "--state-dir", str(state)],
        stderr=stderr,
        env={**env, "OTEL_EXPORTER_OTLP_ENDPOINT": backend.url},
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_it_goes_on_with_the_next_agent(
    backend: Backend, log: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """After a restart and after a kill: who watches need not begin anew."""
    state = tmp_path / "state"
    first = run(state, log, backend)
    wait_for_delivery(backend, state)
    with watch(state, "tap", "--json", "--for", "90s") as watching:
        seen = shown(watching)
        # It stands by: a watcher waits some seconds for the next agent, and no longer.
        second = run(state, log, backend, stderr=subprocess.PIPE)
        assert second.stderr is not None
        while b"waiting for process" not in second.stderr.readline():
            assert second.poll() is None
        first.send_signal(number)
        first.wait(60)
        end, source = time.monotonic() + 60, EventSource(9)
        while not seen and time.monotonic() < end:  # again and again: it may not be connected yet
            with log.open("ab") as file:
                file.write(source.line() + b"\n")
            time.sleep(0.2)
        watching.terminate()
        second.terminate()
        second.communicate(timeout=60)
    assert json.loads(seen[0])["exporter"] == "otlp_http"


def shown(process: subprocess.Popen[str]) -> list[str]:
    """Return the list that a thread adds the lines of a command to."""
    lines: list[str] = []
    stdout = process.stdout
    assert stdout is not None

    def read() -> None:
        for line in stdout:
            lines.append(line)  # noqa: PERF402 - each is seen as it comes

    Thread(target=read, daemon=True).start()
    return lines
