"""How long to wait before a request is repeated. Pure: the random number is a parameter."""

from collections.abc import Callable
from dataclasses import dataclass

from k8s_audit_otlp.model import Outcome, Retry


@dataclass(frozen=True, slots=True)
class Backoff:
    """The Collector's `retry_on_failure`: seconds, a factor, and jitter as a share of the wait."""

    initial_s: float = 5.0
    max_s: float = 30.0
    multiplier: float = 1.5
    randomization: float = 0.5

    def delay_s(self, attempt: int, jitter: float, after_s: float | None = None) -> float:
        """Return the wait before attempt *attempt* + 1.

        *jitter* is a random number in [0, 1). *after_s*, what the server asks for, is a lower bound
        with jitter on top, so that a fleet does not come back in one moment.
        """
        base = min(self.max_s, self.initial_s * self.multiplier ** min(attempt, 60))
        jittered = base * (1 + self.randomization * (2 * jitter - 1))
        if after_s is None:
            return jittered
        return max(jittered, after_s * (1 + 0.1 * jitter))


ATTEMPTS = 5  # of a command that somebody waits for
_LONGEST_S = 30.0


def send_with_retries(
    send: Callable[[], Outcome], backoff: Backoff, wait: Callable[[float], None]
) -> Outcome:
    """Send up to `ATTEMPTS` times, with back-off, while the answer is `Retry`."""
    outcome = send()
    for attempt in range(ATTEMPTS - 1):
        if not isinstance(outcome, Retry):
            break
        wait(min(backoff.delay_s(attempt, 0.5, outcome.after_s), _LONGEST_S))
        outcome = send()
    return outcome
