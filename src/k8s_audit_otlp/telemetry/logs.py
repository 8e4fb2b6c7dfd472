"""The agent's own log: one stream of lines, for people or as JSON, equal ones once a minute.

A line may carry fields (`extra=fields("gap", exporter=…)`); JSON shows them beside the message.
"""

import json
import logging
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO

Level = Literal["debug", "info", "warn", "error"]

LEVELS: Final[Mapping[str, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}
_REPEAT_S = 60.0  # an outage must not fill the disk that the audit log lives on
_MAX_REMEMBERED = 512  # different lines of one minute
# opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables
_OTEL_LEVELS: Final[Mapping[str, Level]] = {
    "trace": "debug", "debug": "debug", "info": "info", "warn": "warn", "warning": "warn",
    "error": "error", "fatal": "error", "none": "error",
}  # fmt: skip


def fields(event: str, **more: object) -> dict[str, Any]:
    """Return the `extra` of a log line: what happened, and to whom."""
    return {"fields": {"event": event, **more}}


def level_of(configured: Level | None, env: Mapping[str, str]) -> Level:
    """Return the level: the configuration's, else OTEL_LOG_LEVEL, else info."""
    return configured or _OTEL_LEVELS.get(env.get("OTEL_LOG_LEVEL", "").lower(), "info")


def _stamp(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _message(record: logging.LogRecord) -> str:
    more = getattr(record, "repeated", 0)
    return record.getMessage() + (f" ({more} more times)" if more else "")


class _Console(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = f"{_stamp(record)} {record.levelname.lower():7} {_message(record)}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _stamp(record),
            "level": record.levelname.lower(),
            "message": _message(record),
            "event": record.module,  # what has no name of its own
            **getattr(record, "fields", {}),
        }
        if more := getattr(record, "repeated", 0):
            line["repeated"] = more
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class _OnceAMinute(logging.Filter):
    """Holds back a line that was written less than a minute ago, and counts it."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._last: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info:
            return True
        # What has other fields is about something else: a second gap of the same file.
        more = getattr(record, "fields", {})
        text, now = f"{record.levelno} {record.getMessage()} {more}", self._monotonic()
        at, held = self._last.get(text, (now - _REPEAT_S, 0))
        if now - at < _REPEAT_S:
            self._last[text] = (at, held + 1)
            return False
        if len(self._last) >= _MAX_REMEMBERED:
            self._last.clear()
        self._last[text] = (now, 0)
        record.repeated = held
        return True


def set_up_logs(
    level: Level,
    encoding: Literal["console", "json"],
    stream: TextIO = sys.stderr,
    *,
    monotonic: Callable[[], float] = time.monotonic,
) -> None:
    """Send the log lines of the process to *stream*."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Json() if encoding == "json" else _Console())
    handler.addFilter(_OnceAMinute(monotonic))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(LEVELS[level])
    logging.captureWarnings(capture=True)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # its warnings contain paths of URLs
    for name in ("watchdog", "asyncio", "grpc"):
        logging.getLogger(name).setLevel(logging.WARNING)
