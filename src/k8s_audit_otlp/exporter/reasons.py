"""Describes outcomes and unexpected errors, in words and as labels of counters. Pure."""

import traceback
from pathlib import PurePath
from typing import assert_never

from k8s_audit_otlp.model import Delivered, Misconfigured, Outcome, Rejected, Retry, TooLarge

_PACKAGE = PurePath(__file__).parents[1].name


def describe(error: BaseException) -> str:
    """Return the kind of an *error* that nobody foresaw, and the place in this program.

    Its text is left out: it may quote an event, and events hold secrets.
    """
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _PACKAGE in PurePath(frame.filename).parts]
    where = f" at {PurePath(own[-1].filename).name}:{own[-1].lineno}" if own else ""
    return f"unforeseen {type(error).__name__}{where}"


def why_of(outcome: Outcome) -> str:
    """Return the reason of an outcome, for people."""
    return outcome.message if isinstance(outcome, Delivered) else outcome.why


def reason_of(outcome: Outcome) -> str:
    """Return the reason of an outcome from a closed set, for counters."""
    match outcome:
        case Delivered():
            return "delivered"
        case Retry(reached=False):
            return "connection"
        case Retry():
            return "retryable"
        case TooLarge():
            return "too_large"
        case Rejected():
            return "rejected"
        case Misconfigured():
            return "misconfigured"
        case _ as never:
            assert_never(never)
