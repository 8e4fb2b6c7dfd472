"""`verify`: compare the log on disk with what arrived at a back end."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from k8s_audit_otlp.cli.actions.exports import exports_in, files_of
from k8s_audit_otlp.cli.exit_codes import CHANGED, MISSING, NOTHING, UNPROVEN, die, say
from k8s_audit_otlp.cli.options import (
    AGAINST,
    CONFIG,
    JSON,
    PATH,
    UID_FIELD,
    config_path,
    load_config,
    time_or_age,
)
from k8s_audit_otlp.cli.terminal import console, echo, echo_json, reading
from k8s_audit_otlp.receiver.listing import Entry, logs_in, what_is_in
from k8s_audit_otlp.tools.text import counted, size
from k8s_audit_otlp.tools.verify.compare import Comparison
from k8s_audit_otlp.tools.verify.disk import DiskLog
from k8s_audit_otlp.tools.verify.report import SegmentReport, VerifyReport
from k8s_audit_otlp.tools.verify.scope import Scope

if TYPE_CHECKING:
    from k8s_audit_otlp.tools.table import FittingTable

_COLUMNS = ("events", "arrived", "missing", "pending", "dropped", "told", "repeated", "foreign")
_ALWAYS = frozenset({"events", "arrived", "missing"})
_MOST_ROWS = 50  # with more segments only those with trouble are shown
_PROBLEMS = 20  # segments whose trouble is told in words


@click.command()
@click.option("--path", "log", type=PATH, help="Live log file.")
@CONFIG
@AGAINST
@UID_FIELD
@click.option("--since", type=time_or_age, default="beginning", help="Ask for nothing before it.")
@click.option(
    "--receipts-only",
    is_flag=True,
    help="There is no log here: compare what arrived with the agent's receipts alone.",
)
@click.option("--closed", is_flag=True, help="Leave out the live file, which is still written.")
@JSON
def command(  # noqa: PLR0913 - one for each thing that can be asked
    log: Path | None,
    config_file: Path | None,
    against: tuple[str, ...],
    uid_field: str,
    since: int,
    *,
    receipts_only: bool,
    closed: bool,
    as_json: bool,
) -> None:
    """Compare the log on disk with what arrived at a back end.

    Every segment on disk is compared with the records of an export, what is not on disk any more
    with its receipt. Exit code 6: an event was put in; 5: something is missing; 7: neither, but
    newest events are pending, a file cannot be read, or no file and no receipt has some of them;
    8: there is nothing to compare.

    \b
    What --against takes, each plain, gzip or zstd, of any size:
      Collector      the file of its file exporter, or an OTLP request as JSON
      VictoriaLogs   curl -s "$VL/select/logsql/query"
                       -d 'query=service.name:k8s-audit _time:1d'
      Loki           curl -sG "$LOKI/loki/api/v1/query_range"
                       -d since=1d -d limit=5000
                       --data-urlencode 'query={service_name="k8s-audit"}'
      Elasticsearch  curl -s "$ES/logs-*/_search?size=10000"
      ClickHouse     SELECT LogAttributes['log.record.uid'] AS uid FROM otel_logs
                       FORMAT CSVWithNames, with --uid-field uid; or JSONEachRow
      DataKit        the answer of /v1/query/raw, or the explorer's CSV
      others         NDJSON, CSV, TSV with a field of uids; a list; a JSON answer

    Loki gives at most 5,000 records at once, Elasticsearch 10,000: ask by start and end, or page
    by page of a scroll, and give all the answers.
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    log = _log_asked_for(log, config_file, receipts_only=receipts_only)
    disk, entries = _log_on_disk(log, since, with_live=not closed)
    report, unread = _compare(disk, entries, against, uid_field, since)
    if not any(one.events or one.receipt for one in report.segments):  # blank lines are none
        on_disk = "" if receipts_only else "no event on disk is asked for, and "
        die(f"there is nothing to compare: {on_disk}no receipt is among what arrived", NOTHING)
    if as_json:
        echo_json(as_json_value(report, unread))
    else:
        _print(report, unread)
    sys.exit(_code_of(report))


def _code_of(report: VerifyReport) -> int:
    if report.put_in:
        return CHANGED
    return MISSING if report.lacks else UNPROVEN if report.unproven else 0


def _log_asked_for(
    log: Path | None, config_file: Path | None, *, receipts_only: bool
) -> Path | None:
    """Return the log that was named, or the one that a configuration names."""
    config_file = config_path(config_file, log or receipts_only)
    if config_file is None or log is not None:
        if receipts_only == (log is not None):
            raise click.UsageError("give --path LOG, or --receipts-only where there is no log")
        return log
    if receipts_only:
        raise click.UsageError("--receipts-only compares without a log; leave out --config")
    receivers = load_config(config_file).config.receivers.values()
    logs = [log for receiver in receivers for log in logs_in(receiver.include)]
    if len(logs) != 1:
        found = f"{len(logs)} logs: {', '.join(map(str, logs))}" if logs else "no log that is there"
        die(f"{config_file} names {found}; name one with --path")
    return logs[0]


def _log_on_disk(
    log: Path | None, since_ns: int, *, with_live: bool
) -> tuple[DiskLog | None, list[Entry]]:
    """Return the log and its files; a path without a log ends the command: nothing is complete."""
    if log is None:
        return None, []
    disk = DiskLog(log, since_ns=since_ns, with_live=with_live)
    if log.is_dir():
        die(f"{log} is a directory; name the live file in it{what_is_in(log)}")
    entries = disk.files()
    if not entries:
        die(
            f"{log}: there is no log of that name{what_is_in(log.parent)}; "
            "--receipts-only compares without a log"
        )
    if kind := disk.seems(entries):
        say(
            f"{log}: this is no audit log, it seems to be {kind}; name the file of --audit-log-path"
        )
    return disk, entries


def _compare(
    disk: DiskLog | None, entries: list[Entry], against: tuple[str, ...], uid_field: str, since: int
) -> tuple[VerifyReport, int]:
    """Return what was found, and how many lines of the exports could not be read."""
    files = list(files_of(against))
    if not files:
        die(f"{', '.join(against)}: there is no file in it; name what the back end gave out")
    comparison, unread, cut = Comparison(), 0, dict[str, str]()
    scope = Scope("", since, by_end=True)
    for export in exports_in(files, uid_field, "what arrived"):
        for item in scope.taking(export):
            comparison.take(item)
        unread += export.unread
        if export.unread or export.is_part:
            cut[export.name] = "it breaks off, or is a part only"
    with reading(disk.bytes_on_disk if disk else 0, "the log") as advance:
        for segment in disk.segments(entries, advance) if disk else ():
            comparison.compare(segment)
    comparison.leave_out(scope.left_out)
    return comparison.report(disk.damage if disk else cut, scope.begun_before), unread


def as_json_value(report: VerifyReport, unread: int) -> dict[str, Any]:
    return {
        "complete": report.complete,
        **{column: report.total(column) for column in _COLUMNS},
        "foreign": report.foreign,
        "put_in": report.put_in,
        "gaps": report.total("gaps"),
        "elsewhere": {"records": report.elsewhere, "segments": report.elsewhere_segments},
        "records": report.records,
        "notices": report.notices,
        "unread_lines": unread,
        "missing_receipts": report.missing_receipts,
        "unjudged": report.unjudged,
        "segments": [_segment_value(segment) for segment in report.segments],
    }


def _segment_value(segment: SegmentReport) -> dict[str, Any]:
    plain = asdict(segment)
    plain["dropped"] = segment.dropped
    plain["on_disk"] = segment.events >= 0
    plain["receipt"] = segment.receipt._asdict() if segment.receipt else None
    return plain


# -- for people ----------------------------------------------------------------------------------


def _print(report: VerifyReport, unread: int) -> None:
    if report.segments:
        console().print(_table(report))
    if not report.total("arrived"):
        echo("nothing of it arrived: is this an export of what its exporters send to?")
    for segment in [s for s in report.segments if s.has_trouble][:_PROBLEMS]:
        _tell(segment)
    if report.elsewhere:
        echo(
            "neither on this disk nor covered by a receipt: "
            f"{counted(report.elsewhere, 'record')} of "
            f"{counted(report.elsewhere_segments, 'segment')}"
        )
    for line in report.put_in:
        echo(line)
    if report.unknown:
        echo(f"under a uid that no agent gives, and no event: {counted(report.unknown, 'record')}")
    if unread:
        echo(f"not readable in the export: {counted(unread, 'line')}")
    for file in report.unjudged:
        hint = "; run this as the log's owner, or as root" if file.endswith(" denied") else ""
        echo(f"cannot be judged: {file}{hint}")
    for hole in report.missing_receipts:
        echo(f"{hole} is not there: a whole segment may be missing")
    echo(_verdict(report))


def _table(report: VerifyReport) -> "FittingTable":
    from k8s_audit_otlp.tools.table import FittingTable  # noqa: PLC0415

    shown = report.segments
    if len(shown) > _MOST_ROWS:
        shown = [s for s in shown if s.has_trouble][:_MOST_ROWS]
    titles = [c for c in _COLUMNS if c in _ALWAYS or report.total(c)]
    table = FittingTable(("segment", "bytes", *titles, "receipt"))
    for segment in shown:
        table.add_row(
            segment.name or f"{segment.identity} (gone)",
            size(segment.size) if segment.size >= 0 else "",
            *(_number(getattr(segment, column)) for column in titles),
            _receipt_cell(segment),
            style="bold red" if segment.unaccounted else "",
        )
    if len(shown) < len(report.segments):
        table.caption = (
            f"without trouble: {counted(len(report.segments) - len(shown), 'more segment')}"
        )
    return table


def _number(value: int) -> str:
    return f"{value:,}" if value >= 0 else ""


def _receipt_cell(segment: SegmentReport) -> str:
    receipt = segment.receipt
    if receipt is None:
        return "-"
    return "agrees" if receipt.delivered == segment.arrived else f"says {receipt.delivered:,}"


def _tell(segment: SegmentReport) -> None:
    name = segment.name or segment.identity
    for remark in segment.remarks:
        echo(f"{name}: {remark}")
    if segment.pending:
        echo(f"{name}: its newest {counted(segment.pending, 'event')}: not there yet, pending")
    if segment.told:
        echo(f"{name}: the agent told of a gap that holds {segment.told} of the missing")
    if segment.missing_uids:
        more = " …" if segment.missing > len(segment.missing_uids) else ""
        echo(f"{name}: missing {', '.join(segment.missing_uids)}{more}")


def _verdict(report: VerifyReport) -> str:
    total = report.total
    events = f"{counted(total('events'), 'event')} on disk, {total('arrived'):,} arrived"
    if not any(segment.name for segment in report.segments):
        events = f"{total('arrived'):,} arrived of what receipts promise"
    parts = [f"{total('missing'):,} missing"]
    if total("pending"):
        parts.append(f"{total('pending'):,} pending")
    if total("dropped"):
        parts.append(f"{total('dropped'):,} of them dropped by policy")
    if total("told"):
        parts.append(f"{total('told'):,} of them in gaps that were told")
    if total("gaps"):
        parts.append(f"{counted(total('gaps'), 'gap')} in files that are gone")
    parts += [f"{total('repeated'):,} repeated", f"{report.foreign:,} foreign"]
    if report.elsewhere:
        parts.append(f"{report.elsewhere:,} cannot be judged: no log and no receipt")
    wrong = "NOT SOUND" if report.put_in else "NOT COMPLETE" if report.lacks else ""
    said = wrong or ("complete" if report.complete else "NOT PROVEN")
    return f"{said}: {events}, {', '.join(parts)}"
