"""`doctor`: is everything right, from kube-apiserver to the back ends? Prints no secret."""

import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Any

import click

from k8s_audit_otlp.apiserver.files import MAX_BYTES
from k8s_audit_otlp.cli.exit_codes import FAILURE
from k8s_audit_otlp.cli.options import config_path, load_config
from k8s_audit_otlp.cli.terminal import echo, echo_json
from k8s_audit_otlp.config.blocks import Tls
from k8s_audit_otlp.state.files import read_regular
from k8s_audit_otlp.tools.doctor.examine import Question, examine
from k8s_audit_otlp.tools.doctor.findings import Finding, State
from k8s_audit_otlp.transport.connection import ConnectError, Connections, ask
from k8s_audit_otlp.transport.tls import make_context
from k8s_audit_otlp.transport.url import UnusableError, Url

_METRICS_S = 5.0
_METRICS_BYTES = 256 << 20  # of a file, which may be the apiserver's log
_STYLE: dict[State, dict[str, Any]] = {
    State.OK: {"fg": "green"},
    State.WARN: {"fg": "yellow"},
    State.FAIL: {"fg": "red", "bold": True},
    State.SKIPPED: {"dim": True},
}


def _text(where: Path | str | None, option: str, most: int = MAX_BYTES) -> str | None:
    try:
        return read_regular(where, most).decode(errors="replace") if where else None
    except OSError as error:
        raise click.BadParameter(f"{where}: {error.strerror}", param_hint=option) from None


def command(  # noqa: PLR0913 - one for each thing that can be looked at
    config_file: Path | None,
    log: Path | None,
    manifest: Path,
    collector: Path | None,
    kubeadm: Path | None,
    metrics: str | None,
    wait_s: float,
    *,
    send: bool,
    as_json: bool,
) -> None:
    if config_file is not None and log is not None:
        raise click.UsageError("--path is for use without --config; write the path in the file")
    path = config_path(config_file, log)
    question = Question(
        config=load_config(path).config if path else None,
        env=os.environ,
        log=log,
        manifest=manifest,
        send=send,
        wait_s=wait_s,
        collector=_text(collector, "--collector-config"),
        kubeadm=_text(kubeadm, "--kubeadm-config"),
        apiserver_metrics=_metrics(metrics),
    )
    found = (
        each._replace(hint=each.hint.replace("MANIFEST", str(manifest)))
        for each in examine(question)
    )
    if as_json:
        findings = list(found)
        echo_json([finding._asdict() for finding in findings])
    else:
        findings = list(_show(found))
        echo(_summary(findings))
    if any(finding.state is State.FAIL for finding in findings):
        sys.exit(FAILURE)


def _metrics(where: str | None) -> str | None:
    if where is None:
        return None
    if not where.startswith(("http://", "https://")):
        return _text(where, "--apiserver-metrics", _METRICS_BYTES)
    try:
        url = Url.parse(where)
        connections = Connections(url, context=lambda: make_context(Tls()))
        with ask(connections, "GET", url.target, {}, _METRICS_S) as answer:
            text, why = answer.read().decode(errors="replace"), f"HTTP {answer.status}"
            if answer.status == HTTPStatus.OK:
                return text
    except (ConnectError, UnusableError) as error:
        why = str(error)
    except (OSError, HTTPException) as error:
        why = f"no answer ({type(error).__name__})"
    raise click.BadParameter(
        f"{why}; kubectl get --raw /metrics > FILE works too", param_hint="--apiserver-metrics"
    )


def _show(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Print each finding under its subject as it comes, and hand it on."""
    subject = ""
    for finding in findings:
        if finding.subject != subject:
            subject = finding.subject
            echo(subject, bold=True)
        head = f"  {finding.state:<8}{finding.check:<26}"
        echo(finding.why, head=head, **_STYLE[finding.state])
        if finding.hint and finding.state is not State.OK:
            echo(finding.hint, head=f"{'':10}→ ")
        yield finding


def _summary(findings: Sequence[Finding]) -> str:
    counts = Counter(finding.state for finding in findings)
    text = ", ".join(f"{counts[state]} {state}" for state in State)
    failed = [f"{one.check} ({one.subject})" for one in findings if one.state is State.FAIL]
    return f"{text}: see {', '.join(failed)}" if failed else text
