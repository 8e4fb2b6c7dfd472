"""An outcome in, its reason for people and for counters out. Pure."""

from typing import assert_never

from k8s_audit_otlp.model import Delivered, Misconfigured, Outcome, Rejected, Retry, TooLarge


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
