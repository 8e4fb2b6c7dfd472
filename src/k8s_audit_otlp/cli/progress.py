"""A bar for whoever watches a long reading. A number of bytes in, a function that moves it out."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def reading(total: int, what: str) -> Iterator[Callable[[int], None]]:
    """Show how much of *total* bytes is read, where standard error is a terminal."""
    if not sys.stderr.isatty() or not total:
        yield lambda _: None
        return
    from rich.console import Console  # noqa: PLC0415 - only where somebody watches
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn(what), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)

        def advance(size: int) -> None:
            bar.advance(task, size)

        yield advance
