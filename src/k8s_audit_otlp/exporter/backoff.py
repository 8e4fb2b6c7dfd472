"""How long to wait before a request is repeated. Pure; the dice come in."""

from collections.abc import Callable
from dataclasses import dataclass

from k8s_audit_otlp.model import Outcome, Retry


@dataclass(frozen=True, slots=True)
class Backoff:
    """The Collector's `retry_on_failure`: seconds, a factor, and how far a wait may stray."""

    initial_s: float = 5.0
    max_s: float = 30.0
    multiplier: float = 1.5
    randomization: float = 0.5

    def delay_s(self, attempt: int, roll: float, after_s: float | None = None) -> float:
        """Return the wait before attempt *attempt* + 1.

        *roll* is in [0, 1). What the server asks for is a lower bound, and jitter comes on top of
        it, so that a fleet does not come back in one moment.
        """
        base = min(self.max_s, self.initial_s * self.multiplier ** min(attempt, 60))
        jittered = base * (1 + self.randomization * (2 * roll - 1))
        if after_s is None:
            return jittered
        return max(jittered, after_s * (1 + 0.1 * roll))


ATTEMPTS = 5  # of a command that somebody waits for
_LONGEST_S = 30.0


def patiently(
    send: Callable[[], Outcome], backoff: Backoff, wait: Callable[[float], None]
) -> Outcome:
    """Send a few times, until there is an answer that waiting would not change."""
    outcome = send()
    for attempt in range(ATTEMPTS - 1):
        if not isinstance(outcome, Retry):
            break
        wait(min(backoff.delay_s(attempt, 0.5, outcome.after_s), _LONGEST_S))
        outcome = send()
    return outcome
