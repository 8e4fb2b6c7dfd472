"""Reads what a kube-apiserver counts of its own audit log, to compare it with what is read here.

`apiserver_audit_event_total` counts each event that went to the audit back end,
`apiserver_audit_error_total{plugin}` those that could not be written: no agent brings them back.
Source: k8s.io/apiserver pkg/audit/metrics.go
"""

import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Final

from k8s_audit_otlp.config.blocks import Tls
from k8s_audit_otlp.config.service import ApiserverMetrics
from k8s_audit_otlp.telemetry.logs import logger
from k8s_audit_otlp.telemetry.views import ApiserverView
from k8s_audit_otlp.transport.connection import ConnectError, Connections, ask
from k8s_audit_otlp.transport.tls import TlsError, make_context
from k8s_audit_otlp.transport.url import Url

_TIMEOUT_S: Final = 10.0
_HOUR_S: Final = 3600.0  # what is compared; a loss of today must not drown in a year
_EVERY_S: Final = 60.0
_MAX_LINE: Final = 64 * 1024
_MAX_BYTES: Final = 256 * 1024 * 1024  # an apiserver tells megabytes
_LINE: Final = re.compile(rb"apiserver_audit_(event|error)_total(?:\{(.*)\})? ([0-9.e+]+)")
_PLUGIN: Final = re.compile(rb'plugin="([\w-]+)"')


@dataclass(frozen=True, slots=True)
class ApiserverCounts:
    """What one reading told. Counts are events since the apiserver began."""

    at: float  # seconds since the epoch
    events: float
    errors: dict[str, float] = field(default_factory=dict)  # by plugin
    read: int = 0  # of its log until then


class ApiserverReader:
    """Reads in a thread of its own; the newest counts can be asked for at any time."""

    def __init__(
        self,
        block: ApiserverMetrics,
        events_read: Callable[[], int],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """*events_read*: how many events of the log were read until now."""
        self._block = block
        self._events_read = events_read
        self._clock = clock
        self._stop = Event()
        self._lock = Lock()
        self._readings: deque[ApiserverCounts] = deque()  # about one a minute of the last hour
        self._last: ApiserverCounts | None = None
        self._unwritten = 0.0
        self._trouble = ""  # why the last reading failed, '' where it did not
        self._thread = Thread(target=self._run, name="apiserver metrics", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    def view(self) -> ApiserverView:
        """Hold its count against what was read."""
        with self._lock:
            last = self._last
            if last is None:
                return ApiserverView(self._trouble)
            first = self._readings[0]
            return ApiserverView(
                self._trouble,
                last.events,
                last.errors,
                self._unwritten,
                first.at,
                last.events - first.events,
                self._events_read() - first.read,
            )

    def _run(self) -> None:
        while True:
            self.read()
            if self._stop.wait(self._block.interval_s):
                return

    def read(self) -> None:
        """Read once; what goes wrong is said, never raised."""
        try:
            counts = self._fetch()
        except (ConnectError, OSError, HTTPException, TlsError, ValueError) as error:
            self._failed(_why(error))
            return
        with self._lock:
            before, self._last, self._trouble = self._last, counts, ""
            self._keep(counts, before)
            more = sum(counts.errors.values()) - sum(before.errors.values()) if before else 0.0
            self._unwritten += max(0.0, more)
        if more > 0:
            text = (
                f"kube-apiserver could not write {more:.0f} audit events: see its disk and its log"
            )
            logger.error("apiserver_errors", text, count=more)

    def _keep(self, counts: ApiserverCounts, before: ApiserverCounts | None) -> None:
        """Keep what the last hour is measured from; an apiserver that began anew counts anew."""
        readings = self._readings
        if before is not None and (counts.events < before.events or counts.at < before.at):
            readings.clear()
        if not readings or counts.at - readings[-1].at >= _EVERY_S:
            readings.append(counts)
        while len(readings) > 1 and readings[1].at <= counts.at - _HOUR_S:
            readings.popleft()

    def _failed(self, why: str) -> None:
        with self._lock:
            self._trouble = why
        text = f"the apiserver's own metrics cannot be read: {why}; events are not concerned"
        logger.warning("apiserver_unread", text, reason=why)

    def _fetch(self) -> ApiserverCounts:
        block = self._block
        assert block.url is not None  # noqa: S101 - else nobody makes a reader
        url = Url.parse(block.url.resolve())
        headers = {"accept": "text/plain"}
        if block.token_file:
            token = Path(block.token_file).read_text(encoding="ascii").strip()
            headers["authorization"] = f"Bearer {token}"
        tls = Tls(ca_file=block.ca_file, insecure_skip_verify=block.insecure_skip_verify)
        connections = Connections(url, context=lambda: make_context(tls))
        with ask(connections, "GET", url.target, headers, _TIMEOUT_S) as answer:
            if answer.status != HTTPStatus.OK:
                raise ValueError(_refusal(answer.status))
            return self._parse(answer)

    def _parse(self, answer: HTTPResponse) -> ApiserverCounts:
        events: float | None = None
        errors: dict[str, float] = {}
        left = _MAX_BYTES
        while left > 0 and (line := answer.readline(_MAX_LINE)):
            left -= len(line)
            if (found := _LINE.match(line)) is None:
                continue
            value = float(found[3])
            if found[1] == b"event":
                events = (events or 0.0) + value
            elif plugin := _PLUGIN.search(found[2] or b""):
                errors[plugin[1].decode()] = value
        if events is None:
            raise ValueError("it tells no apiserver_audit_event_total: is this a kube-apiserver?")
        return ApiserverCounts(self._clock(), events, errors, self._events_read())


def _refusal(status: int) -> str:
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return f"it answers {status}; see token_file, and the right to get /metrics"
    return f"it answers {status}; see url"


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error).replace("tls::", "") or type(error).__name__
