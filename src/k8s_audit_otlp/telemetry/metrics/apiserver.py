"""Reads what a kube-apiserver counts of its own audit log, to compare it with what is read here.

`apiserver_audit_event_total` counts each event that went to the audit back end,
`apiserver_audit_error_total{plugin}` those that could not be written: no agent brings them back.
Source: k8s.io/apiserver pkg/audit/metrics.go
"""

import http.client
import logging
import re
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Final, NamedTuple

from k8s_audit_otlp.config.blocks import Tls
from k8s_audit_otlp.config.service import ApiserverMetrics
from k8s_audit_otlp.telemetry.logs import fields
from k8s_audit_otlp.telemetry.metrics.registry import Sample
from k8s_audit_otlp.telemetry.metrics.table import (
    APISERVER_ERRORS,
    APISERVER_EVENTS,
    APISERVER_UP,
)
from k8s_audit_otlp.transport.tls import TlsError, make_context
from k8s_audit_otlp.transport.url import Url

logger = logging.getLogger("k8s_audit_otlp")

_TIMEOUT_S: Final = 10.0
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


class Compared(NamedTuple):
    """Events since a moment: as the apiserver counts them, and as they were read of its log."""

    counted: float
    read: int
    since: float  # seconds since the epoch
    errors: float  # events that the apiserver says it could not write


class ApiserverReader:
    """Reads in a thread of its own; the newest counts can be asked for at any time."""

    def __init__(self, block: ApiserverMetrics, events_read: Callable[[], int]) -> None:
        """*events_read*: how many events of the log were read until now."""
        self._block = block
        self._events_read = events_read
        self._read_before = 0
        self._stop = Event()
        self._lock = Lock()
        self._first: ApiserverCounts | None = None
        self._last: ApiserverCounts | None = None
        self.trouble = ""  # why the last reading failed, '' where it did not
        self._thread = Thread(target=self._run, name="apiserver metrics", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    def compared(self) -> Compared | None:
        """Hold its count against what was read, None where it told none yet."""
        with self._lock:
            if self._first is None or self._last is None:
                return None
            counted = self._last.events - self._first.events
            errors = sum(self._last.errors.values()) - sum(self._first.errors.values())
            read = self._events_read() - self._read_before
            return Compared(counted, read, self._first.at, errors)

    def samples(self) -> Iterator[Sample]:
        """Yield the metrics as they are told on."""
        with self._lock:
            last, trouble = self._last, self.trouble
        if last is None and not trouble:
            return
        yield APISERVER_UP, {}, int(not trouble)
        if last is not None:
            yield APISERVER_EVENTS, {}, last.events
            for plugin, count in last.errors.items():
                yield APISERVER_ERRORS, {"plugin": plugin}, count

    def _run(self) -> None:
        while True:
            self.read()
            if self._stop.wait(self._block.interval_s):
                return

    def read(self) -> None:
        """Read once; what goes wrong is said, never raised."""
        try:
            counts = self._fetch()
        except (OSError, http.client.HTTPException, TlsError, ValueError) as error:
            self._failed(_why(error))
            return
        with self._lock:
            before, self._last, self.trouble = self._last, counts, ""
            if self._first is None or counts.events < self._first.events:
                self._first = counts  # or it was started again
                self._read_before = self._events_read()
        more = sum(counts.errors.values()) - sum(before.errors.values()) if before else 0
        if more > 0:
            text = "kube-apiserver could not write %d audit events: see its disk and its log"
            logger.error(text, more, extra=fields("apiserver_errors", count=more))

    def _failed(self, why: str) -> None:
        with self._lock:
            self.trouble = why
        text = "the apiserver's own metrics cannot be read: %s; events are not concerned"
        logger.warning(text, why, extra=fields("apiserver_unread", reason=why))

    def _fetch(self) -> ApiserverCounts:
        block = self._block
        assert block.url is not None  # noqa: S101 - else nobody makes a reader
        url = Url.parse(block.url.resolve())
        headers = {"accept": "text/plain"}
        if block.token_file:
            token = Path(block.token_file).read_text(encoding="ascii").strip()
            headers["authorization"] = f"Bearer {token}"
        connection = self._connection(url)
        try:
            connection.request("GET", url.target, headers=headers)
            answer = connection.getresponse()
            if answer.status != http.client.OK:
                raise ValueError(_refusal(answer.status))
            return self._parse(answer)
        finally:
            connection.close()

    def _connection(self, url: Url) -> http.client.HTTPConnection:
        if url.scheme == "http":
            return http.client.HTTPConnection(*url.address, timeout=_TIMEOUT_S)
        block = self._block
        tls = Tls(ca_file=block.ca_file, insecure_skip_verify=block.insecure_skip_verify)
        context = make_context(tls)
        return http.client.HTTPSConnection(*url.address, timeout=_TIMEOUT_S, context=context)

    def _parse(self, answer: http.client.HTTPResponse) -> ApiserverCounts:
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
        return ApiserverCounts(time.time(), events, errors)


def _refusal(status: int) -> str:
    if status in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
        return f"it answers {status}; see token_file, and the right to get /metrics"
    return f"it answers {status}; see url"


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason}; see ca_file"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error) or type(error).__name__
