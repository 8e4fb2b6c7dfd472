"""Says whether the agent lives and whether it is ready, each with the reasons. Pure.

Alive: no thread of it is dead and the commit loop comes round. Else only a restart helps.
Ready: the log can be read, positions can be written, and some exporter delivers or has nothing to
deliver. What a back end answered is not shown: it may echo a key; the agent's log has it.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from threading import Lock
from typing import Any, Final, Generic, TypeVar

from k8s_audit_otlp.telemetry.views import ExporterView, HealthView

CONFIG_REFUSED_TEXT = (
    "changed configuration is refused and the one before runs on: `reload_refused` in its log, or "
    "`validate`, says why; mend it and reload again"
)
KEPT_OUT_TEXT = (
    "is not read yet: a file that the configuration names is wrong by now, `validate` says which"
)
FAILING_S = 60.0  # a request that failed is tried again; so long it is no passing trouble
FRESH_S = 0.2  # an answer is given again so long: a thousand requests a second cost five
LATE_S = 60.0  # a commit takes milliseconds; a disk that syncs slowly is no reason for a restart

# what to do, by the reason of the last failure; the agent's log has the answer itself
_NEXT: Final[Mapping[str, str]] = {
    "connection": "See that {} answers from this node, and what lies between: "
    "`k8s-audit-otlp doctor` tries it.",
    "retryable": "The back end is busy or down; look at its side.",
    "too_large": "Requests are split; see the back end's limit.",
    "rejected": "The request is split until the record at fault is found. Where all are refused a "
    "setting is wrong: `k8s-audit-otlp status` quotes the answer.",
    "misconfigured": "A key, a path or a certificate, here or at the back end, is not right: "
    "`k8s-audit-otlp status` quotes it. Correct it; where the configuration changed, reload, and "
    "restart where the environment did.",
}
_FILE: Final = "See that what it writes to is there and has room."
_SAFE: Final = "Nothing is lost while the log is kept. "
_HELD: Final = (
    "Files that were deleted hold a part of its backlog, and this process alone has it: do not "
    "restart it before that is sent; a reload is safe. "
)

T = TypeVar("T")


class Cached(Generic[T]):
    """A value that is made anew when it is old; whoever asks meanwhile waits for it."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = Lock()
        self._value: tuple[float, T] | None = None

    @property
    def fresh(self) -> T | None:
        """The value where it need not be made anew; asking never waits."""
        made = self._value
        return made[1] if made and time.monotonic() - made[0] <= FRESH_S else None

    def __call__(self) -> T:
        with self._lock:
            if (value := self.fresh) is None:
                value = self._make()
                self._value = time.monotonic(), value
            return value


@dataclass(frozen=True, slots=True)
class Health:
    """The answer to one probe. `reasons` is empty exactly where it is good."""

    reasons: tuple[str, ...]
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        return not self.reasons

    def as_json(self) -> dict[str, Any]:
        return {
            "status": "ok" if self.good else "failed",
            "reasons": list(self.reasons),
            **self.details,
        }


def liveness(view: HealthView) -> Health:
    """Say whether the process still works at all."""
    reasons = [f"the thread {name!r} is dead" for name in view.dead_threads]
    if view.beat_age_s > LATE_S:
        reasons.append(f"positions were not looked at for {view.beat_age_s:.0f} s")
    return Health(tuple(reasons), {"beat_age_s": round(view.beat_age_s, 1)})


def readiness(view: HealthView) -> Health:
    """Say whether events can flow."""
    return Health(
        tuple(_obstacles(view)),
        {
            "logs": [asdict(log) for log in view.logs],
            "exporters": [
                exporter.as_json() | {"works": _works(exporter)} for exporter in view.exporters
            ],
            "sources": [asdict(source) for source in view.sources],
            "commit_error": view.commit_error,
        },
    )


def _obstacles(view: HealthView) -> Iterator[str]:
    if not view.logs:
        yield "no log is being read yet"
    for log in view.logs:
        if log.trouble:
            yield f"{log.path}: {log.trouble} (`k8s-audit-otlp doctor` looks into it)"
    for source in view.sources:
        if not source.alive:
            yield f"{source.source} takes nothing: its thread is dead"
        for spool in source.spools:
            if spool.trouble:
                yield f"{spool.receiver} takes nothing: {spool.trouble}"
    if view.commit_error:
        yield (
            f"positions cannot be written: {view.commit_error}; delivery goes on, and what it "
            "delivers is sent again after a restart: make room in the state "
            "directory, or let the agent's user write there"
        )
    if not any(_works(exporter) for exporter in view.exporters):
        each = "; ".join(f"{e.exporter}: {_why_not(e)}" for e in view.exporters)
        yield f"no exporter delivers: {each or 'there is none'}"


def _why_not(exporter: ExporterView) -> str:
    if exporter.stalled:
        return exporter.stalled
    since = "yet" if not exporter.acknowledged_at else "since its requests fail"
    return f"nothing was acknowledged {since}: `k8s-audit-otlp status` says what it answers"


def _works(exporter: ExporterView) -> bool:
    if exporter.stalled or not exporter.backlog_bytes:
        return not exporter.stalled
    failing_s = exporter.trouble_at - exporter.acknowledged_at
    late = min(exporter.backlog_s, failing_s) > FAILING_S  # neither quiet before, nor just behind
    return exporter.acknowledged_at > 0 and not late


def next_step(view: ExporterView) -> str:
    """Say whether its trouble loses anything, and what to do; '' where it has none."""
    if view.well:
        return ""
    why = "connection" if view.state == "no answer yet" else view.trouble
    said = "" if view.stalled else _NEXT.get(why, "").format(view.endpoint)
    if why == "connection" and not view.endpoint:
        said = _FILE
    if view.only_here_bytes:
        return _HELD + said
    return said if view.gone_bytes or view.runs_short else _SAFE + said
