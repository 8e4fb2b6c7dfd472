"""The agent's own log: one stream of lines, for people or as JSON, equal ones once a minute.

A line names what happened and may carry fields (`logger.error("gap", text, exporter=…)`); JSON
shows them beside the message. Lines whose words change are equal where they have the same `once`.
"""

import json
import logging
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Timer
from typing import Any, Final, Literal, TextIO

from k8s_audit_otlp.telemetry.terminal_safe import visible, visible_json, visible_lines

Level = Literal["debug", "info", "warn", "error"]

LEVELS: Final[Mapping[str, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}
_LATE_S = 1.0  # so long after it happened a line tells of the past
_REPEAT_S = 60.0  # an outage must not fill the disk that the audit log lives on
_TOOK = re.compile(r"\b\d+ ?ms\b")  # what differs only in how long it took is the same again
_MAX_REMEMBERED = 512  # different lines of one minute
# opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables
_OTEL_LEVELS: Final[Mapping[str, Level]] = {
    "trace": "debug", "debug": "debug", "info": "info", "warn": "warn", "warning": "warn",
    "error": "error", "fatal": "error", "none": "error",
}  # fmt: skip


class EventLogger:
    """Writes lines that name what happened, with fields."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def log(
        self,
        level: int,
        event: str,
        text: str,
        *,
        once: str = "",
        exc_info: BaseException | None = None,
        **fields: object,
    ) -> None:
        """Write *text*; lines with the same *once* are equal, whatever they say."""
        extra = {"fields": {"event": event, **fields}, **({"once": once} if once else {})}
        self._logger.log(level, "%s", text, exc_info=exc_info, extra=extra)

    def debug(self, event: str, text: str, **fields: Any) -> None:
        self.log(logging.DEBUG, event, text, **fields)

    def info(self, event: str, text: str, **fields: Any) -> None:
        self.log(logging.INFO, event, text, **fields)

    def warning(self, event: str, text: str, **fields: Any) -> None:
        self.log(logging.WARNING, event, text, **fields)

    def error(self, event: str, text: str, **fields: Any) -> None:
        self.log(logging.ERROR, event, text, **fields)


logger = EventLogger("k8s_audit_otlp")


def level_of(configured: Level | None, env: Mapping[str, str]) -> Level:
    """Return the level: the configuration's, else OTEL_LOG_LEVEL, else info."""
    return configured or _OTEL_LEVELS.get(env.get("OTEL_LOG_LEVEL", "").lower(), "info")


def unknown_level(env: Mapping[str, str]) -> str:
    """Return what OTEL_LOG_LEVEL says where that is no level, else ''."""
    named = env.get("OTEL_LOG_LEVEL", "")
    return "" if named.lower() in {"", *_OTEL_LEVELS} else named


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def _message(record: logging.LogRecord) -> str:
    """Say what happened, how often more, and when the last time, if that was held back."""
    more = getattr(record, "repeated", 0)
    said = [f"{more} more time{'s' * (more > 1)}"] if more else []
    if time.time() - record.created >= _LATE_S:
        said.append(f"the last at {_stamp(record.created)[11:19]}")
    return record.getMessage() + (f" ({', '.join(said)})" if said else "")


class _Console(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = f"{_stamp(time.time())} {record.levelname.lower():7} {visible(_message(record))}"
        if not record.exc_info:
            return text
        return f"{text}\n{visible_lines(self.formatException(record.exc_info))}"


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _stamp(time.time()),
            "level": record.levelname.lower(),
            "message": _message(record),
            "event": record.module,  # what has no name of its own
            **getattr(record, "fields", {}),
        }
        if more := getattr(record, "repeated", 0):
            line["repeated"] = more
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return visible_json(json.dumps(line, ensure_ascii=False, default=str))


@dataclass(slots=True)
class _RecentLine:
    """When a line was written, and what was held back since: how many, and the last of them."""

    at: float
    level: int
    held: int = 0
    last: logging.LogRecord | None = None


class _HoldBack(logging.Handler):
    """Holds back a line that was written less than a minute ago.

    The last of those held back is written when the minute is over, and says when it was: what is
    wrong for the second time and stays so is not kept quiet. The time of a line is that of its
    writing, so none goes back.
    """

    def __init__(
        self, target: logging.Handler, monotonic: Callable[[], float], repeat_s: float
    ) -> None:
        super().__init__()
        self._repeat_s = repeat_s
        self._target = target
        self._monotonic = monotonic
        self._recent: dict[str, _RecentLine] = {}
        self._timer: Timer | None = None

    def emit(self, record: logging.LogRecord) -> None:
        # What has other fields is about something else: a second gap of the same file.
        more = getattr(record, "fields", {})
        text = _TOOK.sub("", f"{record.levelno} {record.getMessage()} {more}")
        text, now = getattr(record, "once", text), self._monotonic()
        said = self._recent.get(text)
        if said is not None and now - said.at < self._repeat_s:
            said.held, said.last = said.held + 1, record
            self._wait(self._repeat_s - (now - said.at))
            return
        if len(self._recent) >= _MAX_REMEMBERED:
            self._write_held()
            self._recent.clear()
        self._write(record, said.held if said is not None else 0)
        self._recent[text] = _RecentLine(now, record.levelno)

    def write_to(self, target: logging.Handler) -> None:
        """Write to *target* from now on; of troubles the minute goes on, the rest is told anew."""
        with self._guard():
            self._target = target
            for text, said in list(self._recent.items()):
                if said.level < logging.WARNING and not said.held:
                    del self._recent[text]

    def flush(self) -> None:
        """Write what is held back: nobody will be there when the minute is over."""
        with self._guard():
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._write_held()
            self._recent.clear()  # the timer may wait for its turn already, and finds nothing

    def close(self) -> None:
        self.flush()
        super().close()

    def _wait(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = Timer(seconds, self._minute_is_over)
            self._timer.daemon = True
            self._timer.start()

    def _minute_is_over(self) -> None:
        """Write all that is held: in the order of their times the last one says how it is now."""
        with self._guard():
            self._timer = None
            now = self._monotonic()
            held = {text: said.level for text, said in self._recent.items() if said.held}
            self._write_held()
            self._recent.update({text: _RecentLine(now, level) for text, level in held.items()})

    def _write_held(self) -> None:
        lines = [(said.last, said.held - 1) for said in self._recent.values() if said.last]
        for record, more in sorted(lines, key=lambda line: line[0].created):
            self._write(record, more)

    def _write(self, record: logging.LogRecord, repeated: int) -> None:
        record.repeated = repeated
        self._target.handle(record)

    def _guard(self) -> AbstractContextManager[object]:
        return self.lock or nullcontext()


def set_up_logs(
    level: Level,
    encoding: Literal["console", "json"],
    stream: TextIO = sys.stderr,
    *,
    monotonic: Callable[[], float] = time.monotonic,
    repeat_s: float = _REPEAT_S,
) -> None:
    """Send the log lines of the process to *stream*; equal ones once in *repeat_s*.

    Called again, as after a reload, the clock and *repeat_s* are those of the first time.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Json() if encoding == "json" else _Console())
    root = logging.getLogger()
    earlier = [one for one in root.handlers if isinstance(one, _HoldBack)]
    for one in earlier:
        one.write_to(handler)
    root.handlers[:] = earlier or [_HoldBack(handler, monotonic, repeat_s)]
    root.setLevel(LEVELS[level])
    logging.captureWarnings(capture=True)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # its warnings contain paths of URLs
    for name in ("asyncio", "grpc"):
        logging.getLogger(name).setLevel(logging.WARNING)


def log_tracebacks() -> None:
    """Make what nobody foresaw a line of the log, whichever thread it ends."""

    def say(where: str, error: BaseException | None) -> None:
        text = f"{where}: something that nobody foresaw: {error!r}"
        logger.log(logging.ERROR, "failed", text, exc_info=error, part=where)

    sys.excepthook = lambda _, error, __: say("the process ends", error)
    threading.excepthook = lambda of: say(of.thread.name if of.thread else "", of.exc_value)
    sys.unraisablehook = lambda of: say(f"{of.err_msg or 'in'} {of.object!r}", of.exc_value)
