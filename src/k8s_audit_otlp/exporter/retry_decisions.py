"""What to do after a back end has answered. Pure; `delivery` and `replay` do it.

The rules, in this order:
1. Accepted is delivered. A partial success is delivered less what was refused.
2. What may pass (throttling, no connection, 5xx, a wrong key) waits and is sent again, for ever.
3. What names the request's own fault (400, 413) is split until the single record is found; so is a
   request that keeps failing five times, whatever the code: one string that trips a firewall must
   not stop the trail. One record of it is asked about first: when that is refused too, it is an
   outage for now.
4. A single record that is refused is set aside. Once the back end accepts others, it goes to the
   dead letter. When eight are refused and nothing is accepted, no record is at fault: everything
   is kept and the exporter backs off.
"""

from enum import Enum, auto
from typing import NamedTuple

from k8s_audit_otlp.model import Delivered, Misconfigured, Outcome, Rejected, Retry, TooLarge

SUSPICIOUS_AFTER = 5  # failures of one request before its records are suspected
SYSTEMIC = 8  # records refused alone with nothing accepted since: they are not at fault
MAX_QUARANTINED = 64


class Next(Enum):
    """What happens next: which records the next request carries, or what becomes of them."""

    SAME = auto()
    REST = auto()  # everything that is left
    HALF = auto()  # of what was refused together
    FEWER = auto()  # half as many, and no more at once from now on
    SHRUNK = auto()  # the single record, made smaller
    PROBE = auto()  # one from anywhere: does the back end take anything at all?
    ANOTHER = auto()  # one from elsewhere: nobody knows whether this one is at fault
    SET_ASIDE = auto()  # quarantine the only record of the request
    GIVE_UP = auto()  # dead-letter everything that is left


class Decision(NamedTuple):
    """The decision about one answer; *wait*: back off first."""

    next: Next
    wait: bool = False


class BatchProgress(NamedTuple):
    """How many records of a batch are decided, and what its back end has answered so far."""

    sent: int  # records in the request
    left: int  # of the batch that are not decided, these included
    failures: int = 0  # answers that may pass, to this batch, this one included
    singles_refused: int = 0  # single records refused in a row before this request
    others_accepted: bool = False  # of the batch, since the last record was set aside
    refused_in_a_row: int = 0  # records of the exporter set aside with nothing accepted since
    can_shrink: bool = False  # the only record has a smaller form
    out_of_time: bool = False  # `max_elapsed_time` is over


def after(outcome: Outcome, progress: BatchProgress) -> Decision:
    """Return what to do next. A partial success that is to be searched comes as `Rejected`."""
    if isinstance(outcome, Delivered):
        return Decision(Next.REST)
    if progress.out_of_time:
        return Decision(Next.GIVE_UP)
    if isinstance(outcome, Retry) and not outcome.reached:
        return Decision(Next.SAME, wait=True)
    may_pass = isinstance(outcome, Retry | Misconfigured)
    if may_pass and progress.failures < SUSPICIOUS_AFTER:
        return Decision(Next.SAME, wait=True)
    if may_pass and progress.failures == SUSPICIOUS_AFTER and progress.left > 1:
        part = Next.PROBE
    elif progress.sent == 1:
        return _after_single(outcome, progress)
    else:
        part = Next.FEWER if isinstance(outcome, TooLarge) else Next.HALF
    return Decision(part, _asked_to_wait(outcome))


def _after_single(outcome: Outcome, progress: BatchProgress) -> Decision:
    """Decide about a record that was refused alone."""
    if isinstance(outcome, TooLarge) and progress.can_shrink:
        return Decision(Next.SHRUNK)
    enough = progress.singles_refused + 1 >= min(progress.left, SYSTEMIC)
    at_fault = progress.others_accepted or enough or isinstance(outcome, TooLarge | Rejected)
    if not at_fault or progress.refused_in_a_row >= MAX_QUARANTINED:
        return Decision(Next.ANOTHER, wait=True)
    # Beyond eight it goes on slowly: what comes next in the log may be what is accepted.
    wait = progress.refused_in_a_row + 1 >= SYSTEMIC or _asked_to_wait(outcome)
    return Decision(Next.SET_ASIDE, wait)


def _asked_to_wait(outcome: Outcome) -> bool:
    return isinstance(outcome, Retry) and outcome.after_s is not None
