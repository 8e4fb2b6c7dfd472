"""Draws from a seed how the back end answers each request: it accepts, or it fails in some way."""

import random
from threading import Lock

from tests.kit.backends.received import decode_ids
from tests.kit.backends.steps import (
    ACCEPT,
    Cut,
    Delay,
    HalfClose,
    Hang,
    Limit,
    ReceivedRequest,
    Redirect,
    Refuse,
    Slow,
    Step,
    Throttle,
    WrongContentType,
)

_WELL = (ACCEPT, Delay(0.02), Delay(0.2))

# fault -> what may happen to a request, and how likely
FAULTS: dict[str, list[tuple[Step, float]]] = {
    "calm": [(ACCEPT, 1)],
    "throttling": [(ACCEPT, 5), (Throttle(429), 3), (Throttle(503), 1), (Throttle(429, 1), 1)],
    "erring": [(ACCEPT, 4), (Refuse(500), 2), (Refuse(502), 1), (Refuse(504), 1)],
    "hanging": [(ACCEPT, 12), (Hang(), 1), (HalfClose(), 1)],
    "cutting": [(ACCEPT, 6), (Cut(), 2), (Cut(reset=True), 1), (Cut(half_answer=True), 1)],
    "forgetful": [(ACCEPT, 12), (Cut(accepted=True), 1), (Cut(accepted=True, reset=True), 1)],
    "slow": [(Delay(0.2), 4), (Delay(0.02), 4), (Slow(0.01), 1)],
    "locked": [(Refuse(401), 1), (Refuse(403), 1), (Redirect("http://127.0.0.1:1/"), 1)],
    "portal": [(ACCEPT, 6), (WrongContentType(), 1)],
    "narrow": [(Limit(20_000), 3), (ACCEPT, 1)],
    "down": [(Refuse(503), 1)],
}


class Weather:
    """A plan for the back end whose fault can be changed at any moment. Safe for threads."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)  # noqa: S311 - a seed makes a run repeatable
        self._lock = Lock()
        self.fault = "calm"
        self.faults = 0  # requests that were not simply accepted
        self.unanswered = 0  # events that were taken without a word: these must come again

    def __call__(self, request: ReceivedRequest) -> Step:
        steps, weights = zip(*FAULTS[self.fault], strict=True)
        with self._lock:
            step: Step = self._rng.choices(steps, weights)[0]
            self.faults += step not in _WELL
            if isinstance(step, Cut) and step.accepted:
                self.unanswered += sum(not ids.is_notice for ids in decode_ids(request.body))
        return step
