"""The bar of `run`: how much of the backlog at the start is delivered."""

import sys
from contextlib import AbstractContextManager, nullcontext
from threading import Event, Thread

from k8s_audit_otlp.agent.agent import Agent
from k8s_audit_otlp.telemetry.backlog import backlog_bytes

_WORTH_A_BAR = 8 * 1024 * 1024  # bytes of backlog that take long enough to watch


def progress(agent: Agent) -> AbstractContextManager[object]:
    """Show a bar where somebody watches and there is something to wait for."""
    total = sum(backlog_bytes(c) for c in agent.subscriptions())
    if not sys.stderr.isatty() or total < _WORTH_A_BAR:
        return nullcontext()
    return _Bar(agent, total)


class _Bar:
    """A progress bar of the backlog at the start; it leaves when that is delivered."""

    def __init__(self, agent: Agent, total: int) -> None:
        from rich.console import Console  # noqa: PLC0415 - only where somebody watches
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self._agent = agent
        self._total = total
        self._done = Event()
        self._progress = Progress(
            TextColumn("backlog"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._thread = Thread(target=self._show, name="progress", daemon=True)

    def _show(self) -> None:
        task = self._progress.add_task("backlog", total=self._total)
        with self._progress:
            while not self._done.wait(0.2):
                left = sum(backlog_bytes(c) for c in self._agent.subscriptions())
                self._progress.update(task, completed=max(0, self._total - left))
                if left == 0:
                    return

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
