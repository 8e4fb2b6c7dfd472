"""`run --once` says what became of the records, and its exit code is true."""

import gzip
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.kit.backends.backend import Backend
from tests.kit.backends.steps import PartialSuccess, Poison
from tests.unit.cli.run_command import log, run

__all__ = ["log"]


def once(log: Path, state: Path, url: str, *more: str) -> subprocess.CompletedProcess[str]:
    return run(
        "--path", str(log), "--state-dir", str(state), "--once", "--deadline", "20s", *more,
        OTEL_EXPORTER_OTLP_ENDPOINT=url,
    )  # fmt: skip


def uid_of(line: bytes) -> bytes:
    """Return what of an event is in no other one."""
    return str(json.loads(line)["auditID"]).encode()


def test_once_says_what_became_of_the_records(backend: Backend, log: Path, tmp_path: Path) -> None:
    """One line for each exporter; the second run has nothing to do, and says that."""
    done = once(log, tmp_path / "state", backend.url)
    what = "otlp_http: delivered {}, dropped by policy 0, dead-lettered 0, refused 0, left 0 B\n"
    assert what.format(30) in done.stderr
    assert done.returncode == 0
    assert what.format(0) in once(log, tmp_path / "state", backend.url).stderr


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (Poison, "otlp_http: 1 record in the dead letter; see k8s-audit-otlp dead-letter list"),
        (PartialSuccess, "otlp_http: 1 record refused in part of a request; see "),
    ],
)
def test_a_script_learns_by_fail_that_a_record_was_refused(
    backend: Backend, log: Path, tmp_path: Path, step: Any, says: str
) -> None:
    """Without it that is a success with a count; a second run has nothing to do with it."""
    needle = uid_of(log.read_bytes().splitlines()[4])
    backend.plan = [step(needle=needle)] * 1000
    for fail, code in (("--fail",), 4), ((), 0):
        done = once(log, tmp_path / f"state{code}", backend.url, *fail)
        assert done.returncode == code, done.stderr
        assert "otlp_http: delivered 29, dropped by policy 0" in done.stderr
        assert (f"undelivered: {says}" in done.stderr) == bool(code)
    assert once(log, tmp_path / "state4", backend.url, "--fail").returncode == 0


def test_a_script_learns_by_fail_of_a_gap(backend: Backend, log: Path, tmp_path: Path) -> None:
    first, *others = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(first + bytes(5000) + b"".join(others))
    for fail, code in (("--fail",), 4), ((), 0):
        done = once(log, tmp_path / f"state{code}", backend.url, *fail)
        assert done.returncode == code, done.stderr
        assert "left 0 B; 1 gap in the log" in done.stderr
        assert ("undelivered: otlp_http: 1 gap in the log; the notices" in done.stderr) == bool(
            code
        )


def test_once_says_that_the_dead_letter_is_full(
    backend: Backend, log: Path, tmp_path: Path
) -> None:
    """Else it ends with what is left, and nobody knows why."""
    config = tmp_path / "agent.yaml"
    config.write_text(f"""
receivers: {{k8s_audit: {{include: [{log}]}}}}
exporters: {{otlp_http: {{endpoint: "{backend.url}", audit: {{dead_letter: {{max_bytes: 1KB}}}}}}}}
service: {{state_dir: {tmp_path / "state"}}}
""")
    backend.plan = [Poison(needle=uid_of(log.read_bytes().splitlines()[4]))] * 1000
    done = run("--config", str(config), "--once", "--deadline", "3s")
    assert done.returncode == 4
    assert "otlp_http: nothing is sent: the dead letter takes nothing: " in done.stderr
    assert "full at 1000 bytes; make room, or purge or replay it" in done.stderr


def test_fail_without_once_is_refused(log: Path, tmp_path: Path) -> None:
    done = run("--path", str(log), "--state-dir", str(tmp_path / "state"), "--fail")
    assert done.returncode == 2
    assert "--fail is for --once; for a running agent there is status --fail" in done.stderr


def test_once_counts_what_is_delivered_while_it_starts(
    backend: Backend, log: Path, tmp_path: Path
) -> None:
    """Requests are on their way before the listener is up; theirs is the work of this run too."""
    config = tmp_path / "agent.yaml"
    config.write_text(f"""
receivers: {{k8s_audit: {{include: [{log}]}}}}
exporters: {{otlp_http: {{endpoint: "{backend.url}"}}}}
service: {{state_dir: {tmp_path / "state"}, telemetry: {{metrics: {{address: "127.0.0.1:0"}}}}}}
""")
    done = run("--config", str(config), "--once")
    assert "otlp_http: delivered 30, dropped by policy 0, " in done.stderr


def test_once_without_a_log_is_no_success(backend: Backend, tmp_path: Path) -> None:
    """Whoever mistypes the path must see it."""
    done = once(tmp_path / "audit.log", tmp_path / "state", backend.url)
    assert done.returncode == 4
    assert f"undelivered: {tmp_path}/audit.log: there is no log of that name" in done.stderr
    assert not backend.received.uids, "it ended at once"


def test_once_of_a_log_without_an_event_says_so(backend: Backend, tmp_path: Path) -> None:
    """The messages of a Kubernetes program are left out: no event will come behind them."""
    log = tmp_path / "kube-apiserver.log"
    log.write_text("I1127 00:00:00.000000       1 controller.go:616] added\n" * 5)
    done = once(log, tmp_path / "state", backend.url)
    assert "it seems to be the messages of a Kubernetes program (klog); none of its" in done.stderr
    assert "no audit events 5" in done.stderr


def test_once_of_a_source_that_has_taken_nothing_says_so(backend: Backend, tmp_path: Path) -> None:
    config = tmp_path / "agent.yaml"
    config.write_text(
        "receivers: {k8s_audit_webhook: {endpoint: 127.0.0.1:9443}}\n"
        f"exporters: {{otlp_http: {{endpoint: '{backend.url}'}}}}\n"
        f"service: {{state_dir: {tmp_path / 'state'}}}\n"
    )
    done = run("--config", str(config), "--once")
    assert done.returncode == 4, done.stderr
    assert "k8s_audit_webhook: takes nothing new with --once" in done.stderr
    assert "is not there yet" in done.stderr
    assert "No such file" not in done.stderr


def test_once_leaves_a_line_without_its_end_and_says_so(
    backend: Backend, log: Path, tmp_path: Path
) -> None:
    """A copy of a log may have lost its last newline; what is whole is delivered."""
    log.write_bytes(log.read_bytes().removesuffix(b"\n"))
    done = once(log, tmp_path / "state", backend.url)
    assert done.returncode == 4
    assert "its last line has no end" in done.stderr
    assert len(backend.received.uids) == 29


def test_once_leaves_nuls_at_the_end_and_says_that_they_are_such(
    backend: Backend, log: Path, tmp_path: Path
) -> None:
    with log.open("ab") as file:
        file.write(bytes(5000))
    done = once(log, tmp_path / "state", backend.url)
    assert done.returncode == 4
    assert "audit.log: it ends in 5,000 NUL bytes" in done.stderr
    assert len(backend.received.uids) == 30


def test_once_of_a_log_that_begins_as_its_backup_is_a_success(
    backend: Backend, log: Path, tmp_path: Path
) -> None:
    """Somebody has put a copy in its place: every event of it is delivered."""
    whole = log.read_bytes()
    log.rename(log.with_name("audit-2026-01-02T03-04-05.000.log"))
    log.write_bytes(b"".join(whole.splitlines(keepends=True)[:10]))
    done = once(log, tmp_path / "state", backend.url)
    assert done.returncode == 0, done.stderr
    assert len(backend.received.uids) == 30


def test_once_of_a_log_that_cannot_be_read_is_no_success(
    backend: Backend, log: Path, tmp_path: Path
) -> None:
    """A symbolic loop stands for what root cannot read either."""
    log.unlink()
    log.symlink_to(log)
    done = once(log, tmp_path / "state", backend.url)
    assert done.returncode == 4
    assert "undelivered: " in done.stderr


def test_a_file_that_is_no_audit_log_is_said_once(backend: Backend, tmp_path: Path) -> None:
    """With what it seems to be: every line would be paid for."""
    wrong = tmp_path / "messages"
    wrong.write_bytes(b"type=SYSCALL msg=audit(1710312345.000:0): arch=c000003e\n" * 50)
    done = once(wrong, tmp_path / "state", backend.url)
    assert done.stderr.count("seems to be the log of auditd") == 1


def test_once_reads_a_packed_log_whatever_its_name(
    backend: Backend, log: Path, tmp_path: Path
) -> None:
    """As a copy is called that was taken from an archive; nobody warns of what is no fault."""
    log.write_bytes(gzip.compress(log.read_bytes()))
    done = once(log, tmp_path / "state", backend.url)
    assert "delivered 30, dropped by policy 0" in done.stderr
    assert done.returncode == 0
    assert "seems to be" not in done.stderr


_TIME = "2026-01-02T03:04:05.678901234Z"


def cri(text: str, tag: str, stream: str = "stdout") -> str:
    return f"{_TIME} {stream} {tag} {text}\n"


def docker(text: str, tag: str, stream: str = "stdout") -> str:
    log = text + "\n" * (tag == "F")
    return json.dumps({"log": log, "stream": stream, "time": _TIME}) + "\n"


@pytest.mark.parametrize("framed", [cri, docker])
def test_once_leaves_an_event_that_has_only_begun_and_says_so(
    backend: Backend, log: Path, tmp_path: Path, framed: Any
) -> None:
    """A runtime parts long lines; a message of the program that has no end is no event."""
    *whole, last = log.read_text().splitlines()
    message = framed("I0102 03:04:05.000000 1 a.go:1] a", "P", "stderr")
    log.write_text("".join(framed(event, "F") for event in whole) + message)
    state = tmp_path / "state"
    assert once(log, state, backend.url).returncode == 0
    with log.open("a") as file:
        file.write(framed(last[:200], "P"))
    done = once(log, state, backend.url)
    assert done.returncode == 4
    assert f"undelivered: {log}: it ends within an event: 200 bytes of it stay" in done.stderr
    with log.open("a") as file:
        file.write(framed(last[200:], "F"))
    assert once(log, state, backend.url).returncode == 0
    assert len(backend.received.uids) == 30
