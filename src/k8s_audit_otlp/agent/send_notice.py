"""Sends a notice to every exporter, without an agent: such as what `evidence report` found."""

import os
import time
from collections.abc import Iterator, Mapping
from functools import partial

from k8s_audit_otlp.agent.build import backoff_of, resource_scopes_of, resources_of, sender_of
from k8s_audit_otlp.config.config import Config
from k8s_audit_otlp.config.exporters import OtlpFile
from k8s_audit_otlp.evidence.notices import encode
from k8s_audit_otlp.exporter.backoff import send_with_retries
from k8s_audit_otlp.exporter.reasons import why_of
from k8s_audit_otlp.model import Delivered
from k8s_audit_otlp.otlp.resource import CLUSTER
from k8s_audit_otlp.state.outbox import Notice
from k8s_audit_otlp.transport.file import STDOUT


def send_notice(config: Config, notice: Notice, cluster: str, now_ns: int) -> Iterator[str]:
    """Send *notice* to each exporter of the cluster's log; yield who could not be told, and why.

    One that writes to the standard output is left out: that of the command is another.
    """
    env = os.environ
    scopes = resource_scopes_of(config, env)
    record = encode(notice, now_ns)
    for exporter_id, receiver in _routes(config, cluster, env).items():
        exporter = config.exporters[exporter_id]
        if isinstance(exporter, OtlpFile) and exporter.path == STDOUT:
            continue
        sender = sender_of(exporter, config, scopes, env=env)
        backoff = backoff_of(exporter.retry_on_failure)
        try:
            request = sender.prepare(receiver, [record])
            outcome = send_with_retries(partial(sender.send, request), backoff, time.sleep)
        finally:
            sender.close()
        if not isinstance(outcome, Delivered) or outcome.rejected:
            yield f"{exporter_id}: {why_of(outcome) or 'it is refused'}"


def _routes(config: Config, cluster: str, env: Mapping[str, str]) -> dict[str, str]:
    """Return for each exporter a receiver of the cluster's log; any where none names it."""
    clusters = {
        name: (resource.attributes or {}).get(CLUSTER)
        for name, resource in resources_of(config, env).items()
    }
    chosen: dict[str, str] = {}
    for receiver, exporter_id in config.routes():
        if exporter_id not in chosen or clusters.get(receiver) == cluster:
            chosen[exporter_id] = receiver
    return chosen
