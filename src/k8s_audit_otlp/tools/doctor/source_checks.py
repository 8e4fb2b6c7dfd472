"""Checks a receiver that is no file: whether it can take events, and from whom it would."""

import os
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from k8s_audit_otlp.config.sources import AuditWebhook, CloudWatch, Kafka, Source, spool_directory
from k8s_audit_otlp.receiver.deleted import free_bytes
from k8s_audit_otlp.tools.doctor.certificates import Certificates, lasting
from k8s_audit_otlp.tools.doctor.findings import CheckResult, Checks, fail, ok, warn
from k8s_audit_otlp.tools.doctor.host_checks import nearest
from k8s_audit_otlp.tools.doctor.topics import topics_are_there
from k8s_audit_otlp.tools.text import size
from k8s_audit_otlp.transport.proxy import is_local
from k8s_audit_otlp.transport.tls import TlsError, load_server

TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """One receiver, and where its spool is."""

    name: str
    source: Source
    state_dir: Path
    now: Callable[[], float] = time.time


def room(facts: SourceFacts) -> CheckResult:
    """Compare what the spool may hold with the disk: one that is full first refuses events too."""
    block = facts.source.spool
    cluster = next(iter(facts.source.clusters_served()), "")
    directory = nearest(spool_directory(str(facts.state_dir), facts.name, cluster))
    if not directory.is_dir():
        return fail(f"{directory} is no directory", "remove it: nothing can be taken")
    if not os.access(directory, os.W_OK | os.X_OK):
        return fail(
            f"{directory} cannot be written, and nothing can be taken",
            "let the agent's user write there, or name another service::state_dir",
        )
    free = free_bytes(directory)
    has = f"{directory} has {size(free)} free"
    wanted = block.max_bytes * max(1, len(facts.source.clusters_served()))
    if free < block.min_free_disk_bytes:
        return fail(
            f"{has}, and below {size(block.min_free_disk_bytes)} nothing is taken",
            "give service::state_dir a larger disk, or lower spool::min_free_disk",
        )
    if free - block.min_free_disk_bytes < wanted:
        return warn(
            f"{has}, and the spool may hold {size(wanted)}",
            "give service::state_dir a larger disk, or lower spool::max_bytes: an outage of the "
            "back ends can last until it is full",
        )
    return ok(f"{size(free)} free for at most {size(wanted)}")


def reachable(facts: SourceFacts) -> CheckResult:
    """Listen as the agent will, or ask the service that it will ask."""
    match facts.source:
        case AuditWebhook():
            return _listens(facts.source)
        case Kafka():
            return topics_are_there(facts.source, facts.source.topics)
        case CloudWatch():
            return _cloudwatch(facts.source)


def _listens(source: AuditWebhook) -> CheckResult:
    host, _, port = source.endpoint.rpartition(":")
    host = host.strip("[]")
    to = host if host not in ("", "0.0.0.0", "::") else "localhost"  # noqa: S104 - compared only
    try:
        socket.create_connection((to, int(port)), TIMEOUT_S).close()
    except OSError:
        pass
    else:
        return ok(f"somebody listens at {source.endpoint}; `status` says whether it is the agent")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, int(port)), family=family).close()
    except OSError as error:
        return fail(
            f"{source.endpoint} cannot be listened at: {error.strerror or error}",
            "write an address of this host and a port that is free, above 1023 for a user who is "
            "not root",
        )
    return ok(f"{source.endpoint} can be listened at; nobody does now")


def _cloudwatch(source: CloudWatch) -> CheckResult:
    import boto3  # noqa: PLC0415 - an extra
    from botocore.config import Config  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    timeouts = Config(
        connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S, retries={"max_attempts": 1}
    )
    try:
        url = source.endpoint_url.resolve() if source.endpoint_url else None
        client = boto3.client("logs", region_name=source.region, endpoint_url=url, config=timeouts)
        found = client.describe_log_streams(
            logGroupName=source.log_group, logStreamNamePrefix=source.stream_prefix, limit=5
        )["logStreams"]
    except (BotoCoreError, ClientError, OSError) as error:
        return fail(
            f"{source.log_group}: {error}",
            "correct log_group and region, and allow logs:DescribeLogStreams and logs:GetLogEvents",
        )
    if not found:
        return fail(
            f"{source.log_group} has no stream that begins with {source.stream_prefix!r}",
            "switch the audit log of the cluster on, or correct stream_prefix",
        )
    return ok(f"streams are there, such as {found[0]['logStreamName']}")


def _of_webhook(
    look: Callable[[AuditWebhook, float], CheckResult],
) -> Callable[[SourceFacts], CheckResult | None]:
    def check(facts: SourceFacts) -> CheckResult | None:
        source = facts.source
        return look(source, facts.now()) if isinstance(source, AuditWebhook) else None

    return check


def certificates(source: AuditWebhook, now: float) -> CheckResult:
    """Load the server's pair and the authority of clients as the agent will."""
    tls = source.tls
    if tls is None:
        if _is_local(source.endpoint):
            return ok("in the clear, on this host only")
        return fail(
            "events travel in the clear, and they hold what clients of the apiserver ask",
            "add tls: {cert_file, key_file, client_ca_file}; k8s-audit-otlp apiserver webhook "
            "--make-certificates DIR makes them for a trial",
        )
    try:
        load_server(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), tls)
        used = [Certificates("the certificate", Path(tls.cert_file).read_text(encoding="utf-8"))]
        if tls.client_ca_file:
            bundle = Path(tls.client_ca_file).read_text(encoding="utf-8")
            used.append(Certificates("the authority of clients", bundle, any_will_do=True))
    except (TlsError, OSError, ValueError) as error:
        unreadable = ", ".join(file for file in tls.files if not os.access(file, os.R_OK))
        hint = f"{unreadable} cannot be read" if unreadable else f"see {', '.join(tls.files)}"
        return fail(f"the certificates cannot be used: {error}", hint)
    return lasting("the certificates can be used", used, now)


def senders(source: AuditWebhook, _now: float) -> CheckResult:
    """Ask whom it takes events from: whoever can write to an audit trail can drown it."""
    if source.tls is not None and source.tls.client_ca_file:
        return ok("clients show a certificate")
    if source.auth is not None:
        return ok("clients show a token")
    if _is_local(source.endpoint):
        return ok("only this host can send")
    return fail(
        "whoever reaches it can write into the audit trail",
        "add tls::client_ca_file, or auth: {authenticator: bearertokenauth}",
    )


def _is_local(endpoint: str) -> bool:
    return is_local(endpoint.rpartition(":")[0].strip("[]"))


CHECKS: Checks[SourceFacts] = {
    "receiver.reachable": reachable,
    "receiver.spool": room,
    "receiver.certificates": _of_webhook(certificates),
    "receiver.senders": _of_webhook(senders),
}
