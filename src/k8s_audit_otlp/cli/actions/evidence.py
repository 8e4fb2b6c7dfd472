"""`evidence`: judge an export by itself, or a day of a store, and tell of it where people look."""

import os
import sys
import time
from pathlib import Path

import click

from k8s_audit_otlp.cli.actions.exports import exports_in, files_of
from k8s_audit_otlp.cli.exit_codes import (
    CHANGED,
    FAILURE,
    MISSING,
    NOTHING,
    OK,
    UNDELIVERED,
    UNPROVEN,
    die,
    say,
)
from k8s_audit_otlp.cli.options import config_path, load_config
from k8s_audit_otlp.cli.terminal import echo, echo_json
from k8s_audit_otlp.config.blocks import Tls
from k8s_audit_otlp.config.config import Config
from k8s_audit_otlp.config.references import UnresolvedError, parse_template
from k8s_audit_otlp.evidence.seal import read_public_keys
from k8s_audit_otlp.state.files import replace_file
from k8s_audit_otlp.state.outbox import Notice
from k8s_audit_otlp.telemetry.metrics.prometheus import text_of
from k8s_audit_otlp.tools.text import counted
from k8s_audit_otlp.tools.verify.day import Day, day_of, judge_day, last_full_day
from k8s_audit_otlp.tools.verify.judge import Judge
from k8s_audit_otlp.tools.verify.page import html_of
from k8s_audit_otlp.tools.verify.scope import Scope
from k8s_audit_otlp.tools.verify.stores import STORES
from k8s_audit_otlp.tools.verify.stores.client import StoreClient, StoreError, Where
from k8s_audit_otlp.tools.verify.verdict import Verdict
from k8s_audit_otlp.tools.verify.wording import (
    answer_of,
    families_of,
    json_of,
    lines_of,
    notice_of,
    unanswered,
)
from k8s_audit_otlp.transport.tls import TlsError
from k8s_audit_otlp.transport.url import UnusableError

CODES = {
    "complete": OK,
    "unproven": UNPROVEN,
    "missing": MISSING,
    "changed": CHANGED,
    "nothing": NOTHING,
}


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
    scope = Scope(cluster, since, until)
    if scope.until_ns and scope.until_ns <= scope.since_ns:
        die("--to is not after --from; nothing lies between them")
    judge = Judge(scope, read_public_keys(list(keys)) if keys else None, uid_field)
    verdict = _judged(judge, against, uid_field, keys, raw)
    if html is not None and not verdict.nothing:
        html.write_text(html_of(verdict), encoding="utf-8")
    if verdict.nothing:
        die(f"{', '.join(against)}: {verdict.nothing}", NOTHING)
    if as_json:
        echo_json(json_of(verdict))
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


def report(  # noqa: PLR0913 - one for each thing that can be asked
    *,
    kind: str,
    url: str,
    cluster: str,
    day: str | None,
    keys: tuple[Path, ...],
    headers: tuple[str, ...],
    ca: Path | None,
    source: str,
    config_file: Path | None,
    metrics: Path | None,
    html: Path | None,
    as_json: bool,
) -> None:
    now_ns = time.time_ns()
    if not cluster.strip():
        hint = "name the k8s.cluster.name of the records"
        raise click.BadParameter(f"is empty; {hint}", param_hint="--cluster")
    chosen = _day(day, now_ns)
    trusted = (read_public_keys(list(keys)), [str(key) for key in keys]) if keys else None
    try:
        tls = Tls(ca_file=str(ca) if ca else None)
        asking = StoreClient(_resolved(url, "--url"), _headers(headers), tls, os.environ)
        store = STORES[kind](asking, Where(cluster, source))
        verdict = judge_day(store, f"{kind} at {asking.where}", cluster, chosen, trusted, now_ns)
    except (UnusableError, TlsError) as error:
        die(f"--url: {error}")
    except StoreError as error:
        if (config := _config(config_file)) is not None:
            _send(config, unanswered(cluster, chosen, str(error), now_ns), cluster, now_ns)
        die(f"{error}; nothing is known of {chosen.name}", FAILURE)
    told = _tell(verdict, chosen, kind, now_ns, config_file, metrics, html)
    _print(verdict, chosen, as_json=as_json)
    code = CODES[answer_of(verdict)]
    sys.exit(UNDELIVERED if code == OK and not told else code)


def _day(text: str | None, now_ns: int) -> Day:
    try:
        day = day_of(text) if text else last_full_day(now_ns)
    except ValueError:
        raise click.BadParameter(
            f"{text} is no day; write 2026-01-02", param_hint="--day"
        ) from None
    if day.since_ns >= now_ns:
        raise click.BadParameter(f"{day.name} has not begun", param_hint="--day")
    return day


def _headers(pairs: tuple[str, ...]) -> dict[str, str]:
    headers = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise click.BadParameter("write NAME=VALUE", param_hint="--header")
        headers[name.strip()] = _resolved(value.strip(), f"--header {name.strip()}")
    return headers


def _resolved(text: str, option: str) -> str:
    """Return an option's value with variables and files in their places."""
    try:
        return parse_template(text, os.environ).resolve()
    except UnresolvedError as error:
        die(f"{option}: {error}")


def _tell(  # noqa: PLR0913 - one for each place
    verdict: Verdict,
    day: Day,
    kind: str,
    now_ns: int,
    config_file: Path | None,
    metrics: Path | None,
    html: Path | None,
) -> bool:
    """Write and send what came out; say what could not be, and return whether all could."""
    said, families = True, families_of(verdict, day, kind, now_ns)
    try:
        if metrics is not None:
            text = text_of(families).encode()
            # node_exporter is another user
            replace_file(metrics, lambda file: file.write(text), public=True)
        if html is not None:
            html.write_text(html_of(verdict), encoding="utf-8")
    except OSError as error:
        say(f"{error.filename}: {error.strerror}; the answer is not in it")
        said = False
    if (config := _config(config_file)) is not None:
        if config.service.telemetry.metrics.otlp.endpoint is not None:
            from k8s_audit_otlp.telemetry.metrics.push import MetricsPusher  # noqa: PLC0415

            block = config.service.telemetry.metrics.otlp
            if not MetricsPusher(block, lambda: families, os.environ).push():
                say("the answer could not be pushed as metrics")
                said = False
        notice = notice_of(verdict, day, now_ns)
        said &= _send(config, notice, verdict.scope.cluster, now_ns)
    return said


def _config(file: Path | None) -> Config | None:
    named = config_path(file, default=None)
    return load_config(named).config if named is not None else None


def _send(config: Config, notice: Notice, cluster: str, now_ns: int) -> bool:
    """Send a notice to all exporters; say whom it did not reach, and return whether all have it."""
    from k8s_audit_otlp.agent.send_notice import send_notice  # noqa: PLC0415 - only where asked for

    unreached = list(send_notice(config, notice, cluster, now_ns))
    for why in unreached:
        say(f"the answer could not be sent: {why}")
    return not unreached


def _print(verdict: Verdict, day: Day, *, as_json: bool) -> None:
    if as_json:
        value = {"day": day.name, "answer": answer_of(verdict), **json_of(verdict)}
        echo_json(value)
        return
    for line in lines_of(verdict) if not verdict.nothing else ():
        echo(line)
    if verdict.nothing:
        say(f"{day.name}, {verdict.scope.cluster}: {verdict.nothing}")
