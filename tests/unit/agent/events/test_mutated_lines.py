"""No line of a log ends or holds up an agent: mutated ones, through the whole of it."""

import random
from collections.abc import Callable

from tests.kit.agent import Fixture, events_of
from tests.kit.backends.steps import ACCEPT, Cut, PartialSuccess, Throttle
from tests.kit.log.events import EventSource
from tests.kit.mutations import mutated_line

MUTATED = 600


def test_no_line_ends_or_holds_up_an_agent(
    fixture: Fixture, wait_for: Callable[[Callable[[], object]], None]
) -> None:
    """Every sound event between them arrives, and every line is a record of its own or several."""
    rng, source = random.Random(11), EventSource(11)  # noqa: S311 - the same lines each time
    fixture.backend.plan = [ACCEPT, Throttle(503), Cut(), PartialSuccess(0), ACCEPT]
    sound = set(fixture.write(1))
    with fixture.running() as agent:
        for number in range(MUTATED):
            with fixture.log.open("ab") as file:
                file.write(mutated_line(source.line(), rng) + b"\n")
            if number % 20 == 0:
                sound |= set(fixture.write(1))
            if number % 200 == 199:
                fixture.rotate(f"audit-2026-01-02T03-04-0{number // 200}.000.log")
        sound |= set(fixture.write(1))
        wait_for(lambda: sound <= set(fixture.backend.received.audit_ids))
        wait_for(lambda: not agent.shutdown.undelivered())
    lines = sum(path.read_bytes().count(b"\n") for path in fixture.log.parent.iterdir())
    assert len({one.uid for one in events_of(fixture.backend)}) >= lines
