"""Every check of kube-apiserver: on a manifest as it should be, and with one thing wrong."""

import dataclasses
import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.apiserver.kubeadm import fragment
from k8s_audit_otlp.apiserver.manifest import patch
from k8s_audit_otlp.apiserver.observed import observe
from k8s_audit_otlp.apiserver.settings import DEFAULTS, RefusalError
from k8s_audit_otlp.tools.doctor.apiserver_checks import CHECKS, OF_A_LOG
from k8s_audit_otlp.tools.doctor.apiserver_facts import ApiserverFacts, processes
from k8s_audit_otlp.tools.doctor.findings import CheckResult, State
from tests.kit.present import present

TABLE = {**CHECKS, **OF_A_LOG}
MANIFESTS = Path(__file__).parents[2] / "apiserver" / "manifests"
MIB = 1 << 20
METRICS = 'apiserver_audit_event_total 81920\napiserver_audit_error_total{plugin="log"} 0\n'


def judge(name: str, facts: ApiserverFacts) -> CheckResult:
    return present(TABLE[name](facts))


@pytest.fixture(scope="module")
def good() -> ApiserverFacts:
    """Patch kubeadm's manifest, and give every check what it asks for."""
    text = patch((MANIFESTS / "kubeadm-1.30.yaml").read_text(), {}, "kube-apiserver.yaml").text
    return ApiserverFacts(
        observe(text),
        Path("/"),
        log_paths=[DEFAULTS["audit-log-path"]],
        rate=10_000.0,
        free_bytes=50_000 * MIB,
        kubeadm=fragment(DEFAULTS, "v1beta3"),
        metrics=METRICS,
    )


def with_flags(facts: ApiserverFacts, **changes: Any) -> ApiserverFacts:
    """Set flags, or take away those that are None."""
    flags = {**facts.apiserver.flags, **{k.replace("_", "-"): v for k, v in changes.items()}}
    flags = {k: v for k, v in flags.items() if v is not None}
    return dataclasses.replace(facts, apiserver=dataclasses.replace(facts.apiserver, flags=flags))


def with_mounts(facts: ApiserverFacts, mounts: dict[str, bool]) -> ApiserverFacts:
    apiserver = dataclasses.replace(facts.apiserver, mount_points=mounts)
    return dataclasses.replace(facts, apiserver=apiserver)


def test_events_that_nobody_writes_are_not_called_whole(good: ApiserverFacts) -> None:
    """Without the flags of a log or a webhook there are none."""
    bare = with_flags(good, audit_log_path=None)
    assert judge("apiserver.truncation", bare).state is State.SKIPPED


LOG = DEFAULTS["audit-log-path"]
CLUSTER = "kind: ClusterConfiguration\n"

# check -> (what is wrong, what is then said)
BAD = {
    "apiserver.flags": [
        (lambda f: with_flags(f, audit_log_path=None), "--audit-log-path not set"),
        (lambda f: with_flags(f, audit_policy_file=None), "--audit-policy-file not set"),
        (lambda f: with_flags(f, audit_log_path="-"), "standard output"),
        (lambda f: with_flags(f, audit_log_format="legacy"), "legacy"),
    ],
    "apiserver.log-path": [
        (lambda f: dataclasses.replace(f, log_paths=["/x/a.log"]), LOG),
        (lambda f: with_flags(f, audit_log_path="/dev/stdout"), "a stream and no file"),
    ],
    "apiserver.log-mount": [
        (lambda f: with_mounts(f, {LOG: True}), "single file"),
        (lambda f: with_mounts(f, {"/etc/ssl/certs": True}), "in its container"),
        (lambda f: with_mounts(f, {"/var/log/kubernetes": False}), "read-only"),
    ],
    "apiserver.truncation": [
        (lambda f: with_flags(f, audit_log_truncate_enabled="true"), "lose their bodies")
    ],
    "apiserver.compress": [(lambda f: with_flags(f, audit_log_compress="true"), "compressed")],
    "apiserver.mode": [
        (lambda f: with_flags(f, audit_log_mode="batch"), "drops events"),
        (lambda f: with_flags(f, audit_log_mode="blocking-strict"), "refuses requests"),
    ],
    "apiserver.retention": [
        (lambda f: dataclasses.replace(f, rate=1.0 * MIB), "about 17 min"),
        (lambda f: dataclasses.replace(f, rate=0.1 * MIB), "about 3 h"),
        (lambda f: with_flags(f, audit_log_maxbackup="0", audit_log_maxage="0"), "never deleted"),
        (lambda f: dataclasses.replace(f, free_bytes=500 * MIB), "500.0 MiB are free"),
    ],
    "apiserver.kubeadm": [
        (lambda f: dataclasses.replace(f, kubeadm=CLUSTER), "erases --audit-log-format"),
        (lambda f: dataclasses.replace(f, kubeadm="kind: Other\n"), "no ClusterConfiguration"),
    ],
    "apiserver.dropped": [
        (lambda f: dataclasses.replace(f, metrics=METRICS.replace("} 0", "} 6282")), "6,282"),
        (
            lambda f: dataclasses.replace(
                f,
                metrics="E0102 03:04:05.6 1 metrics.go:110] Error in audit plugin 'log' affecting "
                "3 audit events: write: no space left on device\n",
            ),
            "3 events",
        ),
    ],
}


@pytest.mark.parametrize("name", TABLE)
def test_a_patched_manifest_passes(good: ApiserverFacts, name: str) -> None:
    """What the product sets up is what the doctor asks for."""
    assert judge(name, good).state is State.OK


@pytest.mark.parametrize(
    ("name", "spoil", "said"), [(name, *case) for name, of in BAD.items() for case in of]
)
def test_one_thing_wrong_is_found(
    good: ApiserverFacts, name: str, spoil: Callable[..., Any], said: str
) -> None:
    """By its own check, with the reason and a hint."""
    verdict = judge(name, spoil(good))
    assert verdict.state in {State.FAIL, State.WARN}
    assert said in verdict.why
    assert verdict.hint


def test_every_check_has_a_bad_case() -> None:
    """No check without a test in which it fails."""
    assert BAD.keys() == TABLE.keys()


@pytest.mark.parametrize("rate", [None, 0.0])
def test_a_rate_that_is_not_known_is_not_guessed(good: ApiserverFacts, rate: float | None) -> None:
    """A log of a minute says nothing about a week."""
    facts = with_flags(dataclasses.replace(good, rate=rate), audit_log_maxage="0")
    assert judge("apiserver.retention", facts).state is State.SKIPPED


@pytest.mark.parametrize("version", ["v1beta3", "v1beta4"])
def test_both_versions_of_kubeadms_configuration_are_read(
    good: ApiserverFacts, version: str
) -> None:
    """A map of extraArgs, and a list of name and value."""
    facts = dataclasses.replace(good, kubeadm=fragment(DEFAULTS, version))
    assert judge("apiserver.kubeadm", facts).state is State.OK


def test_what_was_not_given_is_skipped_with_the_command_for_it(good: ApiserverFacts) -> None:
    """Kubectl fetches both."""
    facts = dataclasses.replace(good, kubeadm=None, metrics=None)
    for name in ("apiserver.kubeadm", "apiserver.dropped"):
        verdict = judge(name, facts)
        assert verdict.state is State.SKIPPED
        assert "kubectl" in verdict.hint


def test_a_process_with_other_flags_than_the_manifest_is_warned_of(
    good: ApiserverFacts, tmp_path: Path
) -> None:
    """A real process of that name, found in /proc."""
    program = tmp_path / "kube-apiserver"
    shutil.copy(shutil.which("sleep") or "", program)
    command = ["sh", "-c", 'exec "$0" 30', str(program)]
    before = time.time()
    with subprocess.Popen(command) as running:
        try:
            end = time.monotonic() + 60
            while not (found := [p for p in processes(Path("/")) if p.pid == running.pid]):
                assert time.monotonic() < end
                time.sleep(0.02)
        finally:
            running.kill()
    assert before - 2 < found[0].started_s < time.time() + 2
    other = dataclasses.replace(found[0], flags={"audit-log-path": "/other.log"})
    facts = dataclasses.replace(good, process=other)
    verdict = judge("apiserver.flags", facts)
    assert verdict.state is State.WARN
    assert "--audit-log-path" in verdict.why


@pytest.mark.parametrize("name", sorted(p.name for p in MANIFESTS.glob("*.yaml")))
def test_every_manifest_can_be_looked_at(name: str) -> None:
    """Whoever wrote it: after the patch all its flags are seen."""
    text = (MANIFESTS / name).read_text()
    assert all(flag.startswith("audit-") for flag in observe(text, name).flags)
    assert observe(patch(text, {}, name).text, name).flags.keys() >= DEFAULTS.keys()


def test_paths_are_those_of_the_node() -> None:
    """What lies at one place in the container may lie at another on the node."""
    pod = {
        "spec": {
            "containers": [
                {
                    "name": "kube-apiserver",
                    "command": ["kube-apiserver", "--audit-log-path", "/logs/a.log"],
                    "volumeMounts": [{"name": "l", "mountPath": "/logs"}],
                }
            ],
            "volumes": [{"name": "l", "hostPath": {"path": "/var/log/kubernetes"}}],
        }
    }
    assert observe(json.dumps(pod)).log_path == "/var/log/kubernetes/a.log"


@pytest.mark.parametrize("text", ["", "{", "kind: Pod", "spec: {containers: [{name: etcd}]}"])
def test_what_is_no_apiserver_is_refused(text: str) -> None:
    """With the file that would be one."""
    with pytest.raises(RefusalError, match="kube-apiserver"):
        observe(text)
