"""What a check may say. Values only."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, NamedTuple, TypeVar


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


@dataclass(frozen=True, slots=True)
class Check(Generic[Facts]):
    """One row of a group's table: a stable name, and who answers; None where it does not apply."""

    name: str
    look: Callable[[Facts], CheckResult | None]


class Finding(NamedTuple):
    """What one check says about one thing: a log, an exporter, this host."""

    check: str
    subject: str
    state: State
    why: str
    hint: str = ""
