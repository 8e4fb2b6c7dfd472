"""Checks kube-apiserver: flags, mounts, retention, what it dropped.

Flags: kubernetes.io/docs/reference/command-line-tools-reference/kube-apiserver.
"""

import re
from pathlib import PurePosixPath

from k8s_audit_otlp.apiserver.platforms import HINTS, Owner
from k8s_audit_otlp.apiserver.settings import LOG_PATH, POLICY_FILE, WEBHOOK_FILE
from k8s_audit_otlp.config.reading.plain_yaml import YamlError, parse_yaml_documents
from k8s_audit_otlp.telemetry.runway import retention_of_flags, runway_s, segment_bytes_of_flags
from k8s_audit_otlp.tools.doctor.apiserver_facts import ApiserverFacts
from k8s_audit_otlp.tools.doctor.findings import CheckResult, Checks, fail, ok, skipped, warn
from k8s_audit_otlp.tools.text import counted, duration, size

PATCH = "k8s-audit-otlp apiserver patch MANIFEST"
TOO_SHORT_S = 3600.0  # less than somebody needs to come and look
SHORT_S = 8 * 3600.0  # a night: what a back end may be away without loss
_STREAMS = frozenset({"-", "/dev/stdout", "/dev/stderr", "/proc/self/fd/1", "/proc/self/fd/2"})


def flags(facts: ApiserverFacts) -> CheckResult:
    """Look for a log or a webhook, and for a policy, without which both are empty."""
    posts = bool(facts.flags.get(WEBHOOK_FILE))
    wanted = (POLICY_FILE,) if posts else (LOG_PATH, POLICY_FILE)
    missing = [f"--{name}" for name in wanted if not facts.flags.get(name)]
    if missing:
        return fail(f"{' and '.join(missing)} not set: nothing is audited", PATCH)
    log = facts.flags.get(LOG_PATH, "")
    if log in _STREAMS:
        return fail("it writes to its standard output", f"give it a file: {PATCH}")
    form = facts.flags.get("audit-log-format", "json")
    if form != "json":
        return fail(f"--audit-log-format={form} leaves bodies out", "set it to json")
    running = facts.process.flags if facts.process else {}
    names = (LOG_PATH, POLICY_FILE, WEBHOOK_FILE) if running else ()
    if changed := [name for name in names if running.get(name) != facts.flags.get(name)]:
        return warn(
            f"the running process has another --{changed[0]} than the manifest",
            "wait for kubelet to restart it, or look why it does not: crictl ps -a",
        )
    does = [f"writes {log}"] * bool(log) + ["posts to a webhook"] * posts
    return ok(f"{' and '.join(does)} by {facts.flags[POLICY_FILE]}")


def log_path(facts: ApiserverFacts) -> CheckResult:
    """Compare the file that it writes with those that the agent reads."""
    written = facts.apiserver.log_path
    if written in _STREAMS:
        return fail(f"it writes to {written}, a stream and no file", f"give it a file: {PATCH}")
    if written in facts.log_paths:
        return ok(f"what it writes is what is read: {written}")
    return fail(
        f"it writes {written}, and the agent reads {', '.join(facts.log_paths) or 'nothing'}",
        f"write include: [{written}] in the receiver",
    )


def log_mount(facts: ApiserverFacts) -> CheckResult | None:
    """Look for its directory, mounted and writable: rotation renames the log in it."""
    path = PurePosixPath(facts.flags[LOG_PATH])
    points = facts.apiserver.mount_points
    if not facts.manifest:
        return None
    if str(path) in points:
        return fail("the log is mounted as a single file and cannot be rotated", PATCH)
    around = [point for point in points if point and path.is_relative_to(point)]
    if not around:
        return fail(f"{path} lies in its container, not on the node", PATCH)
    nearest = max(around, key=len)
    if not points[nearest]:
        return fail(f"the mount of {nearest} is read-only", PATCH)
    return ok(f"the directory {nearest} is mounted")


def _on(facts: ApiserverFacts, name: str) -> bool:
    return facts.flags.get(name, "false").lower() in {"true", "1", "t"}


def truncation(facts: ApiserverFacts) -> CheckResult:
    """Refuse what takes bodies out of large events and says so only in an annotation."""
    for name in ("audit-log-truncate-enabled", "audit-webhook-truncate-enabled"):
        if _on(facts, name):
            return warn(
                "large events lose their bodies before they are written or posted",
                f"take --{name} away; audit.max_record_bytes shrinks by exporter",
            )
    if not (facts.flags.get(LOG_PATH) or facts.flags.get(WEBHOOK_FILE)):
        return skipped("it writes and posts no event", "see apiserver.flags")
    return ok("events are written whole")


def compression(facts: ApiserverFacts) -> CheckResult:
    """Say what compression costs: files are written at their final name, and can be torn there."""
    if _on(facts, "audit-log-compress"):
        return warn(
            "rotated files are compressed: reading them again costs more, and a crash can tear one",
            "take --audit-log-compress away unless the disk is too small for plain files",
        )
    return ok("rotated files stay plain")


def mode(facts: ApiserverFacts) -> CheckResult:
    """Ask for blocking: batch keeps events in memory and drops them there."""
    value = facts.flags.get("audit-log-mode", "blocking")
    if value == "batch":
        return fail(
            "--audit-log-mode=batch drops events when its buffer is full or it is killed",
            "take it away: blocking is the default for files",
        )
    if value == "blocking-strict":
        return warn(
            "--audit-log-mode=blocking-strict refuses requests while the log cannot be written",
            "keep it only if no request may go unaudited; watch the disk",
        )
    return ok("each event is written before its request is answered")


def retention(facts: ApiserverFacts) -> CheckResult:
    """Tell how long a back end may be away before rotation deletes what it has not got."""
    kept = retention_of_flags(facts.flags)
    if not kept.bounded:
        return warn(
            "rotated files are never deleted: the disk will be full one day",
            "set --audit-log-maxbackup=10 and --audit-log-maxage=7",
        )
    left = runway_s(kept, facts.rate, backlog_bytes=0, backlog_s=0)
    shown = f"about {duration(left or 0.0)}"
    hint = "raise --audit-log-maxbackup (and --audit-log-maxage)"
    if left is not None and left < TOO_SHORT_S:
        return fail(f"at this rate events are deleted {shown} after they were written", hint)
    most = (kept.kept_bytes or 0) + segment_bytes_of_flags(facts.flags)
    if kept.kept_bytes and facts.free_bytes is not None and most > facts.free_bytes:
        return warn(
            f"it may grow to {size(most)}, and {size(facts.free_bytes)} are free",
            "lower --audit-log-maxbackup, or give the log a larger disk",
        )
    if left is None:
        return skipped("the log is too short to know how fast it is written", "ask again later")
    if left < SHORT_S:
        return warn(f"at this rate a back end may be away for {shown} only", hint)
    return ok(f"at this rate a back end may be away for {shown}")


def kubeadm(facts: ApiserverFacts) -> CheckResult | None:
    """Compare with the ClusterConfiguration, from which the next upgrade writes the manifest."""
    owner = facts.apiserver.owner
    if owner in HINTS:
        return ok(f"{owner.value} writes this manifest, not kubeadm: {HINTS[owner]}")
    if owner is not Owner.KUBEADM:
        return None
    if facts.kubeadm is None:
        return skipped(
            "kubeadm's configuration was not given",
            "kubectl -n kube-system get cm kubeadm-config -o jsonpath='{.data.ClusterConfiguration}"
            "' > kubeadm.yaml, then --kubeadm-config kubeadm.yaml",
        )
    wanted = _extra_args(facts.kubeadm)
    if wanted is None:
        return fail("it holds no ClusterConfiguration", "see apiserver.kubeadm without it")
    different = sorted(n for n, value in facts.flags.items() if wanted.get(n) != value)
    if different:
        names = ", ".join(f"--{name}" for name in different)
        return fail(
            f"the next kubeadm upgrade changes or erases {names}",
            "put them into the ClusterConfiguration: k8s-audit-otlp apiserver kubeadm",
        )
    return ok("an upgrade writes the same audit flags")


def _extra_args(text: str) -> dict[str, str] | None:
    """Read apiServer.extraArgs of a ClusterConfiguration: a map, or since v1beta4 a list."""
    try:
        documents = parse_yaml_documents(text)
    except YamlError:
        return None
    for document in documents:
        if isinstance(document, dict) and document.get("kind") == "ClusterConfiguration":
            found = (document.get("apiServer") or {}).get("extraArgs") or {}
            if isinstance(found, list):
                return {str(one["name"]): str(one["value"]) for one in found}
            return {str(name): str(value) for name, value in found.items()}
    return None


_DROPPED = re.compile(r"^apiserver_audit_error_total(?:\{.*\})? ([0-9.e+]+)", re.MULTILINE)
_KLOG = re.compile(r"Error in audit plugin .* affecting (\d+) audit events")


def dropped(facts: ApiserverFacts) -> CheckResult:
    """Ask kube-apiserver's own counter: what it could not write is in no log."""
    if facts.metrics is None:
        return skipped(
            "what kube-apiserver counts was not given",
            "kubectl get --raw /metrics > apiserver.prom, then --apiserver-metrics apiserver.prom",
        )
    counts = [int(float(value)) for value in _DROPPED.findall(facts.metrics)]
    lines = [int(value) for value in _KLOG.findall(facts.metrics)]
    lost = sum(counts) + sum(lines)
    if lost:
        return fail(
            f"kube-apiserver could not write or post {counted(lost, 'event')}: lost for everybody",
            "mostly its disk was full, an event was larger than --audit-log-maxsize, or a webhook "
            "was away for too long; mend that, and watch apiserver_audit_error_total",
        )
    if not counts and "apiserver_audit" not in facts.metrics and not lines:
        return skipped("there is nothing of auditing in it", "give kube-apiserver's own /metrics")
    return ok("kube-apiserver dropped no event since it started")


CHECKS: Checks[ApiserverFacts] = {
    "apiserver.flags": flags,
    "apiserver.truncation": truncation,
    "apiserver.kubeadm": kubeadm,
    "apiserver.dropped": dropped,
}
OF_A_LOG: Checks[ApiserverFacts] = {  # where it writes one
    "apiserver.log-path": log_path,
    "apiserver.log-mount": log_mount,
    "apiserver.compress": compression,
    "apiserver.mode": mode,
    "apiserver.retention": retention,
}
