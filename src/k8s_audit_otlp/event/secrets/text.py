"""Takes credentials out of free text: messages, user agents, scripts and files inside strings."""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial, wraps
from html import unescape
from typing import Final
from urllib.parse import unquote_plus

from k8s_audit_otlp.event.secrets import commands, messages, patterns, random_words, sentences
from k8s_audit_otlp.event.secrets.named_values import without_named_values
from k8s_audit_otlp.event.secrets.prefilter import NAMES, bits_of, holds, needles_in, ready
from k8s_audit_otlp.event.secrets.prefilter_needles import ENCODED, IN_BASE64
from k8s_audit_otlp.event.secrets.randomness import from_base64
from k8s_audit_otlp.event.secrets.replacement import Replacement
from k8s_audit_otlp.event.secrets.substitution_steps import Step, Steps
from k8s_audit_otlp.event.secrets.written import lines

_ENCODED = bits_of((ENCODED,))
_IN_BASE64 = bits_of((*IN_BASE64, "eyj"))  # {" begins so
# A sign, a letter or a blank, once or several times; words with a plus for each blank.
_ENCODED_SIGN = re.compile(
    r"%(?:25)*(?:[2-7][0-9a-fA-F]|0[9aAdD])|[A-Za-z]\+[A-Za-z]{2,16}\+[A-Za-z]"
)
_ESCAPED = re.compile(r"\\+(?:u00|x)([2-7][0-9a-fA-F])")  # signs and letters
_ENTITY = re.compile(r"&(?:quot|apos|amp|lt|gt|equals|colon|nbsp|#\d{2}|#x[2-7][\da-fA-F]);")
_WORD = re.compile(r"(?:[\w.-]{1,64}=)?([^\s\"'<>]++)")
_BEFORE_CONTENT = re.compile(r"\Adata:[\w/+.;=-]{0,64},")  # of an address that is the content
_MOST_ENCODED = 5  # a redirect in a redirect in ...
_FEW_PARTS, _LONG_PART = 64, 256  # words that are encoded; characters of one, as addresses have
_LONG = 256  # characters; such a text is cleaned once for all who ask in turn
_BASE64 = re.compile(r"(?<![\w+/])[\w+/-]{16,}+", re.ASCII)


def _by_blanks(steps: Sequence[Step]) -> tuple[Steps, Steps]:
    """Return the steps for a text without a blank, and for one with it: most signs are of words."""
    left = [step._replace(signs=[x for x in step.signs if " " not in x]) for step in steps]
    without = (new for step, new in zip(steps, left, strict=True) if new.signs or not step.signs)
    return ready(without), ready(steps)


_SHOWN_WHOLE, _TOKENS = map(ready, (patterns.SHOWN_WHOLE, patterns.TOKENS))
_GENERATED = ready(patterns.GENERATED_WORDS)
_TOKEN_BITS = bits_of(needle for step in patterns.TOKENS for needle in step.needles)
_FORMS = _by_blanks(patterns.STEPS)
_STEPS = _by_blanks(
    (*commands.STEPS_IN_TEXT, *messages.STEPS, *random_words.STEPS, *sentences.STEPS, *lines.STEPS)
)
_STEPS_IN_PROSE = ready(messages.STEPS_IN_PROSE)
NOT_IN_NAMES: Final = '= "'  # of objects, which may have a colon: `secrets:read`


def once(cleaner: Callable[..., str]) -> Callable[..., str]:
    """Clean a long text once: it is judged first and redacted then, and may be looked at again."""
    last: dict[tuple[object, ...], str] = {}

    @wraps(cleaner)
    def cleanonce(text: str, replacement: Replacement, **how: bool | str) -> str:
        if len(text) < _LONG:
            return cleaner(text, replacement, **how)
        about = replacement, *how.items()
        new = last.get((text, *about))
        if new is None:
            new = cleaner(text, replacement, **how)
            last.clear()
            last[text, *about] = last[new, *about] = new
        return new

    return cleanonce


def clean_message(text: str, replacement: Replacement) -> str:
    """Take out what a Status message prints of an object, and all that `clean` does."""
    return clean(text, replacement, prose=True)


def clean_of_object(name: str, replacement: Replacement, *, is_id: bool = False) -> str:
    """Clean what should be the name of an object: by its form alone where it can be one.

    *is_id*: or of someone, as `clean_of_user` does: a subject of a binding.
    """
    if not any(map(name.__contains__, NOT_IN_NAMES)):
        return clean_forms(name, replacement, is_id=is_id)
    return (clean_of_user if is_id else clean)(name, replacement)


def clean_of_user(text: str, replacement: Replacement) -> str:
    """Clean what says who someone is: what identity providers generate stays."""
    return clean(text, replacement, is_id=True)


@once
def clean(text: str, replacement: Replacement, *, prose: bool = False, is_id: bool = False) -> str:
    """Take tokens, keys and passwords out of text whose shape nobody knows.

    In prose a colon ends a clause: `invalid token: key is not valid` states no token.
    """
    found = needles_in(text)
    if not holds(found, text):
        return text
    text = _as_it_reads(text, found, replacement, prose=prose, is_id=is_id)
    is_encoded = found & _ENCODED or "%" in text or "+" in text
    return without_encoded(text, replacement) if is_encoded else text


def _as_it_reads(
    text: str, found: int, replacement: Replacement, *, prose: bool = False, is_id: bool = False
) -> str:
    """Clean a text also of what is escaped or in base64 in it; *found* are its needles."""
    plain = _without_escapes(text)
    if plain is not text:
        found |= needles_in(plain)
    new = cleaned(plain, found, replacement, prose=prose, is_id=is_id)
    text = text if new == plain else new
    return _BASE64.sub(partial(_base64, replacement), text) if found & _IN_BASE64 else text


def _base64(replacement: Replacement, match: re.Match[str]) -> str:
    """Replace base64 of a text with a credential in it."""
    encoded = from_base64(match[0])
    plain = encoded.decode("utf-8", "ignore")
    found, is_binary = needles_in(plain), plain.encode() != encoded  # which reads like anything
    new = cleaned(plain, found, replacement, is_id=is_binary) if holds(found, plain) else plain
    return match[0] if new == plain else replacement(match[0])


def _without_escapes(text: str) -> str:
    r"""Write signs and letters as they read: `\u0070assword`, `&quot;`."""
    if "\\u00" in text or "\\x" in text:
        text = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)
    if "&" in text and ";" in text:
        text = _ENTITY.sub(lambda match: unescape(match[0]), text)
    return text


@once
def clean_forms(text: str, replacement: Replacement, *, is_id: bool = False) -> str:
    """Take only what shows itself by its form, not what stands behind a name and a sign."""
    found = needles_in(text)
    return _without_forms(text, found, replacement, is_id=is_id) if holds(found, text) else text


def _without_forms(text: str, found: int, replacement: Replacement, *, is_id: bool) -> str:
    """Replace what is found by its form; *found* are the needles that the text holds."""
    text = _SHOWN_WHOLE.apply(text, found, replacement)
    if found & _TOKEN_BITS:
        text = _TOKENS.apply(text, found, replacement)
    if not is_id:
        text = _GENERATED.apply(text, found, replacement)
    return _FORMS[" " in text].apply(text, found, replacement)


def cleaned(
    text: str, found: int, replacement: Replacement, *, prose: bool = False, is_id: bool = False
) -> str:
    """Do what `clean` does to a text as it stands; *found* are the needles that it holds."""
    if prose:
        text = _STEPS_IN_PROSE.apply(text, found, replacement)
    text = _without_forms(text, found, replacement, is_id=is_id)
    text = _STEPS[" " in text].apply(text, found, replacement)
    return without_named_values(text, replacement, prose=prose) if found & NAMES else text


def decodings(text: str) -> Iterator[str]:
    """Yield what a text of an address reads as, once decoded, twice, ..."""
    for _ in range(_MOST_ENCODED):
        text, before = unquote_plus(text), text
        if text == before:
            return
        yield text


def _tells(plain: str, replacement: Replacement) -> bool:
    found = needles_in(plain)
    return holds(found, plain) and cleaned(plain, found, replacement) != plain


@once
def clean_decoded(text: str, replacement: Replacement) -> str:
    """Do what `clean` does, but for what is encoded in a text."""
    found = needles_in(text)
    return _as_it_reads(text, found, replacement) if holds(found, text) else text


class EncodedParts:
    """Judges the encoded parts of one text: each by itself, as many as genuine ones have.

    To judge one costs as much as many bytes. What more there are in a text of short ones is judged
    together, by less: they all go where any of them may hold a credential.
    """

    def __init__(self, text: str) -> None:
        self._text, self._left = text, _FEW_PARTS + len(text) // _LONG_PART

    def tell(self, part: str, tells: Callable[[str], bool]) -> bool:
        """Tell whether a part holds a credential, which *tells* says of one."""
        if self._left:
            self._left -= 1
            return tells(part)
        return self._any_may_hold

    @cached_property
    def _any_may_hold(self) -> bool:
        texts = (self._text, *decodings(self._text))
        return any(holds(needles_in(plain) & ~_ENCODED, plain) for plain in texts)


def without_encoded(text: str, replacement: Replacement) -> str:
    """Replace each word that holds a credential once it is decoded."""
    parts = EncodedParts(text)

    def tells(word: str) -> bool:
        content = _BEFORE_CONTENT.sub("", word)
        return any(_tells(plain, replacement) for plain in decodings(content))

    def change(match: re.Match[str]) -> str:
        word = match[1]
        if not _ENCODED_SIGN.search(word) or not parts.tell(word, tells):
            return match[0]
        return match[0][: -len(word)] + replacement(word)

    return _WORD.sub(change, text)
