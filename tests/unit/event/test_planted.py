"""Secrets planted where a rule promises to clean: none of them leaves, however it is wrapped."""

from collections import Counter

import pytest

from k8s_audit_otlp.event.processor import EventProcessor
from k8s_audit_otlp.event.redact import RedactionRules, Redactor
from k8s_audit_otlp.otlp.encode import Encoder
from tests.kit.log.planted import PlantedLines, shows
from tests.kit.strategies import blocks_of

BLOCK = 250


def leaks(seed: int, count: int, rules: RedactionRules | None = None) -> Counter[str]:
    """Send planted lines through the encoder; count those that show their value, by form."""
    make = PlantedLines(seed)
    processor = EventProcessor(None, Redactor(rules))
    encoder = Encoder(transform=processor, clean=processor.clean_parts())
    found: Counter[str] = Counter()
    for _ in range(count // BLOCK):
        planted = [make() for _ in range(BLOCK)]
        records = encoder.encode_block(blocks_of([each.line for each in planted])).records
        assert len(records) == BLOCK
        for each, record in zip(planted, records, strict=True):
            if shows(record, each.value):
                found[each.how] += 1
    return found


def test_no_planted_secret_leaves() -> None:
    """Nested, listed, in text, in JSON in text, escaped, out of order, twice."""
    assert not leaks(seed=1, count=3000)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 110))
def test_no_planted_secret_leaves_in_a_hundred_thousand_lines(seed: int) -> None:
    """The same, longer."""
    assert not leaks(seed, count=10_000)


def test_the_fuzz_can_find_a_leak() -> None:
    """With a rule switched off, what it is about leaves."""
    found = leaks(seed=1, count=500, rules=RedactionRules(off=frozenset({"env"})))
    assert found
    assert {how.split()[0] for how in found} <= {"env", "env_by_another_name"}
