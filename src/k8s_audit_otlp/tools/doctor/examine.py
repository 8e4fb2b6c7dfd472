"""Runs every check that the operator asked for; each finding comes as soon as it is known.

The tables of the groups say what is checked; this says of what, and gathers the facts.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from k8s_audit_otlp.apiserver.files import MAX_BYTES
from k8s_audit_otlp.apiserver.observed import Apiserver, observe
from k8s_audit_otlp.apiserver.settings import (
    DEFAULTS,
    LOG_PATH,
    MANIFEST,
    WEBHOOK_FILE,
    RefusalError,
)
from k8s_audit_otlp.config.config import Config
from k8s_audit_otlp.config.exporters import Exporter
from k8s_audit_otlp.config.receivers import K8sAudit
from k8s_audit_otlp.config.sources import AuditWebhook
from k8s_audit_otlp.receiver.listing import logs_in
from k8s_audit_otlp.state.checkpoint import CheckpointFile, StateError
from k8s_audit_otlp.state.files import read_regular
from k8s_audit_otlp.telemetry.backlog import inspect
from k8s_audit_otlp.telemetry.status_file import agent_now
from k8s_audit_otlp.tools.doctor import (
    apiserver_checks,
    collector_checks,
    exporter_checks,
    host_checks,
    log_checks,
    policy_checks,
    source_checks,
    webhook_checks,
)
from k8s_audit_otlp.tools.doctor.apiserver_facts import ApiserverFacts, Process, processes
from k8s_audit_otlp.tools.doctor.collector_checks import CollectorFacts
from k8s_audit_otlp.tools.doctor.exporter_facts import ExporterFacts
from k8s_audit_otlp.tools.doctor.findings import Checks, Facts, Finding, State, fail
from k8s_audit_otlp.tools.doctor.host_checks import HostFacts, free_at
from k8s_audit_otlp.tools.doctor.log_facts import LogFacts, look_at_log
from k8s_audit_otlp.tools.doctor.source_checks import SourceFacts

NO_CONFIG = ("no configuration was given", "--config FILE")


@dataclass(frozen=True, slots=True)
class Question:
    """What to look at. Texts are what files or the network gave for it."""

    config: Config | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    log: Path | None = None
    manifest: Path = MANIFEST
    send: bool = False
    wait_s: float = 2.0
    collector: str | None = None
    kubeadm: str | None = None
    apiserver_metrics: str | None = None
    root: Path = Path("/")


def examine(question: Question) -> Iterator[Finding]:
    """Check everything that the question names."""
    manifest = str(question.manifest)
    apiserver, trouble = _apiserver(question.manifest)
    process = _process(question, apiserver)
    if apiserver is None and process is not None:
        apiserver = Apiserver(process.flags)
    logs = [_look(question, path, of) for path, of in _logs(question, apiserver)]
    for log in logs:
        yield from _findings(log_checks.CHECKS, log, str(log.path))
        if not log.trouble:
            yield from _findings(log_checks.OF_EVENTS, log, str(log.path))
    if trouble:
        yield _no_manifest(question, trouble, unknown=apiserver is None)
    if apiserver is not None:
        facts = _apiserver_facts(question, apiserver, process, logs)
        subject = f"kube-apiserver, process {process.pid}" if trouble and process else manifest
        checks = {
            **apiserver_checks.CHECKS,
            **(apiserver_checks.OF_A_LOG if facts.flags.get(LOG_PATH) else {}),
            **(webhook_checks.CHECKS if facts.flags.get(WEBHOOK_FILE) else {}),
            **(policy_checks.CHECKS if facts.apiserver.policy_path else {}),
        }
        yield from _findings(checks, replace(facts, manifest=not trouble), subject)
    host = _host_facts(question, logs)
    yield from _findings(host_checks.CHECKS, host, str(host.state_dir or "this host"))
    yield from _sources(question)
    yield from _exporters(question, logs)
    if question.collector is not None:
        collector = CollectorFacts.read(question.collector)
        yield from _findings(collector_checks.CHECKS, collector, "Collector")


def _findings(checks: Checks[Facts], facts: Facts, subject: str) -> Iterator[Finding]:
    for name, look in checks.items():
        try:
            result = look(facts)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other checks still help
            result = fail(f"the check itself failed: {type(error).__name__}", "please report this")
        if result is not None:
            yield Finding(name, subject, *result)


# -- gathering ---------------------------------------------------------------------------------


def _apiserver(manifest: Path) -> tuple[Apiserver | None, str]:
    try:
        return observe(read_regular(manifest, MAX_BYTES).decode(), str(manifest)), ""
    except OSError as error:
        return None, f"it cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        return None, "is no UTF-8 text"
    except RefusalError as error:
        return None, str(error)


def _process(question: Question, apiserver: Apiserver | None) -> Process | None:
    """Find the kube-apiserver that is meant: there may be several on a host, or another's."""
    found = list(processes(question.root))
    named = {str(path) for path, _ in _logs(question, apiserver)}
    if apiserver is not None:
        named.add(apiserver.flags.get(LOG_PATH, ""))
    posted = _most_body(question) > 0
    meant = [
        process
        for process in found
        if process.flags.get(LOG_PATH) in named or (posted and process.flags.get(WEBHOOK_FILE))
    ]
    nothing_named = question.config is None and question.log is None
    anyone = apiserver is not None or nothing_named
    return next(iter(meant or (found if anyone else ())), None)


def _no_manifest(question: Question, trouble: str, *, unknown: bool) -> Finding:
    """Say that there is none; a fault where it was named, or else nothing else that was is read."""
    asked = question.kubeadm is not None or question.apiserver_metrics is not None
    given = question.manifest != MANIFEST or (unknown and asked)
    return Finding(
        "apiserver.manifest",
        str(question.manifest),
        State.FAIL if given else State.SKIPPED,
        trouble,
        "--manifest FILE names kube-apiserver's static pod manifest; in a pod, mount it read-only",
    )


def _logs(
    question: Question, apiserver: Apiserver | None
) -> Iterator[tuple[Path, K8sAudit | None]]:
    """Yield the logs to look at: those of the receivers, else the one that is written."""
    if question.config is not None:
        spools = {log for _, _, log in question.config.spools()}  # theirs is source_checks
        for name, receiver in question.config.receivers.items():
            if name in spools:
                continue
            for path in logs_in(receiver.include) or [Path(p) for p in receiver.include]:
                yield path, receiver
    elif question.log is not None:
        yield question.log, None
    else:
        written = apiserver.log_path if apiserver else ""
        yield Path(written or DEFAULTS[LOG_PATH]), None


def _look(question: Question, path: Path, receiver: K8sAudit | None) -> LogFacts:
    return look_at_log(path, question.root, receiver, wait_s=question.wait_s)


def _apiserver_facts(
    question: Question, apiserver: Apiserver, process: Process | None, logs: Sequence[LogFacts]
) -> ApiserverFacts:
    written = next((log for log in logs if str(log.path) == apiserver.log_path), None)
    policy, trouble, changed_s = None, "", 0.0
    path = Path(apiserver.policy_path)
    try:
        if apiserver.policy_path:
            policy = read_regular(path, MAX_BYTES).decode()
            changed_s = path.stat().st_mtime
    except OSError as error:
        trouble = error.strerror or "cannot be read"
    except UnicodeDecodeError:
        trouble = "is no UTF-8 text"
    return ApiserverFacts(
        apiserver,
        question.root,
        [str(log.path) for log in logs],
        written.rate if written else None,
        free_at(written.path.parent) if written else None,
        policy,
        trouble,
        changed_s,
        process,
        question.kubeadm,
        question.apiserver_metrics,
        _most_body(question),
    )


def _most_body(question: Question) -> int:
    """Return the longest request that every webhook of the agent takes, 0 where it has none."""
    sources = question.config.sources.values() if question.config else ()
    return min((s.max_request_body_size for s in sources if isinstance(s, AuditWebhook)), default=0)


def _host_facts(question: Question, logs: Sequence[LogFacts]) -> HostFacts:
    config = question.config
    wanted = [log.receiver.min_free_disk_bytes for log in logs if log.receiver]
    return HostFacts(
        question.root,
        Path(config.service.state_dir) if config else None,
        list(dict.fromkeys(log.path.parent for log in logs)),
        max(wanted, default=1 << 30),
    )


def _sources(question: Question) -> Iterator[Finding]:
    if question.config is None:
        return
    state_dir = Path(question.config.service.state_dir)
    for name, source in question.config.sources.items():
        facts = SourceFacts(name, source, state_dir)
        yield from _findings(source_checks.CHECKS, facts, name)


def _exporters(question: Question, logs: Sequence[LogFacts]) -> Iterator[Finding]:
    if question.config is None:
        yield Finding("exporter.config", "exporters", State.SKIPPED, *NO_CONFIG)
        return
    waiting = _waiting(question.config)
    report = agent_now(Path(question.config.service.state_dir), time.time()).report
    running = {view.exporter: view for view in report.exporters} if report else {}
    for name, exporter in question.config.exporters.items():
        facts = ExporterFacts(
            name,
            exporter,
            question.config,
            question.env,
            question.send,
            waiting.get(name, _oldest(question.config, exporter, name, logs)),
            running.get(name),
        )
        yield from _findings(exporter_checks.CHECKS, facts, name)


def _waiting(config: Config) -> dict[str, int]:
    """Return when the oldest that each exporter has not delivered was seen, 0 for nothing."""
    try:
        checkpoint = CheckpointFile(Path(config.service.state_dir)).load().checkpoint
    except StateError:
        return {}
    found: dict[str, int] = {}
    for line in inspect(checkpoint) if checkpoint else ():
        since = line.oldest_unsent_ns if line.backlog_bytes else 0
        known = [ns for ns in (found.get(line.exporter, 0), since) if ns]
        found[line.exporter] = min(known, default=0)
    return found


def _oldest(config: Config, exporter: Exporter, name: str, logs: Sequence[LogFacts]) -> int:
    """Return the oldest event that a first start would send, as far as files tell."""
    times = []
    for log in logs:
        receivers = [config.receivers[r] for r in config.receivers_of(name)]
        start = exporter.audit.start_at or (log.receiver.start_at if log.receiver else None)
        if log.receiver not in receivers or start is None or start.kind == "end":
            continue
        known = [e.mtime_ns for e in log.entries] + ([log.first_ns] if log.first_ns else [])
        if known:
            times.append(max(min(known), start.since_ns(log.now_ns) or 0))
    return min(times, default=0)
