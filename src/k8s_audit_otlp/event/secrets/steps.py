"""One way to take a form of credential out of a text: where to look, for what, what to do.

Every pattern is linear in the length of the text, because clients choose the text. A pattern is
tried only where one of its needles is in the text.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple, TypeAlias

from k8s_audit_otlp.event.secrets.grammar import KeyVerdict, judge
from k8s_audit_otlp.event.secrets.replacement import Replacement, in_quotes
from k8s_audit_otlp.event.secrets.values import is_drawn

Change: TypeAlias = Callable[[Replacement, re.Match[str]], str]


class Step(NamedTuple):
    needles: tuple[str, ...]  # one of them is in the text; of none: any that a name must hold
    pattern: re.Pattern[str]
    change: Change
    signs: Sequence[str] = ""  # one of these is in the text, too; without any, all texts


Ready: TypeAlias = tuple[int, Step]  # with its needles as bits


def apply(steps: Iterable[Ready], text: str, found: int, replacement: Replacement) -> str:
    """Take the steps that have a needle among *found*, those that the text holds."""
    for needles, (_, pattern, change, signs) in steps:
        if found & needles and (not signs or any(map(text.__contains__, signs))):
            text = pattern.sub(partial(change, replacement), text)
    return text


def second(replacement: Replacement, match: re.Match[str]) -> str:
    """Replace the second group, which ends the match; the first one stays."""
    return match[1] + replacement(match[2])


def where(tells: Callable[[str, str], bool]) -> Change:
    """Replace the group `value` where its `name` and itself *tell* so; all else stays."""

    def change(replacement: Replacement, match: re.Match[str]) -> str:
        if not tells(match["name"], match["value"]):
            return match[0]
        start, end = (at - match.start() for at in match.span("value"))
        return match[0][:start] + in_quotes(match["value"], replacement) + match[0][end:]

    return change


def says_credential(name: str, _value: str = "") -> bool:
    return judge(name) is not KeyVerdict.HARMLESS


def quoted(replacement: Replacement, match: re.Match[str]) -> str:
    """Replace what is in the quotes of the second group."""
    return match[1] + in_quotes(match[2], replacement)


def drawn(replacement: Replacement, match: re.Match[str]) -> str:
    """Replace the second group where it looks drawn."""
    return quoted(replacement, match) if is_drawn(match[2]) else match[0]
