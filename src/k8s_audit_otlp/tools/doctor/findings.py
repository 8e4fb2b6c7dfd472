"""What a check may say. Values only."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import NamedTuple, TypeAlias, TypeVar


class State(StrEnum):
    """How one thing is. Only `fail` makes the command fail."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIPPED = "skipped"


class CheckResult(NamedTuple):
    """How it is, why, and the hint ('' where none is needed)."""

    state: State
    why: str
    hint: str = ""


def ok(why: str) -> CheckResult:
    return CheckResult(State.OK, why)


def warn(why: str, hint: str) -> CheckResult:
    return CheckResult(State.WARN, why, hint)


def fail(why: str, hint: str) -> CheckResult:
    return CheckResult(State.FAIL, why, hint)


def skipped(why: str, hint: str = "") -> CheckResult:
    return CheckResult(State.SKIPPED, why, hint)


Facts = TypeVar("Facts")
# A group's table: stable names, and who answers; None where a check does not apply.
Checks: TypeAlias = Mapping[str, Callable[[Facts], CheckResult | None]]


class Finding(NamedTuple):
    """What one check says about one thing: a log, an exporter, this host."""

    check: str
    subject: str
    state: State
    why: str
    hint: str = ""
