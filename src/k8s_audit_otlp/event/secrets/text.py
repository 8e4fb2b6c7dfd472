"""Takes credentials out of free text: messages, user agents, scripts and files inside strings."""

import re
from typing import Final
from urllib.parse import unquote_plus

from k8s_audit_otlp.event.secrets.commands import STEPS_IN_TEXT
from k8s_audit_otlp.event.secrets.forms import without_forms
from k8s_audit_otlp.event.secrets.grammar import NAMES, bits_of, holds, needles_in
from k8s_audit_otlp.event.secrets.named_values import without_named_values
from k8s_audit_otlp.event.secrets.replacement import Replacement
from k8s_audit_otlp.event.secrets.steps import apply

_SIGNS = ("%3", "%253")  # a colon or an equals sign, encoded once or twice
_ENCODED = bits_of(_SIGNS)
_WORD = re.compile(r"(?:[\w.-]{1,64}=)?([^\s\"'<>]++)")
_MOST_ENCODED = 3
NOT_IN_NAMES: Final = '= "'  # of objects, which may have a colon: `secrets:read`


def clean(text: str, replacement: Replacement, *, prose: bool = False) -> str:
    """Take tokens, keys and passwords out of text whose shape nobody knows.

    In prose a colon ends a clause: `invalid token: key is not valid` states no token.
    """
    found = needles_in(text)
    if not holds(found, text):
        return text
    text = cleaned(text, found, replacement, prose=prose)
    return without_encoded(text, replacement) if found & _ENCODED else text


def clean_forms(text: str, replacement: Replacement) -> str:
    """Take only what shows itself by its form, not what stands behind a name and a sign."""
    found = needles_in(text)
    return without_forms(text, found, replacement) if holds(found, text) else text


def cleaned(text: str, found: int, replacement: Replacement, *, prose: bool = False) -> str:
    """Do what `clean` does to a text as it stands; *found* are the needles that it holds."""
    text = apply(STEPS_IN_TEXT, without_forms(text, found, replacement), found, replacement)
    return without_named_values(text, replacement, prose=prose) if found & NAMES else text


def without_encoded(text: str, replacement: Replacement) -> str:
    """Replace each word that holds a credential once it is decoded."""

    def change(match: re.Match[str]) -> str:
        word = match[1]
        if not any(map(word.__contains__, _SIGNS)):
            return match[0]
        plain = word
        for _ in range(_MOST_ENCODED):
            plain, before = unquote_plus(plain), plain
            if plain == before:
                break
            if cleaned(plain, needles_in(plain), replacement) != plain:
                return match[0][: -len(word)] + replacement(word)
        return match[0]

    return _WORD.sub(change, text)
