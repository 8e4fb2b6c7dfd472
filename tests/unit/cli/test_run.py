"""`run` as it is used: a process, its messages, its exit code, its signals."""

import fcntl
import os
import re
import shlex
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner

from k8s_audit_otlp.agent.agent import Agent
from k8s_audit_otlp.agent.start import AgentOptions
from k8s_audit_otlp.cli import main
from k8s_audit_otlp.config.load import load_text
from tests.kit.backends.backend import Backend
from tests.kit.backends.steps import Accept, Hang, Throttle
from tests.kit.log.events import EventSource
from tests.unit.cli.run_command import COMMAND, environ, log, run

__all__ = ["log"]


def test_path_state_dir_and_an_environment_variable_suffice(
    backend: Backend, log: Path, tmp_path: Path
) -> None:
    """Without a configuration file the OTEL variables say where to."""
    done = run(
        "--path", str(log), "--state-dir", str(tmp_path / "state"), "--once",
        OTEL_EXPORTER_OTLP_ENDPOINT=backend.url,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(backend.received.uids) == 30
    size = f"{log.stat().st_size / 1024:.1f} KiB to send"
    assert f"otlp_http: {log}: audit.log at byte 0, {size}" in done.stderr


def test_what_once_left_undelivered_is_named(log: Path, tmp_path: Path) -> None:
    """Exit code 4, the exporter, the file and how much."""
    done = run(
        "--path", str(log), "--state-dir", str(tmp_path / "state"), "--once", "--deadline", "1s",
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
    )  # fmt: skip
    assert done.returncode == 4
    assert "no connection: Connection refused; nothing is lost" in done.stderr
    assert re.search(r"undelivered: otlp_http: audit\.log: .* KiB left$", done.stderr, re.MULTILINE)


CONFIGURATION = """
receivers: {{k8s_audit: {{include: [{log}]}}}}
exporters: {{otlp_http: {{endpoint: "http://127.0.0.1:4318", {exporter}}}}}
service: {{state_dir: {state}}}
"""

MISTAKES = [
    ("endpoint: 'siem:4318'", "has no scheme", "http://siem:4318"),
    ("compresion: gzip", "compresion", "compression"),
    ("timeout: soon", "soon", "5s"),
    ('headers: {X-Key: "secret\\nvalue"}', "line", "header"),
]


@pytest.mark.parametrize(("exporter", "what", "hint"), MISTAKES)
def test_a_mistake_in_the_configuration_says_where_what_and_the_hint(
    log: Path, tmp_path: Path, exporter: str, what: str, hint: str
) -> None:
    """Exit code 2, before anything is read or sent; a secret is not repeated."""
    config = tmp_path / "agent.yaml"
    text = CONFIGURATION.format(log=log, state=tmp_path / "state", exporter=exporter)
    if exporter.startswith("endpoint"):
        text = text.replace('endpoint: "http://127.0.0.1:4318", ', "")
    config.write_text(text)
    done = CliRunner().invoke(main, ["run", "--config", str(config)])
    assert done.exit_code == 2
    assert f"{config}:" in done.stderr
    assert "exporters::otlp_http::" in done.stderr
    assert what in done.stderr
    assert hint in done.stderr
    assert "secret" not in done.stderr
    assert not (tmp_path / "state").exists()


def test_a_path_that_is_a_directory_is_a_mistake(log: Path, tmp_path: Path) -> None:
    """The message offers the file that was meant."""
    done = run("--path", str(log.parent), "--state-dir", str(tmp_path / "state"))
    assert done.returncode == 2
    assert "is a directory" in done.stderr
    assert "audit.log" in done.stderr


def test_a_log_that_is_not_there_yet_is_waited_for(backend: Backend, tmp_path: Path) -> None:
    """A condition that can pass is no crash, even if the directory is missing."""
    late = tmp_path / "later" / "audit.log"
    process = subprocess.Popen(
        [*COMMAND, "--path", str(late), "--state-dir", str(tmp_path / "state")],
        stderr=subprocess.PIPE,
        text=True,
        env=environ(OTEL_EXPORTER_OTLP_ENDPOINT=backend.url),
    )
    assert process.stderr is not None
    said = ""
    try:
        while "waiting for it" not in said:
            said = process.stderr.readline()
            assert said, "it ended"
        late.parent.mkdir()
        late.write_bytes(EventSource(1).line() + b"\n")
        backend.wait_for(1, timeout=60)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0


def test_a_state_directory_that_cannot_be_made_is_said(log: Path) -> None:
    """Exit code 3, with the other ways to give one."""
    done = run("--path", str(log), "--state-dir", "/proc/none", "--once")
    assert done.returncode == 3
    assert "cannot be used as the state directory" in done.stderr
    assert "--state-dir" in done.stderr


def test_an_address_that_is_taken_is_said_with_a_hint(log: Path, tmp_path: Path) -> None:
    """It has nothing to do with the state directory."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        file = tmp_path / "agent.yaml"
        file.write_text(
            f"receivers: {{k8s_audit: {{include: {log}}}}}\n"
            "exporters: {otlp_http: {endpoint: 'http://127.0.0.1:9'}}\n"
            f"service: {{state_dir: {tmp_path}/s, telemetry: {{metrics: {{address: '{address}'}}}}"
            "}\n"
        )
        done = run("--config", str(file), "--once")
    assert done.returncode == 2
    assert "metrics::address: Address already in use; free it, or write another" in done.stderr


def test_an_unreadable_log_is_said_and_waited_for(
    backend: Backend, tmp_path: Path, log: Path
) -> None:
    """A symbolic loop stands for what root cannot read either."""
    log.unlink()
    log.symlink_to(log)
    done = run(
        "--path", str(log), "--state-dir", str(tmp_path / "state"), "--once",
        OTEL_EXPORTER_OTLP_ENDPOINT=backend.url,
    )  # fmt: skip
    assert "audit.log" in done.stderr


def start(log: Path, state: Path, url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "--path", str(log), "--state-dir", str(state)],
        stderr=subprocess.PIPE,
        text=True,
        env=environ(OTEL_EXPORTER_OTLP_ENDPOINT=url),
    )


@pytest.mark.parametrize("step", [Hang(), Throttle(503, retry_after=600)])
def test_sigterm_ends_it_in_time_whatever_the_back_end_does(
    tmp_path: Path, log: Path, step: Hang | Throttle
) -> None:
    """Requests in back-off are given up, those that hang get the shutdown timeout."""
    with Backend([step]) as backend:
        process = start(log, tmp_path / "state", backend.url)
        backend.wait_for_requests(1)
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert time.monotonic() - started < 60  # not the ten minutes of Retry-After
        assert process.returncode == 0
        backend.plan = [Accept()]
        run(
            "--path", str(log), "--state-dir", str(tmp_path / "state"), "--once",
            OTEL_EXPORTER_OTLP_ENDPOINT=backend.url,
        )  # fmt: skip
        assert len(backend.received.uids) == 30


def test_sigterm_before_the_start_is_over_is_an_orderly_end(tmp_path: Path, log: Path) -> None:
    """The state is its own already; here it has yet to say that it started, and cannot."""
    config = tmp_path / "agent.yaml"
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writer, b"\n" * 4096)
    with Backend() as backend:
        config.write_text(f"""
receivers: {{k8s_audit: {{include: [{log}], resource: {{k8s.node.name: n}}}}}}
exporters: {{otlp_http: {{endpoint: "{backend.url}"}}}}
service: {{state_dir: {tmp_path / "state"}}}
""")
        command = [*COMMAND, "--config", str(config)]
        process = subprocess.Popen(command, stderr=writer, env=environ())
        os.close(writer)
        while not (tmp_path / "state" / "checkpoint.json").exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)  # it has to be taken while the start waits
        with os.fdopen(reader) as said:
            assert "stopped: the positions are stored" in said.read()
        assert process.wait(60) == 0


def said_until(process: subprocess.Popen[str], text: str) -> str:
    """Return the first line that holds *text*."""
    assert process.stderr is not None
    return next(line for line in process.stderr if text in line)


def test_no_file_of_the_state_takes_the_number_of_a_closed_stream(
    tmp_path: Path, log: Path
) -> None:
    """A library in C writes its complaints to number 2, whatever that is."""
    arguments = [*COMMAND, "--path", str(log), "--state-dir", str(tmp_path / "state")]
    with Backend() as backend:
        process = subprocess.Popen(
            ["sh", "-c", f"exec {shlex.join(arguments)} <&- >&- 2>&-"],
            env=environ(OTEL_EXPORTER_OTLP_ENDPOINT=backend.url),
        )
        backend.wait_for_requests(1)
        fds = Path(f"/proc/{process.pid}/fd")
        streams = {str((fds / str(number)).readlink()) for number in range(3)}
        process.terminate()
        assert process.wait(60) == 0
    assert streams == {os.devnull}


def test_a_log_that_is_not_there_is_not_caught_up_with(tmp_path: Path, log: Path) -> None:
    """Nobody knows what is ahead until it is there."""
    content = log.read_bytes()
    log.unlink()
    with Backend() as backend:
        process = start(log, tmp_path / "state", backend.url)
        said_until(process, "started")
        time.sleep(1)
        log.write_bytes(content)
        assert "caught up, 30 delivered" in said_until(process, "caught up")
        process.terminate()
        process.communicate(timeout=60)


def test_positions_that_could_not_be_stored_are_not_said_to_be(tmp_path: Path, log: Path) -> None:
    """Something stands in their place; the last line says so, and so does the exit code."""
    place = tmp_path / "state" / "checkpoint.json"
    with Backend() as backend:
        process = start(log, tmp_path / "state", backend.url)
        said_until(process, "caught up")
        while not place.is_dir():
            with suppress(FileExistsError):  # it was written anew in between
                place.unlink(missing_ok=True)
                place.mkdir()
        with log.open("ab") as file:
            file.write(EventSource(4).line() + b"\n")
        said_until(process, "cannot be written")
        process.terminate()
        _, rest = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "stopped" in rest
    assert "are stored" not in rest


def test_a_second_signal_ends_it_at_once(tmp_path: Path, log: Path) -> None:
    """Who is in a hurry loses nothing either."""
    with Backend([Hang()]) as backend:
        process = start(log, tmp_path / "state", backend.url)
        assert process.stderr is not None
        backend.wait_for_requests(1)
        process.send_signal(signal.SIGTERM)
        while "stopping" not in (line := process.stderr.readline()):
            assert line, "it ended"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 128 + signal.SIGTERM


def test_a_receiver_may_have_a_colon_in_its_name(
    backend: Backend, log: Path, tmp_path: Path
) -> None:
    """Started twice: the position that is stored under such a name is found again."""
    text = f"""
receivers: {{"k8s_audit/a:b": {{include: [{log}]}}}}
exporters: {{otlp_http: {{endpoint: "{backend.url}"}}}}
service:
  state_dir: {tmp_path / "state"}
  pipelines: {{logs: {{receivers: ["k8s_audit/a:b"], exporters: [otlp_http]}}}}
"""
    for offset in (0, log.stat().st_size):
        agent = Agent(load_text(text, "test", {}).config, {}, AgentOptions(once=True))
        assert [resumed.offset for resumed in agent.start()] == [offset]
        assert agent.run()
    assert len(backend.received.uids) == 30
