"""`tap` and `top`: what leaves an exporter right now, event by event or by who makes it."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import wraps
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any, Final

import click
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from k8s_audit_otlp.cli.exit_codes import STATE, die, say
from k8s_audit_otlp.cli.options import JSON, OF_EXPORTER, duration, on_state
from k8s_audit_otlp.cli.terminal import LiveView, console
from k8s_audit_otlp.config.mistakes import suggest
from k8s_audit_otlp.state.lock import StateLock
from k8s_audit_otlp.telemetry.status_file import last_report
from k8s_audit_otlp.telemetry.tap import MAX_READERS, connect, frames, left_out
from k8s_audit_otlp.tools.table import FittingTable
from k8s_audit_otlp.tools.tap import FIELDS, Match, Volume, Watched, line_of, read
from k8s_audit_otlp.tools.text import counted, share, size

_REFRESH_S: Final = 1.0
_AROUND: Final = 6  # lines of a terminal that the table's head and foot take
_WIDE: Final = 110  # columns; a row takes up to four lines where there are fewer
_TITLES: Final = ("user", "verb", "resource", "events", "bytes", "of all")
_MOST_WAITING: Final = 2000  # frames; what comes meanwhile is left out by the agent
_RELOAD_S: Final = 10.0  # an agent that gives way to another one is not there for so long
_DONE: Final = object()


def _watching(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of both, and the records that they ask for, None now and then."""

    @on_state
    @OF_EXPORTER(help="Only what this one delivers.")
    @click.option(
        "--match",
        "wishes",
        multiple=True,
        metavar="FIELD=PATTERN",
        help=f"Only such events, as user=system:*, code=4xx; fields: {', '.join(FIELDS)}.",
    )
    @click.option("--for", "seconds", type=duration, help="Stop after so long.")
    @wraps(command)
    def call(
        directory: Path,
        exporter: str | None,
        wishes: tuple[str, ...],
        seconds: float | None,
        **asked: Any,
    ) -> None:
        match = _match(wishes, exporter)
        stream = _connect(directory)
        _refuse_unknown(exporter, directory)
        records = _records(stream, directory, seconds)
        command((one for one in records if one is None or match(one)), **asked)

    return call


@click.command("tap")
@_watching
@JSON
def tap(records: Iterator[Watched | None], *, as_json: bool) -> None:
    """Show events live, as they leave an exporter.

    After policy and redaction, and once the back end has accepted them. Watching never slows the
    delivery: what cannot be shown in time is left out, and counted. A line is the time (UTC), the
    exporter, code, verb, resource, namespace/name and user; `-` where the event has none.

    \b
    Examples:
      k8s-audit-otlp tap -c agent.yaml --match verb=delete --match 'user=*@x.com'
      k8s-audit-otlp tap -c agent.yaml --match code=4xx --json

    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    for record in filter(None, records):
        click.echo(record.as_json() if as_json else line_of(record))


@click.command("top")
@_watching
def top(records: Iterator[Watched | None]) -> None:
    """Show who and what makes the volume right now.

    Counts what has left since it was started, by user, verb and resource, the largest first.
    """
    volume, screen, shown = Volume(), console(), 0.0
    try:
        with Live(console=screen, auto_refresh=False, transient=True) as live:
            picture = LiveView(live)
            for record in records:
                if record is not None:
                    volume.add(record)
                if screen.is_terminal and time.monotonic() - shown >= _REFRESH_S:
                    picture.show(_view(volume, screen))
                    shown = time.monotonic()
    finally:  # Ctrl-C is how a person ends it, who wants to read on
        screen.print(_view(volume, screen))


def _match(wishes: tuple[str, ...], exporter: str | None) -> Match:
    try:
        return Match([*wishes, *([f"exporter={exporter}"] if exporter else [])])
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--match") from None


def _refuse_unknown(exporter: str | None, directory: Path) -> None:
    """Refuse an exporter that the agent has not: nothing of it would ever come."""
    report = last_report(directory)
    known = {view.exporter for view in report.exporters} if report else set[str]()
    if exporter and known and exporter not in known:
        die(f"the agent has no exporter {exporter}; {suggest(exporter, known)}")


def _connect(directory: Path) -> socket.socket:
    try:
        stream = connect(directory)
    except PermissionError:
        die(f"{directory}: its agent may not be watched by this user; run it as the agent's", STATE)
    except OSError:
        why = "no agent runs with this state directory; start one with run"
        with suppress(OSError):
            if pid := StateLock(directory).holder():
                why = f"process {pid} opens no socket; it is starting, or may not write: see status"
        die(f"{directory}: {why}", STATE)
    say(f"watching the agent of {directory}; Ctrl-C ends it")
    return stream


def _connect_again(directory: Path) -> socket.socket | None:
    end = time.monotonic() + _RELOAD_S
    while time.monotonic() < end:
        with suppress(OSError):
            return connect(directory)
        time.sleep(0.1)
    return None


def _records(
    stream: socket.socket, directory: Path, seconds: float | None
) -> Iterator[Watched | None]:
    """Yield what comes, and None now and then while nothing does; end with the agent."""
    queue: Queue[Any] = Queue(_MOST_WAITING)
    missed, told = 0, 0.0
    end = None if seconds is None else time.monotonic() + seconds

    def receive() -> None:
        again: socket.socket | None = stream
        while again is not None:  # a reload closes the socket for a moment
            with again, suppress(OSError):
                for frame in frames(again):
                    queue.put(frame)
            again = _connect_again(directory)
        queue.put(_DONE)

    Thread(target=receive, name="receive", daemon=True).start()
    while end is None or time.monotonic() < end:
        try:
            found = queue.get(timeout=0.1)
        except Empty:
            yield None
            continue
        if found is _DONE:
            say("the agent has stopped")
            return
        exporter, record = found
        if exporter:
            yield read(exporter, record)
        elif count := left_out(record):
            missed += count
            if time.monotonic() - told >= _REFRESH_S:
                told = time.monotonic()
                say(f"left out so far, as it came too fast: {counted(missed, 'record')}")
        else:
            die(f"{MAX_READERS} others watch this agent already, which is the most", STATE)


def _view(volume: Volume, screen: Console) -> Group:
    table = FittingTable(_TITLES, 3)
    most = max(3, (screen.height - _AROUND) // (1 if screen.width >= _WIDE else 4))
    for user, verb, resource, events, count in volume.rows(most):
        table.add_row(user, verb, resource, f"{events:,}", size(count), share(count, volume.size))
    return Group(
        table, Text(f"{counted(volume.events, 'event')}, {size(volume.size)} since the start")
    )
