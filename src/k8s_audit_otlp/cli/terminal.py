"""What a person sees at a terminal: a console as wide as it is, and a bar for a long reading."""

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Final

import click

from k8s_audit_otlp.telemetry.terminal_safe import visible

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

_LABEL: Final = re.compile(r" *(?:\S+ {2,})?(?:\S+(?= {2,}) +)?")
_PIPE_WIDTH = 120  # columns where nobody watches


def console(*, err: bool = False) -> "Console":
    """Return a console as wide as the terminal is at any moment; `COLUMNS` overrides it."""
    from rich.console import Console  # noqa: PLC0415 - not for --json, and slow to import

    stream = sys.stderr if err else sys.stdout
    asked = os.environ.get("COLUMNS", "").isdecimal()
    watched = stream.isatty() or sys.stderr.isatty()  # as through a pager: rich finds its width
    width = None if asked or watched else _PIPE_WIDTH
    return Console(stderr=err, highlight=False, width=width)


class LiveView:
    """Shows one picture after the other in the same place of a terminal."""

    def __init__(self, live: "Live") -> None:
        self._live = live
        self._size = live.console.size

    def show(self, picture: "RenderableType") -> None:
        """Show *picture* now; a terminal of another size has folded what is there, so it goes."""
        screen = self._live.console
        if screen.size != self._size:
            self._size = screen.size
            screen.clear()
        self._live.update(picture, refresh=True)


def echo(text: str, *, head: str = "", err: bool = False, **style: Any) -> None:
    """Write lines folded to the terminal's width, under where their text begins.

    What a line quotes may be hostile, so it commands no terminal.
    Where nobody watches they stay as they are, so that they can be searched. *style*: click's, of
    *head*, which stands before each line, or of the line where there is none.
    """
    width = shutil.get_terminal_size().columns
    stream = sys.stderr if err else sys.stdout
    write = click.secho if style else click.echo  # without a style it writes a reset all the same
    for line in map(visible, text.split("\n")):
        folded = [head + line]
        if stream.isatty() and len(folded[0]) > width:
            label = _LABEL.match(line)
            indent = " " * min(len(head) or (label.end() if label else 0), width // 2)
            folded = wrap(head + line, width, subsequent_indent=indent, break_on_hyphens=False)
        if head:
            write(head, nl=False, err=err, **style)
            click.echo("\n".join([folded[0][len(head) :], *folded[1:]]), err=err)
        else:
            write("\n".join(folded), err=err, **style)


def echo_json(value: object, indent: int | None = 2) -> None:
    """Write plain values for a program; no sign of them commands a terminal."""
    click.echo(json.dumps(value, indent=indent, default=str))


@contextmanager
def reading(total: int, what: str) -> Iterator[Callable[[int], None]]:
    """Show how much of *total* bytes is read, where standard error is a terminal."""
    if not sys.stderr.isatty() or not total:
        yield lambda _: None
        return
    from rich.progress import (  # noqa: PLC0415 - only where somebody watches
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn(what),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console(err=True), transient=True) as bar:
        task = bar.add_task(what, total=total)

        def advance(size: int) -> None:
            bar.advance(task, size)

        yield advance
