"""JSON inside a text: each value in it is redacted as a body is, also one that was cut off.

What is behind a cut is not there to be judged; what is before it stands in the structure that it
had. So a cut value is completed, redacted, and cut again.
"""

import json
import re
from collections.abc import Callable
from typing import Final, NamedTuple

from k8s_audit_otlp.event.secrets.prefilter_needles import IN_JSON
from k8s_audit_otlp.event.secrets.randomness import from_base64
from k8s_audit_otlp.event.secrets.replacement import MASK

# `eyJ` and IN_JSON, looked for by their second letters, of which a text has fewer.
PACKED: Final = re.compile(
    rb"[3wy](?<=[We].)(?:(?<=y)J|(?<=ey)Ai|(?<=ew)o[giJ]|(?<=Ww)og|(?<=W3)s[iK])"
)
_PACKED = re.compile(rf"(?<![\w+/.-])(?:eyJ|{IN_JSON})[\w+/-]{{8,}}+={{0,2}}(?!\.)", re.ASCII)
_MAX_VALUES = 64  # JSON values followed in one string
_MAX_TORN = 16  # brackets that begin nothing, in one string
_MOST_ESCAPED = 4  # times that a text is escaped and followed
_OPENING = re.compile(r"[{\[](?=\s*[\"{\[\\])")
_ESCAPED = re.compile(r"[{\[]\s*(?:\\[nrt]\s*)*\\+\"")
_CONTENT = re.compile(r"(?:[^\"\\]|\\.)*+", re.DOTALL)
_TOKEN = re.compile(r"\"(?:[^\"\\]|\\.)*+(\"?)|[{}\[\]]", re.DOTALL)
_CUT_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*(\\(?:u[0-9a-fA-F]{0,3})?)\Z")
_ENDS_OF_A_MEMBER = ("", "null", ":null", '"":null', "l", "e")
_LONGEST_ESCAPE = 512  # characters at the end of a cut text in which half an escape is looked for
_MOST_CUT = 1 << 20  # characters of a cut value that is completed
_decoder = json.JSONDecoder(strict=False)  # what was unescaped before may hold newlines
Redact = Callable[[bytes], bytes]


def may_hold_json(text: str) -> bool:
    """Tell quickly whether any JSON object or list of more than numbers can be in a text."""
    if '"' in text and ("{" in text or "[" in text):
        return True
    return _PACKED.search(text) is not None


class Followed(NamedTuple):
    text: str
    wholly: bool  # it is one JSON value and nothing else: all of it was judged


def redact_embedded(text: str, redact: Redact, depth: int = _MOST_ESCAPED) -> Followed:
    """Redact each JSON value in a text by *redact*, also those that are escaped in it.

    *redact* raises ValueError or LookupError for what it cannot follow: that stays for the forms.
    A word that is base64 of JSON goes whole where anything in it does.
    """
    text = _PACKED.sub(lambda match: _unpacked(match[0], redact), text)
    parts: list[str] = []
    first = kept = at = values = torn = 0
    completed = False
    while values < _MAX_VALUES and torn < _MAX_TORN:
        opening = _OPENING.search(text, at)
        if opening is None:
            break
        start = opening.start()
        if _ESCAPED.match(text, start):
            end, new = _unescaped(text, start, redact, depth)
            if new is not None:
                parts += text[kept:start], new
                kept = end
            at, torn = end, torn + 1
            continue
        try:
            _, end = _decoder.raw_decode(text, start)
            inner, close = text[start:end], ""
        except (ValueError, RecursionError):
            torn += 1
            at = start + 1
            left, close = ("", "") if completed else _completion(text[start:])
            completed = True
            if not close:
                continue
            inner, end = left + close, len(text)
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
            parts += text[kept:start], out.removesuffix(close)
            kept = end
    wholly = values == 1 and not torn and text[first:at] == text.strip()
    return Followed("".join((*parts, text[kept:])) if parts else text, wholly)


def _unpacked(word: str, redact: Redact) -> str:
    try:
        inner = from_base64(word).decode()
        return word if redact_embedded(inner, redact, 0).text == inner else MASK
    except (ValueError, LookupError):
        return word


def _unescaped(text: str, start: int, redact: Redact, depth: int) -> tuple[int, str | None]:
    """Redact JSON whose quotes are escaped; return its end, and what it is now if it changes."""
    found = _CONTENT.match(text, start)
    end = found.end() if found else start + 1
    try:
        plain = json.loads(f'"{text[start:end]}"', strict=False)
    except ValueError:
        return start + 1, None
    new = redact_embedded(plain, redact, depth - 1).text if depth else MASK
    return end, None if new == plain else json.dumps(new, ensure_ascii=False)[1:-1]


def _completion(text: str) -> tuple[str, str]:
    """Return a value that was cut off, less half an escape, and what makes it JSON again.

    Nothing where nothing does.
    """
    open_ones: list[str] = []
    is_open = False
    for token in _TOKEN.finditer(text[:_MOST_CUT]):
        sign = token[0]
        if sign in "{[":
            open_ones.append("}" if sign == "{" else "]")
        elif sign in "}]":
            if not open_ones or open_ones.pop() != sign:
                return "", ""
        else:
            is_open = not token[1]
    if not open_ones or len(text) > _MOST_CUT:
        return "", ""
    if is_open and (escape := _CUT_ESCAPE.search(text, max(0, len(text) - _LONGEST_ESCAPE))):
        text = text[: escape.start(1)]
    closers = "".join(reversed(open_ones))
    for member_end in _ENDS_OF_A_MEMBER:
        end = ('"' if is_open else "") + member_end + closers
        try:
            _decoder.decode(text + end)
        except (ValueError, RecursionError):
            continue
        return text, end
    return "", ""
