"""JSON inside a text: each value in it is redacted as a body is, also one that was cut off.

What is behind a cut is not there to be judged; what is before it stands in the structure that it
had. So a cut value is completed, redacted, and cut again.
"""

import json
import re
from collections.abc import Callable
from typing import NamedTuple

import msgspec

_MAX_VALUES = 64  # JSON values followed in one string
_MAX_TORN = 16  # brackets that begin nothing, in one string
_OPENING = re.compile(r"[{\[](?=\s*[\"{\[])")
_TOKEN = re.compile(r"\"(?:[^\"\\]|\\.)*+(\"?)|[{}\[\]]", re.DOTALL)
_ENDS_OF_A_STRING = ("", '"', 'n"', '0"', '00"', '000"', '0000"')  # the cut may be in an escape
_ENDS_OF_A_MEMBER = ("", "null", ":null", '"":null', "l", "e")
_MOST_CUT = 1 << 20  # characters of a cut value that is completed
_decoder = json.JSONDecoder()
_checked = msgspec.json.Decoder(msgspec.Raw).decode
Redact = Callable[[bytes], bytes]


def may_hold_json(text: str) -> bool:
    """Tell quickly whether any JSON object or list of more than numbers can be in a text."""
    return '"' in text and ("{" in text or "[" in text)


class Followed(NamedTuple):
    text: str
    wholly: bool  # it is one JSON value and nothing else: all of it was judged


def redact_embedded(text: str, redact: Redact) -> Followed:
    """Redact each JSON value in a text by *redact*.

    *redact* raises ValueError or LookupError for what it cannot follow: that stays for the forms.
    """
    parts: list[str] = []
    first = kept = at = values = torn = 0
    completed = False
    while values < _MAX_VALUES and torn < _MAX_TORN:
        opening = _OPENING.search(text, at)
        if opening is None:
            break
        start = opening.start()
        try:
            _, end = _decoder.raw_decode(text, start)
            inner, close = text[start:end], ""
        except (ValueError, RecursionError):
            torn += 1
            at = start + 1
            close = "" if completed else _completion(text[start:])
            completed = True
            if not close:
                continue
            inner, end = text[start:] + close, len(text)
        try:
            out = redact(inner.encode()).decode("utf-8", "replace")
        except (ValueError, LookupError):
            torn += 1
            at = start + 1
            continue
        first = start if not values else first
        values += 1
        at = end
        if out != inner:
            parts += text[kept:start], _without(out, close)
            kept = end
    wholly = values == 1 and not torn and text[first:at] == text.strip()
    return Followed("".join((*parts, text[kept:])) if parts else text, wholly)


def _completion(text: str) -> str:
    """Return what makes a value that was cut off JSON again; empty where nothing does."""
    open_ones: list[str] = []
    is_open = False
    for token in _TOKEN.finditer(text[:_MOST_CUT]):
        sign = token[0]
        if sign in "{[":
            open_ones.append("}" if sign == "{" else "]")
        elif sign in "}]":
            if not open_ones or open_ones.pop() != sign:
                return ""
        else:
            is_open = not token[1]
    if not open_ones or len(text) > _MOST_CUT:
        return ""
    closers = "".join(reversed(open_ones))
    for string_end in _ENDS_OF_A_STRING[1:] if is_open else _ENDS_OF_A_STRING[:1]:
        for member_end in _ENDS_OF_A_MEMBER:
            end = string_end + member_end + closers
            try:
                _checked((text + end).encode())
            except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
                continue
            return end
    return ""


def _without(text: str, close: str) -> str:
    """Take off what completed a value; of a string that was open, from its quote on."""
    added = close[close.find('"') :] if '"' in close[:5] else close
    return text[: len(text) - len(added)] if added and text.endswith(added) else text
