"""Every check of a log, on real files: once where it should complain, once where it should not."""

import gzip
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.config.receivers import K8sAudit
from k8s_audit_otlp.tools.doctor.findings import State
from k8s_audit_otlp.tools.doctor.log_checks import CHECKS, OF_EVENTS
from k8s_audit_otlp.tools.doctor.log_facts import look_at_log
from tests.kit.present import present

TABLE = {**CHECKS, **OF_EVENTS}


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """Lay out the parts of a host that the checks look at."""
    root = tmp_path / "host"
    for name in ("var", "etc/logrotate.d", "proc/self", "sys/fs/selinux"):
        (root / name).mkdir(parents=True)
    (root / "proc/self/mountinfo").write_text("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n")
    return root


@pytest.fixture
def say(node: Path) -> Callable[..., Any]:
    """Let one check speak about the log."""

    def ask(name: str, *, path: Path | None = None, receiver: Any = None, wait_s: Any = 0.0) -> Any:
        path = path or node / "var" / "audit.log"
        return TABLE[name](look_at_log(path, node, receiver, wait_s=wait_s))

    return ask


@pytest.fixture
def log(node: Path, events: Callable[..., Any]) -> Path:
    path = node / "var" / "audit.log"
    path.write_text(events())
    return path


def test_a_log_that_is_there_is_ok(say: Callable[..., Any], log: Path) -> None:
    """With its size and how many backups it has; it can be read."""
    assert say("log.readable").state is State.OK
    with gzip.open(log.with_name("audit-2026-01-02T03-04-05.678.log.gz"), "wb") as backup:
        backup.write(b"x\n")
    verdict = say("log.there")
    assert verdict.state is State.OK
    assert "1 rotated" in verdict.why


def test_a_log_that_is_missing_fails(say: Callable[..., Any]) -> None:
    """And the hint says how auditing is switched on."""
    verdict = say("log.there")
    assert verdict.state is State.FAIL
    assert "apiserver patch" in verdict.hint


def test_a_directory_in_place_of_the_log_fails(say: Callable[..., Any], node: Path) -> None:
    """The file in it is what should be named."""
    verdict = say("log.there", path=node / "var")
    assert verdict.state is State.FAIL
    assert "audit.log" in verdict.hint


def test_a_log_of_another_user_fails(
    say: Callable[..., Any], log: Path, as_nobody: Callable[..., Any]
) -> None:
    """kube-apiserver writes 0600; the owner is named."""
    log.chmod(0o600 if os.geteuid() == 0 else 0)
    with as_nobody():
        verdict = say("log.readable")
    assert verdict.state is State.FAIL
    assert f"user {log.stat().st_uid}" in verdict.why


def test_of_a_log_that_cannot_be_read_nothing_is_said(say: Callable[..., Any], node: Path) -> None:
    """Not that all its backups are known."""
    assert say("log.names").state is State.SKIPPED
    (node / "var" / "audit.log.old").write_text("x")
    assert say("log.names").state is State.WARN


def test_a_log_that_grows_meanwhile_is_ok(
    node: Path, log: Path, events: Callable[..., Any]
) -> None:
    """It is watched for a moment."""

    def sleep(_: Any) -> None:
        with log.open("a") as file:
            file.write(events(1))

    os.utime(log, (0, time.time() - 7200))
    facts = look_at_log(log, node, None, wait_s=1.0, sleep=sleep)
    verdict = present(TABLE["log.growing"](facts))
    assert verdict.state is State.OK
    assert "B more within" in verdict.why


def test_a_log_that_was_not_written_for_hours_is_warned_of(
    say: Callable[..., Any], log: Path
) -> None:
    """Perhaps it is not the file that the apiserver writes."""
    os.utime(log, (0, time.time() - 7200))
    verdict = say("log.growing")
    assert verdict.state is State.WARN
    assert "2 h" in verdict.why


LEGACY = (
    '2026-01-02T03:04:05.000000000Z AUDIT: id="a" stage="ResponseComplete" ip="1.2.3.4" '
    'method="get" user="u" groups="g" as="<self>" asgroups="<lookup>" user-agent="k" '
    'namespace="n" uri="/api" response="200"\n'
)
KLOG = "I0102 03:04:05.000000       1 server.go:1] hello\n"


CRI = '2026-01-02T03:04:05.000000000Z stdout F {"kind":"Event","auditID":"a"}\n'
OF_A_CONTAINER = f"2026-01-02T03:04:05.000000000Z stderr F {KLOG}"


@pytest.mark.parametrize(
    ("line", "state"),
    [(LEGACY, State.WARN), (KLOG, State.WARN), (CRI, State.OK), (OF_A_CONTAINER, State.WARN)],
)
def test_another_format_is_told(
    say: Callable[..., Any], log: Path, line: str, state: State
) -> None:
    """The legacy format lacks bodies; among messages of the apiserver events may follow."""
    assert say("log.format").state is State.OK
    log.write_text(line)
    assert say("log.format").state is state
    if line == KLOG:
        assert "klog" in say("log.format").why


def test_lumberjack_alone_is_ok(say: Callable[..., Any], log: Path) -> None:
    """Its backups have times in their names."""
    log.with_name("audit-2026-01-02T03-04-05.678.log").write_text("x\n")
    assert say("log.rotation").state is State.OK


def test_a_logrotate_configuration_that_names_the_log_fails(
    say: Callable[..., Any], log: Path, node: Path
) -> None:
    """Also by a pattern; the file is named."""
    (node / "etc/logrotate.d/kube").write_text(f"{log.parent}/*.log {{\n  daily\n}}\n")
    verdict = say("log.rotation")
    assert verdict.state is State.FAIL
    assert "/etc/logrotate.d/kube" in verdict.why


def test_marks_of_two_tools_fail(say: Callable[..., Any], log: Path) -> None:
    """A backup with a number beside one with a time."""
    log.with_name("audit-2026-01-02T03-04-05.678.log").write_text("x\n")
    log.with_name("audit.log.1").write_text("y\n")
    assert say("log.rotation").state is State.FAIL


def test_backups_of_logrotate_alone_are_warned_of(say: Callable[..., Any], log: Path) -> None:
    """It may be meant, and copytruncate loses events."""
    log.with_name("audit.log.1").write_text("y\n")
    assert say("log.rotation").state is State.WARN


def test_a_mounted_directory_is_ok(say: Callable[..., Any], log: Path, node: Path) -> None:
    """As the chart does it."""
    (node / "proc/self/mountinfo").write_text(f"30 22 8:1 /x {log.parent} ro - ext4 /dev/sda1 rw\n")
    assert say("log.mount").state is State.OK


def test_a_single_file_mount_fails(say: Callable[..., Any], log: Path, node: Path) -> None:
    """After a rotation it shows the old file for ever."""
    (node / "proc/self/mountinfo").write_text(f"30 22 8:1 /x {log} ro - ext4 /dev/sda1 rw\n")
    verdict = say("log.mount")
    assert verdict.state is State.FAIL
    assert str(log.parent) in verdict.hint


@pytest.mark.usefixtures("log")
def test_events_of_now_are_ok(say: Callable[..., Any]) -> None:
    """Clocks agree."""
    assert say("log.clock").state is State.OK


def test_events_from_the_future_fail(
    say: Callable[..., Any], log: Path, events: Callable[..., Any]
) -> None:
    """A clock is wrong, here or there."""
    log.write_text(events(until=time.time() + 120))
    verdict = say("log.clock")
    assert verdict.state is State.FAIL
    assert "in the future" in verdict.why


def test_a_silence_is_proposed_from_the_pauses(
    say: Callable[..., Any], log: Path, events: Callable[..., Any]
) -> None:
    """Three times the longest, in whole minutes."""
    log.write_text(events(200, apart=50))
    verdict = say("log.silence")
    assert verdict.state is State.OK
    assert "silence_after: 3m" in verdict.why


def test_large_events_are_enough_to_know_the_pauses(
    say: Callable[..., Any], log: Path, events: Callable[..., Any]
) -> None:
    """A few megabytes hold some dozens of them."""
    log.write_text(events(150).replace('"requestURI"', f'"x":"{"x" * 100_000}","requestURI"'))
    assert say("log.silence").state is State.OK
    log.write_text(events(70))
    assert "its newest 70 events are too few" in say("log.silence").why


def test_a_silence_that_is_usual_is_warned_of(
    say: Callable[..., Any], log: Path, events: Callable[..., Any]
) -> None:
    """It would cry wolf every minute."""
    log.write_text(events(200, apart=50))
    receiver = K8sAudit.model_validate({"include": [str(log)], "silence_after": "30s"})
    verdict = say("log.silence", receiver=receiver)
    assert verdict.state is State.WARN
    assert verdict.hint == "write 3m"


@pytest.mark.usefixtures("log")
def test_selinux_that_does_not_enforce_is_ok(say: Callable[..., Any], node: Path) -> None:
    """Permissive, or not there at all."""
    assert say("host.selinux").state is State.OK
    (node / "sys/fs/selinux/enforce").write_text("0")
    assert say("host.selinux").state is State.OK
    (node / "sys/fs/selinux/enforce").write_text("1")
    assert say("host.selinux").state is State.OK


def test_a_denied_log_under_selinux_fails(
    say: Callable[..., Any], log: Path, node: Path, as_nobody: Callable[..., Any]
) -> None:
    """The label of the container is the first suspect."""
    (node / "sys/fs/selinux/enforce").write_text("1")
    log.chmod(0o600 if os.geteuid() == 0 else 0)
    with as_nobody():
        verdict = say("host.selinux")
    assert verdict.state is State.FAIL
    assert "spc_t" in verdict.hint


def test_the_rate_is_that_of_the_live_file(
    node: Path, log: Path, events: Callable[..., Any]
) -> None:
    """From its first event to its last."""
    text = events(201, apart=1.0)
    log.write_text(text)
    facts = look_at_log(log, node, None, wait_s=0)
    assert facts.rate == pytest.approx(len(text) / 200, rel=0.01)


def test_the_rate_of_a_log_that_was_just_rotated_is_that_of_its_last_backup(
    node: Path, log: Path, events: Callable[..., Any]
) -> None:
    """From the times in the names: a file of seconds says nothing about a day."""
    log.write_text(events(3))
    for second, size in ((0, 10), (50, 5000)):
        log.with_name(f"audit-2026-01-02T03-04-{second:02}.000.log").write_text("x" * size)
    assert look_at_log(log, node, None, wait_s=0).rate == pytest.approx(100)


def test_a_backup_of_an_unknown_name_is_named(say: Callable[..., Any], log: Path) -> None:
    """It would be passed over; what is read is not named."""
    assert say("log.names").state is State.OK
    log.with_name("audit.log.old").write_text("x")
    log.with_name("audit.log.1").write_text("x")
    verdict = say("log.names")
    assert verdict.state is State.WARN
    assert "audit.log.old:" in verdict.why


def test_the_log_of_another_program_is_named(say: Callable[..., Any], log: Path) -> None:
    """On many hosts /var/log/audit/audit.log is auditd's."""
    log.write_text("type=SYSCALL msg=audit(1710312345.000:0): arch=c000003e\n")
    verdict = say("log.format")
    assert verdict.state is State.FAIL
    assert "auditd" in verdict.why
