"""One way to take a form of credential out of a text: where to look, for what, what to do.

Every pattern is linear in the length of the text, because clients choose the text. A pattern is
tried only where one of its needles is in the text.
"""

import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple, TypeAlias

from k8s_audit_otlp.event.secrets.needles import bits_of
from k8s_audit_otlp.event.secrets.replacement import Replacement, in_quotes

Change: TypeAlias = Callable[[Replacement, re.Match[str]], str]


class Step(NamedTuple):
    needles: int  # bits: one of them is in the text
    pattern: re.Pattern[str]
    change: Change
    signs: str = ""  # one of these characters is in the text, too; without any, all texts


def step(needles: Iterable[str], pattern: re.Pattern[str], change: Change) -> Step:
    return Step(bits_of(needles), pattern, change)


def apply(steps: Iterable[Step], text: str, found: int, replacement: Replacement) -> str:
    """Take the steps that have a needle among *found*, those that the text holds."""
    for needles, pattern, change, signs in steps:
        if found & needles and (not signs or any(map(text.__contains__, signs))):
            text = pattern.sub(partial(change, replacement), text)
    return text


def second(replacement: Replacement, match: re.Match[str]) -> str:
    """Replace the second group, which ends the match; the first one stays."""
    return match[1] + replacement(match[2])


def quoted(replacement: Replacement, match: re.Match[str]) -> str:
    """Replace what is in the quotes of the second group."""
    return match[1] + in_quotes(match[2], replacement)
