"""The agent's own log: a level and an encoding in, a configured root logger out."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal, TextIO

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}


def _stamp(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


class _Console(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = f"{_stamp(record)} {record.levelname.lower():7} {record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _stamp(record),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def set_up_logs(
    level: Literal["debug", "info", "warn", "error"],
    encoding: Literal["console", "json"],
    stream: TextIO = sys.stderr,
) -> None:
    """Send the package's log lines to *stream*."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Json() if encoding == "json" else _Console())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(LEVELS[level])
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # its warnings contain paths of URLs
    logging.getLogger("watchdog").setLevel(logging.WARNING)
