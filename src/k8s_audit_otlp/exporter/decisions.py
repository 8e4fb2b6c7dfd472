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

from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple, TypeAlias

from k8s_audit_otlp.model import Delivered, Misconfigured, Outcome, Rejected, Retry, TooLarge

SUSPICIOUS_AFTER = 5  # failures of one request before its records are suspected
SYSTEMIC = 8  # records refused alone with nothing accepted since: they are not at fault
MAX_QUARANTINED = 64


class NextPart(Enum):
    """Which records the next request carries."""

    SAME = auto()
    REST = auto()  # everything that is left
    HALF = auto()  # of what was refused together
    FEWER = auto()  # half as many, and no more at once from now on
    SHRUNK = auto()  # the single record, made smaller
    PROBE = auto()  # one from anywhere: does the back end take anything at all?
    ANOTHER = auto()  # one from elsewhere: nobody knows whether this one is at fault


class Sizes(NamedTuple):
    """How many records of a batch, and what its back end has shown so far."""

    sent: int  # records in the request
    left: int  # of the batch that are not decided, these included
    failures: int = 0  # answers that may pass, to this batch, this one included
    tried: int = 0  # single records refused in a row before this request
    proven: bool = False  # something of the batch was accepted since the last record was set aside
    unproven: int = 0  # records of the exporter set aside with nothing accepted since
    can_shrink: bool = False  # the only record has a smaller form
    out_of_time: bool = False  # `max_elapsed_time` is over


@dataclass(frozen=True, slots=True)
class Send:
    """Send *part* at once."""

    part: NextPart


@dataclass(frozen=True, slots=True)
class Wait:
    """Back off, then send *part*."""

    part: NextPart


@dataclass(frozen=True, slots=True)
class SetAside:
    """Quarantine the only record of the request; *wait* before what comes next."""

    wait: bool


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Give up everything that is left."""


Step: TypeAlias = Send | Wait | SetAside | GiveUp


def after(outcome: Outcome, sizes: Sizes) -> Step:
    """Return what to do next. A partial success that is to be searched comes as `Rejected`."""
    if isinstance(outcome, Delivered):
        return Send(NextPart.REST)
    if sizes.out_of_time:
        return GiveUp()
    if isinstance(outcome, Retry) and not outcome.reached:
        return Wait(NextPart.SAME)
    may_pass = isinstance(outcome, Retry | Misconfigured)
    if may_pass and sizes.failures < SUSPICIOUS_AFTER:
        return Wait(NextPart.SAME)
    if may_pass and sizes.failures == SUSPICIOUS_AFTER and sizes.left > 1:
        part = NextPart.PROBE
    elif sizes.sent == 1:
        return _after_single(outcome, sizes)
    else:
        part = NextPart.FEWER if isinstance(outcome, TooLarge) else NextPart.HALF
    return Wait(part) if _asked_to_wait(outcome) else Send(part)


def _after_single(outcome: Outcome, sizes: Sizes) -> Step:
    """Decide about a record that was refused alone."""
    if isinstance(outcome, TooLarge) and sizes.can_shrink:
        return Send(NextPart.SHRUNK)
    enough = sizes.tried + 1 >= min(sizes.left, SYSTEMIC)
    guilty = sizes.proven or enough or isinstance(outcome, TooLarge | Rejected)
    if not guilty or sizes.unproven >= MAX_QUARANTINED:
        return Wait(NextPart.ANOTHER)
    # Beyond eight it goes on slowly: what comes next in the log may be what is accepted.
    return SetAside(wait=sizes.unproven + 1 >= SYSTEMIC or _asked_to_wait(outcome))


def _asked_to_wait(outcome: Outcome) -> bool:
    return isinstance(outcome, Retry) and outcome.after_s is not None


def waits_after(step: Step) -> bool:
    return isinstance(step, Wait) or (isinstance(step, SetAside) and step.wait)
