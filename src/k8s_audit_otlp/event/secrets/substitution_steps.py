"""One way to take a form of credential out of a text: where to look, for what, what to do.

Every pattern is linear in the length of the text, because clients choose the text. A pattern is
tried only where one of its needles is in the text.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from typing import NamedTuple, TypeAlias

from k8s_audit_otlp.event.secrets.grammar import KeyVerdict, judge
from k8s_audit_otlp.event.secrets.randomness import is_drawn, looks_drawn
from k8s_audit_otlp.event.secrets.replacement import Replacement, in_quotes

_MOST_KEPT = 1024  # sets of needles

Change: TypeAlias = Callable[[Replacement, re.Match[str]], str]


class Step(NamedTuple):
    needles: tuple[str, ...]  # one of them is in the text; of none: any that a name must hold
    pattern: str  # compiled when a text first holds a sign: most logs have few of the forms
    change: Change
    signs: Sequence[str] = ""  # one of these is in the text, too; without any, all texts


class Steps:
    """Steps in their order; a text goes through those that have a needle in it."""

    def __init__(
        self, steps: Iterable[tuple[int, Step]], substitution: Callable[[str], Callable[..., str]]
    ) -> None:
        """Take each with its needles as bits; *substitution* gives the `sub` of a pattern."""
        self._steps, self._substitution = [*steps], substitution
        self._that_have = lru_cache(maxsize=_MOST_KEPT)(self._with_one_of)  # few sets in many texts

    def apply(self, text: str, found: int, replacement: Replacement) -> str:
        """Change a text; *found* are the needles that it holds, as bits."""
        for step in self._that_have(found):
            if not step.signs or any(map(text.__contains__, step.signs)):
                text = self._substitution(step.pattern)(partial(step.change, replacement), text)
        return text

    def _with_one_of(self, found: int) -> list[Step]:
        return [step for needles, step in self._steps if found & needles]


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


def made_up(replacement: Replacement, match: re.Match[str]) -> str:
    """Replace the second group where some of it looks drawn or made up."""
    return quoted(replacement, match) if looks_drawn(match[2]) else match[0]


def drawn(replacement: Replacement, match: re.Match[str]) -> str:
    """Replace the second group where it looks drawn."""
    return quoted(replacement, match) if is_drawn(match[2]) else match[0]
