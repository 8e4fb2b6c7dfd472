"""All checks together on a node that is made of real files."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.apiserver import profiles
from k8s_audit_otlp.apiserver.manifest import patch
from k8s_audit_otlp.config.load import load_text
from k8s_audit_otlp.state.lock import StateLock
from k8s_audit_otlp.telemetry.status_file import Reporter
from k8s_audit_otlp.telemetry.views import ExporterView, HealthView
from k8s_audit_otlp.tools.doctor import (
    apiserver_checks,
    collector_checks,
    exporter_checks,
    host_checks,
    log_checks,
    policy_checks,
    webhook_checks,
)
from k8s_audit_otlp.tools.doctor.examine import Question, examine
from k8s_audit_otlp.tools.doctor.findings import Finding, State
from tests.kit.backends.backend import Backend

MANIFESTS = Path(__file__).parents[2] / "apiserver" / "manifests"
SECRET = "tkn-0123456789abcdef"  # noqa: S105 - made up
GROUPS = (
    apiserver_checks,
    collector_checks,
    exporter_checks,
    host_checks,
    log_checks,
    policy_checks,
    webhook_checks,
)


@pytest.fixture
def node(
    tmp_path: Path, log_dir: Path, events: Callable[..., Any], backend: Backend
) -> Callable[..., Any]:
    """Set a node up as the product does: manifest, policy, log, state, back end."""
    (log_dir / "audit.log").write_text(events(300, apart=2))
    policy = tmp_path / "audit-policy.yml"
    policy.write_text(profiles.text_of("recipe"))
    asked = {"audit-log-path": str(log_dir / "audit.log"), "audit-policy-file": str(policy)}
    manifest = tmp_path / "kube-apiserver.yaml"
    manifest.write_text(patch((MANIFESTS / "kubeadm-1.30.yaml").read_text(), asked, "").text)
    text = f"""
receivers: {{k8s_audit: {{include: ["{log_dir}/audit.log"], min_free_disk: 1MiB}}}}
exporters:
  otlp_http: {{endpoint: "{backend.url}", headers: {{x-key: "{SECRET}"}}}}
service: {{state_dir: "{tmp_path}/state"}}
"""
    (tmp_path / "state").mkdir(mode=0o700)
    root = tmp_path / "host"  # of what runs on the real one nothing may be seen
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/mountinfo").touch()

    def ask(**changes: Any) -> Any:
        config = load_text(text, "test", {}).config
        question = {"config": config, "manifest": manifest, "wait_s": 0.0, "root": root, **changes}
        return list(examine(Question(**question)))

    return ask


def of(findings: list[Finding], check: str) -> Finding:
    (found,) = (finding for finding in findings if finding.check == check)
    return found


def test_of_the_events_of_a_log_that_cannot_be_read_nothing_is_said(
    node: Callable[..., Any], log_dir: Path
) -> None:
    """Not that it has no line yet."""
    (log_dir / "audit.log").unlink()
    asked = {finding.check for finding in node()}
    assert "log.there" in asked
    assert not asked & log_checks.OF_EVENTS.keys()


def test_a_node_as_it_should_be_has_no_fault(node: Callable[..., Any]) -> None:
    """What is not known is skipped, and says how it could be."""
    findings = node(send=True, collector=None)
    assert [f for f in findings if f.state in {State.FAIL, State.WARN}] == []
    assert all(f.hint or f.state is State.OK for f in findings if f.check != "log.silence")


def test_every_check_is_asked_exactly_once_a_subject(node: Callable[..., Any]) -> None:
    """With a Collector's configuration none is left out that applies."""
    asked = [(f.check, f.subject) for f in node(collector="{}")]
    assert len(asked) == len(set(asked))
    tables = [*(group.CHECKS for group in GROUPS)]
    tables += [apiserver_checks.OF_A_LOG, log_checks.OF_EVENTS]
    every = {name for table in tables for name in table}
    # it has no topic, no running agent, no webhook
    of_others = {"exporter.topic", "exporter.agent", *webhook_checks.CHECKS}
    assert {name for name, _ in asked} == every - of_others


def test_a_running_agent_says_how_its_exporters_are(
    node: Callable[..., Any], tmp_path: Path
) -> None:
    """What it wrote before it ended is not repeated."""
    told = ExporterView("otlp_http", trouble="misconfigured", trouble_at=9, error="HTTP 401: no")
    lock = StateLock(tmp_path / "state")
    lock.acquire()
    for view, state, why in (
        (told, State.FAIL, "HTTP 401: no"),
        (ExporterView("otlp_http", unanswered_s=9.0), State.WARN, "no answer for 9 s"),
    ):
        health = HealthView([], [view])
        report = Reporter(tmp_path / "state", lambda: health, lambda _: ("", ""))  # noqa: B023
        report.write()
        found = of(node(), "exporter.agent")
        assert found.state is state
        assert why in found.why
    lock.release()
    assert not [one for one in node() if one.check == "exporter.agent"]


def test_no_secret_is_ever_shown(node: Callable[..., Any], backend: Backend) -> None:
    """Whatever fails."""
    backend.stop()
    assert SECRET not in repr(node(send=True))


def test_without_a_configuration_the_manifest_says_where_the_log_is(
    node: Callable[..., Any], log_dir: Path
) -> None:
    """So that the command alone is of use on a node."""
    findings = node(config=None)
    assert of(findings, "log.there").subject == str(log_dir / "audit.log")
    assert of(findings, "apiserver.log-path").state is State.OK
    assert of(findings, "exporter.config").state is State.SKIPPED


def test_a_policy_newer_than_the_process_is_found(node: Callable[..., Any], tmp_path: Path) -> None:
    """By the times of the file and of the process, here one under another root."""
    root = tmp_path / "other"
    (root / "proc/77").mkdir(parents=True)
    (root / "proc/77/cmdline").write_bytes(b"/usr/bin/kube-apiserver\0--v=2\0")
    boot = int(time.time()) - 10_000
    (root / "proc/stat").write_text(f"cpu 0\nbtime {boot}\n")
    fields = " ".join(["S", *["0"] * 18, "500000", "0"])  # 5,000 s after the start of the host
    (root / "proc/77/stat").write_text(f"77 (kube apiserver)) {fields}\n")
    assert of(node(root=root), "policy.loaded").state is State.WARN
    os.utime(tmp_path / "audit-policy.yml", (0, boot + 100))
    assert of(node(root=root), "policy.loaded").state is State.OK


@pytest.mark.parametrize(
    ("given", "state"),
    [
        ({"manifest": Path("none.yaml")}, State.FAIL),
        ({"kubeadm": "kind: ClusterConfiguration"}, State.FAIL),
        ({"apiserver_metrics": "apiserver_audit_error_total 1"}, State.FAIL),
        ({}, State.SKIPPED),
    ],
    ids=["manifest", "kubeadm", "metrics", "nothing"],
)
def test_a_manifest_that_is_missing_fails_only_if_something_of_it_was_asked(
    tmp_path: Path, given: dict[str, Any], state: State
) -> None:
    """In a pod the usual place is usually empty; but what is asked is not passed over."""
    if "manifest" not in given and Question().manifest.exists():
        pytest.skip("this is a control-plane node")
    question = Question(log=tmp_path / "audit.log", wait_s=0, root=tmp_path, **given)
    assert of(list(examine(question)), "apiserver.manifest").state is state


def test_old_events_are_compared_with_the_window_before_a_first_start(
    node: Callable[..., Any], log_dir: Path, events: Callable[..., Any]
) -> None:
    """What lies on disk is what a first start would send."""
    text = (
        f"receivers: {{k8s_audit: {{include: ['{log_dir}/audit.log']}}}}\n"
        "exporters: {otlp_http: {endpoint: 'http://127.0.0.1:9', audit: {START"
        " limits: {max_age: 1h}}}}\n"
        f"service: {{state_dir: '{log_dir}/none'}}\n"
    )
    (log_dir / "audit.log").write_text(events(100, apart=100))
    for start, state in (("", State.FAIL), ("start_at: 10m,", State.OK)):
        config = load_text(text.replace("START", start), "test", {}).config
        assert of(node(config=config), "exporter.age").state is state


def test_a_check_that_stumbles_is_one_finding(node: Callable[..., Any]) -> None:
    """The others still help."""
    findings = node(collector="service: {pipelines: {logs: {receivers: 5}}}\n")
    assert of(findings, "collector.pipeline").state is State.FAIL
    assert of(findings, "log.there").state is State.OK


def test_without_a_manifest_the_process_that_writes_the_log_is_asked(
    tmp_path: Path, log_dir: Path, events: Callable[..., Any]
) -> None:
    """Its flags are known, its mounts are not; another's log does not matter."""
    (log_dir / "audit.log").write_text(events())
    folder = tmp_path / "host/proc/77"
    folder.mkdir(parents=True)
    command = f"kube-apiserver\0--audit-log-path={log_dir}/audit.log\0--audit-log-mode=batch\0"
    (folder / "cmdline").write_text(command)
    (folder / "stat").write_text(f"77 (kube-apiserver) {' '.join(['S', *['0'] * 20])}\n")
    asked: dict[str, Any] = {
        "manifest": tmp_path / "none.yaml",
        "root": tmp_path / "host",
        "wait_s": 0.0,
    }
    findings = list(examine(Question(log=log_dir / "audit.log", **asked)))
    assert of(findings, "apiserver.mode").subject == "kube-apiserver, process 77"
    assert of(findings, "apiserver.mode").state is State.FAIL
    assert "apiserver.log-mount" not in {finding.check for finding in findings}
    assert not any("webhook" in finding.check for finding in findings), "it posts to none"
    others = examine(Question(log=tmp_path / "other.log", **asked))
    assert "apiserver.mode" not in {finding.check for finding in others}
