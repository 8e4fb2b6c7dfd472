"""`evidence verify`: what an export of a back end proves by itself."""

import json
import sys
from pathlib import Path

import click

from k8s_audit_otlp.cli import NOTHING, die
from k8s_audit_otlp.cli.actions.evidence_report import CODES
from k8s_audit_otlp.cli.actions.exports import exports_in, files_of
from k8s_audit_otlp.cli.terminal import echo
from k8s_audit_otlp.evidence.seal import KeyFileError, read_public_keys
from k8s_audit_otlp.tools.text import counted, denied
from k8s_audit_otlp.tools.verify.exports.export import UnreadableExportError
from k8s_audit_otlp.tools.verify.judge import Judge
from k8s_audit_otlp.tools.verify.page import html_of
from k8s_audit_otlp.tools.verify.scope import Scope
from k8s_audit_otlp.tools.verify.verdict import Verdict
from k8s_audit_otlp.tools.verify.wording import answer_of, json_of, lines_of


def verify(  # noqa: PLR0913 - one for each thing that can be asked
    against: tuple[str, ...],
    keys: tuple[Path, ...],
    cluster: str,
    since: int,
    until: int,
    raw: Path | None,
    html: Path | None,
    uid_field: str,
    *,
    as_json: bool,
) -> None:
    """Judge an export by itself: whether it is complete, and what the agent sent."""
    scope = Scope(cluster, since, until)
    if scope.until_ns and scope.until_ns <= scope.since_ns:
        die("--to is not after --from; nothing lies between them")
    try:
        judge = Judge(scope, read_public_keys(list(keys)) if keys else None, uid_field)
        verdict = _judged(judge, against, uid_field, keys, raw)
        if html is not None and not verdict.nothing:
            html.write_text(html_of(verdict), encoding="utf-8")
    except KeyFileError as error:
        die(f"--key: {error}")
    except UnreadableExportError as error:
        die(str(error))
    except OSError as error:
        die(denied(error.filename, error))
    if verdict.nothing:
        die(f"{', '.join(against)}: {verdict.nothing}", NOTHING)
    if as_json:
        click.echo(json.dumps(json_of(verdict), indent=2))
    else:
        for line in lines_of(verdict):
            echo(line)
    sys.exit(CODES[answer_of(verdict)])


def _judged(
    judge: Judge, against: tuple[str, ...], field: str, keys: tuple[Path, ...], raw: Path | None
) -> Verdict:
    files, unread = list(files_of(against)), list[str]()
    for export in exports_in(files, field, "the export"):
        judge.take(export)
        if export.unread or export.is_part:
            lines = counted(export.unread, "line")
            what = f"{lines} of it cannot be read" if export.unread else "it is a part only"
            unread.append(f"{export.name}: {what}, or it breaks off")
    verdict = judge.verdict([name for name, _ in files], [str(key) for key in keys], raw)
    verdict.unread = unread
    return verdict
