"""Free text in, the same text without the credentials in it out: messages, agents, URIs, lines.

Every pattern is linear in the length of the text, because clients choose the text.
"""

import hashlib
import hmac
import re
from collections.abc import Callable
from typing import Literal
from urllib.parse import quote, unquote_plus

from k8s_audit_otlp.event.redact.keys import KeyVerdict, is_credential_parameter, judge

MASK = "REDACTED"
_HMAC_FORM = re.compile(r"hmac-[0-9a-f]{32}")
ArgsMode = Literal["keep", "first", "redact"]


class Replacement:
    """What stands in for a secret: one word, or a keyed hash that keeps equality comparable."""

    __slots__ = ("_key", "masks")

    def __init__(self, key: bytes | None) -> None:
        self._key = key
        self.masks = key is None

    def __call__(self, secret: str) -> str:
        if self._key is None or secret == MASK:
            return MASK
        if _HMAC_FORM.fullmatch(secret):
            return secret
        digest = hmac.new(self._key, secret.encode("utf-8", "surrogatepass"), hashlib.sha256)
        return f"hmac-{digest.hexdigest()[:32]}"


_STEM = (
    r"(?:pass(?:word|wd|phrase|code)|pwd|secret|token|credential|api[_-]?key|private[_-]?key"
    r"|access[_-]?key|auth[_-]?key|connection[_-]?string)"
)
_JWT = re.compile(r"eyJ[\w-]*+(?:\.[\w-]*+)*+", re.ASCII)
_JWT_HEADS = ("eyJhbGciOi", "eyJ0eXAiOi", "eyJraWQiOi")  # {"alg":  {"typ":  {"kid":
_BEARER = re.compile(
    r"(bearer(?:\s|%20|\+)++)(?!(?:tokens?|auth\w*|credentials?|scheme|header|realm)\b)"
    r"([\w.~+/=-]{4,})",
    re.IGNORECASE | re.ASCII,
)
_BASIC = re.compile(
    r"(authorization\W{1,8}basic(?:\s|%20|\+)++)([\w+/=-]{4,})", re.IGNORECASE | re.ASCII
)
_PASSWORD_IN_URL = re.compile(r"(://[^\s/:@\"'\\]*+:)([^\s/\"'\\]*)(?=@)")
_TOKEN_IN_URL = re.compile(r"(://)([^\s/:@\"'\\]{16,})(?=@)")
_PRIVATE_KEY = re.compile(
    r"()(-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z))",
    re.DOTALL,
)
_ASSIGNMENT = re.compile(
    rf"({_STEM}[\w.-]{{0,40}}+[\"']?\s{{0,8}}[=:]\s{{0,8}}(?:\\?[\"'])?)([^\s\"'&,;\\]+)",
    re.IGNORECASE,
)
_FLAG = re.compile(
    rf"(--[\w-]{{0,40}}?{_STEM}[\w-]{{0,40}}+\s{{1,8}})(?!-)([^\s\"']+)", re.IGNORECASE
)

# What text must hold, lower-cased, before any pattern is worth trying.
_NEEDLES = (
    *("eyj", "bearer", "://", "private key", "authorization"),
    *(
        "pass",
        "pwd=",
        "secret=",
        "secret:",
        "token=",
        "token:",
        "key=",
        "key:",
        "secret ",
        "token ",
    ),
)
_ASSIGNED = (
    b"word=",
    b"cret=",
    b"oken=",
    b"_key=",
    b"-key=",
    b"ikey=",
    b"pwd=",
    b"sswd=",
    b"rase=",
)
_STATED = (b"word: ", b"ecret: ", b"token: ", b"_key: ", b"passwd: ", b"ion: basic ")


def may_hold_credentials(body: bytes) -> bool:
    """Tell, for a few hundred nanoseconds a kilobyte, whether a body or a string needs a look.

    One character is found many times faster than a word, so rare characters are asked for first.
    """
    if b"J" in body and b"eyJ" in body:
        return True
    if b"@" in body and b"://" in body:
        return True
    if b"=" in body and _has_assignment(body):
        return True
    if b" " not in body:
        return False
    if b"earer " in body:
        return True
    if b"R" in body and (b"EARER " in body or b"PRIVATE KEY" in body):
        return True
    if b": " not in body:
        return False
    return any(map(body.lower().__contains__, _STATED))


def _has_assignment(body: bytes) -> bool:
    at = body.find(b"=")
    while at >= 0:
        if body[max(0, at - 5) : at + 1].lower().endswith(_ASSIGNED):
            return True
        at = body.find(b"=", at + 1)
    return False


def _name_of(match: re.Match[str]) -> str:
    return re.split(r"[\"'\s=:\\]", match[1].lstrip("-"), maxsplit=1)[0]


def clean(text: str, replacement: Replacement, *, prose: bool = False) -> str:
    """Take tokens, keys and passwords out of text whose shape nobody knows.

    In prose a colon ends a clause: `invalid token: key is not valid` states no token.
    """
    lowered = text.lower()
    if not any(needle in lowered for needle in _NEEDLES):
        return text

    def second(match: re.Match[str]) -> str:
        return match[1] + replacement(match[2])

    def named(match: re.Match[str]) -> str:
        clause = prose and match[1].endswith(": ") and match[2].islower() and match[2].isalpha()
        harmless = clause or judge(_name_of(match)) is KeyVerdict.HARMLESS
        return match[0] if harmless else second(match)

    def jwt(match: re.Match[str]) -> str:
        token = match[0]
        if token.startswith(_JWT_HEADS) or ("." in token and len(token) >= 24):
            return replacement(token)
        return token

    steps: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
        (_PRIVATE_KEY, second), (_JWT, jwt), (_BEARER, second), (_BASIC, second),
        (_PASSWORD_IN_URL, second), (_TOKEN_IN_URL, second), (_ASSIGNMENT, named), (_FLAG, named),
    )  # fmt: skip
    for pattern, change in steps:
        text = pattern.sub(change, text)
    return text


def program(text: str, replacement: Replacement) -> str:
    """Keep the program of a command line, replace what follows it."""
    word, _, rest = text.strip().partition(" ")
    if "=" in word or len(word) > 256:
        return replacement(text)
    return f"{word} {replacement(rest)}" if rest else text


_PARAMETER = re.compile(r"([?&;]|%3[fF]|%26)([^=&;?]{1,256})=([^&;\s\"]*)")
PARAMETER_NAMES = re.compile(r"(?:[?&;]|%3[fF]|%26)([^=&;?]{1,256})=").findall


class ParameterVerdicts(dict[str, bool]):
    """Parameter name, as it stands in the URI -> is its value to be looked at. Bounded."""

    def __missing__(self, name: str) -> bool:
        plain = unquote_plus(name)
        if len(self) >= 4096:
            self.clear()
        verdict = self[name] = plain == "command" or is_credential_parameter(plain)
        return verdict


def clean_uri(uri: str, args: ArgsMode, replacement: Replacement, *, credentials: bool) -> str:
    """Take credentials out of the query, and what a command was given: names stay."""
    commands = 0

    def change(match: re.Match[str]) -> str:
        nonlocal commands
        mark, name, value = match.groups()
        plain = unquote_plus(name)
        if not value:
            return match[0]
        if plain == "command":
            commands += 1
            if args == "keep":
                return match[0]
            text = unquote_plus(value)
            new = program(text, replacement) if commands == 1 and args == "first" else None
            if new is None:
                value = replacement(text)
            elif new != text:
                value = quote(new, safe="/")
        elif credentials and is_credential_parameter(plain):
            value = replacement(unquote_plus(value))
        elif credentials and "%" in value:
            text = unquote_plus(value)
            value = value if clean(text, replacement) == text else replacement(text)
        return f"{mark}{name}={value}"

    return _PARAMETER.sub(change, uri)
