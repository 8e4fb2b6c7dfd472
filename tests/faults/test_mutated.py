"""Mutated lines and answers, against an agent as a process: it does its work and ends well.

A file of real audit logs can take the place of made-up ones: `K8S_AUDIT_OTLP_LINES=FILE`.
"""

import contextlib
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

from k8s_audit_otlp.cli.exit_codes import OK
from tests.faults.compare import unbalanced
from tests.faults.processes import MAX_RSS_KB, MAX_TERM_S, Agent, run_once
from tests.kit.backends.backend import Backend
from tests.kit.backends.servers import RawServer
from tests.kit.log.events import EventSource
from tests.kit.log.spools import until
from tests.kit.mutations import AnyGrpcAnswer, mutated_answer, mutated_line

LINES = os.environ.get("K8S_AUDIT_OTLP_LINES")
OFTEN = [20, pytest.param(1_000, marks=[pytest.mark.long, pytest.mark.timeout(3600)])]
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
SOON = {"retry_on_failure": {"initial_interval": "1ms", "max_interval": "5ms"}}
BATCH = {"sizer": "items", "min_size": 1, "max_size": 1}
ONE_BY_ONE = {**SOON, "sending_queue": {"num_consumers": 1, "batch": BATCH}}


def lines_of(seed: int) -> Iterator[bytes]:
    """Yield lines to mutate, without end."""
    if LINES:
        return cycle(Path(LINES).read_bytes().splitlines())
    source = EventSource(seed)
    return (source.line() for _ in cycle("x"))


def configured(folder: Path, exporter: dict[str, Any]) -> Path:
    config = folder / "agent.yaml"
    tree = {
        "receivers": {"k8s_audit": {"include": [f"{folder}/log/audit.log"]}},
        "exporters": exporter,
        "service": {"state_dir": f"{folder}/state"},
    }
    config.write_text(yaml.safe_dump(tree))
    return config


def delivered(folder: Path, exporter: dict[str, Any]) -> None:
    """Run an agent until all is settled; its counts add up, and it is small and silent."""
    code, most_kb = run_once(configured(folder, exporter), folder / "said", "60s")
    said = (folder / "said").read_text()
    print(f"exit {code}, {most_kb / 1024:.0f} MiB")  # noqa: T201 - the figures, with -s
    assert code == OK, said
    assert "Traceback" not in said
    assert unbalanced(folder / "state") == []
    assert 0 < most_kb <= MAX_RSS_KB


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / "log").mkdir()
    return tmp_path / "log" / "audit.log"


@pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=pytest.mark.long)])
def test_no_mutated_line_ends_an_agent(tmp_path: Path, log: Path, count: int) -> None:
    """What stands between them arrives."""
    rng, lines, source = random.Random(5), lines_of(5), EventSource(6)  # noqa: S311 - a test's
    sound = set()
    with log.open("wb") as file:
        for number in range(count):
            file.write(mutated_line(next(lines), rng) + b"\n")
            if number % 20 == 0:
                audit_id, line = source.event()
                sound.add(audit_id)
                file.write(line + b"\n")
    with Backend() as backend:
        delivered(tmp_path, {"otlp_http": {"endpoint": backend.url}})
        assert sound <= set(backend.received.audit_ids)


def write_events(log: Path, count: int) -> None:
    source = EventSource(7)
    log.write_bytes(b"".join(source.line() + b"\n" for _ in range(count)))


@pytest.mark.parametrize("often", OFTEN)
def test_no_mutated_http_answer_ends_an_agent(tmp_path: Path, log: Path, often: int) -> None:
    """A good one after each: whatever the bad one says, all is decided in the end."""
    write_events(log, 2 * often)
    given = iter(range(2 * often))

    def play(connection: Any, _number: int) -> bool:
        number = next(given, 0)
        bad = mutated_answer(number // 2).replace(b"Retry-After", b"Retried")
        connection.sendall(bad if number % 2 else GOOD)
        return not number % 2

    with RawServer(play) as server:
        block = {"logs_endpoint": server.url, "timeout": "300ms", **ONE_BY_ONE}
        delivered(tmp_path, {"otlp_http": block})
    assert next(given, None) is None


@contextlib.contextmanager
def grpc_server(handler: AnyGrpcAnswer) -> Iterator[int]:
    with ThreadPoolExecutor(2) as threads:
        server = grpc.server(threads, handlers=[handler])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield port
        server.stop(None).wait()


@pytest.mark.parametrize("often", OFTEN)
def test_no_mutated_grpc_answer_ends_an_agent(tmp_path: Path, log: Path, often: int) -> None:
    """Codes, details and bodies by chance, and good ones between them."""
    write_events(log, 2 * often)
    handler = AnyGrpcAnswer(often, between=True)
    with grpc_server(handler) as port:
        block = {"endpoint": f"127.0.0.1:{port}", "tls": {"insecure": True}, "timeout": "2s"}
        delivered(tmp_path, {"otlp_grpc": {**block, **ONE_BY_ONE}})
    assert handler.answers == often


def removed(file: Path) -> None:
    if file.is_dir() and not file.is_symlink():
        shutil.rmtree(file)
    file.unlink(missing_ok=True)


def tampered(file: Path, rng: random.Random) -> None:
    """Put something else in the place of a file that is written to."""
    removed(file)
    acts: list[Callable[[], object]] = [
        *(file.mkdir, lambda: os.mkfifo(file), lambda: file.symlink_to(file)),
        *(lambda: file.symlink_to("/dev/full"), lambda: file.symlink_to("/proc/self/mem")),
        *(lambda: file.write_bytes(rng.randbytes(99)), file.touch, lambda: None),
    ]
    with contextlib.suppress(FileExistsError):  # the agent was quicker
        rng.choice(acts)()


@pytest.mark.parametrize("often", OFTEN)
def test_nothing_in_the_place_of_a_file_ends_an_agent(
    tmp_path: Path, log: Path, often: int
) -> None:
    """A directory, a pipe, a full device, a link in a circle: it goes on once there is a file."""
    rng, source = random.Random(9), EventSource(9)  # noqa: S311 - a test's
    out = tmp_path / "out.ndjson"
    exporter = {"otlp_file": {"path": str(out), **SOON}}
    with Agent(configured(tmp_path, exporter), tmp_path / "running") as agent:
        agent.start()
        write_events(log, 1)
        until(lambda: out.exists() and out.stat().st_size)  # a start refuses a directory
        for _ in range(often):
            tampered(out, rng)
            with log.open("ab") as file:
                file.write(source.line() + b"\n")
            time.sleep(0.05)  # for an attempt at it
        assert agent.ended is None
        assert agent.peak_kb() <= MAX_RSS_KB
        assert agent.end(signal.SIGTERM) < MAX_TERM_S
    removed(out)
    delivered(tmp_path, exporter)
    assert b"Traceback" not in (tmp_path / "running").read_bytes()
