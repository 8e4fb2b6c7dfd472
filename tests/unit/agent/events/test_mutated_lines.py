"""No line of a log ends or holds up an agent: mutated ones, through the whole of it."""

import random
import re
from collections.abc import Callable

from tests.kit.agent import Fixture, events_of
from tests.kit.backends.steps import ACCEPT, Cut, PartialSuccess, Throttle
from tests.kit.log.events import EventSource

MUTATED = 600
TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\d+|true|false|null|[{}\[\],:]')
PIECES = [
    *(b"null", b"1e999", b"-0", b"NaN", b"[]", b'"\\ud800"', b'"\xff\xfe"', b'"\\u0000"'),
    *(b'{"requestObject":1}', b"[" * 3_000, b'{"a":' * 300, b"9" * 40, b'{"a":1,"a":2}'),
    *(b'"2026-99-99T99:99:99Z"', b'"0000-00-00T00:00:00Z"', b'"9999-12-31T23:59:60.9+99:99"'),
    *(b'"' + b"x" * 70_000 + b'"', b"\0" * 5_000, b'{"kind":"Event"'),
]


def mutated(line: bytes, rng: random.Random) -> bytes:
    """Put, take and repeat bytes and whole values; the result is one line."""
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        tokens = [found.span() for found in TOKEN.finditer(line)] or [(0, 0)]
        start, end = rng.choice(tokens)
        if rng.random() < 0.3:
            start = rng.randrange(len(line) + 1)
            end = start + rng.choice([0, 1, 100, len(line)])
        other = line[slice(*rng.choice(tokens))]
        piece = rng.choice([b"", other, line[start:end] * 3, *rng.sample(PIECES, 4)])
        line = line[:start] + piece + line[end:]
    return line.replace(b"\n", b" ")


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
                file.write(mutated(source.line(), rng) + b"\n")
            if number % 20 == 0:
                sound |= set(fixture.write(1))
            if number % 200 == 199:
                fixture.rotate(f"audit-2026-01-02T03-04-0{number // 200}.000.log")
        sound |= set(fixture.write(1))
        wait_for(lambda: sound <= set(fixture.backend.received.audit_ids))
        wait_for(lambda: not agent.shutdown.undelivered())
    lines = sum(path.read_bytes().count(b"\n") for path in fixture.log.parent.iterdir())
    assert len({one.uid for one in events_of(fixture.backend)}) >= lines
