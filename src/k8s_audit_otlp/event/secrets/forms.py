"""Credentials that show themselves by their form, and how each is taken out of a text.

Every pattern is linear in the length of the text, because clients choose the text. A pattern is
tried only where one of its needles is in the text.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterable
from functools import partial

from k8s_audit_otlp.event.secrets.grammar import (
    NAMES,
    TOKEN_FORMATS,
    KeyVerdict,
    bits_of,
    judge,
)
from k8s_audit_otlp.event.secrets.named_values import NOTHING, PLACEHOLDER
from k8s_audit_otlp.event.secrets.replacement import Replacement, in_quotes

_PRIVATE_KEY = re.compile(
    r"()(-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----"
    r".*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----|\Z))",
    re.DOTALL,
)
_ENCODED_PEM = re.compile(r"LS0tLS1CRUdJTi[\w+/-]{4,}+={0,2}", re.ASCII)
_JWT = re.compile(r"eyJ[\w-]*+(?:\.[\w-]*+)*+", re.ASCII)
_JWT_HEADS = ("eyJhbGciOi", "eyJ0eXAiOi", "eyJraWQiOi")  # {"alg":  {"typ":  {"kid":
_BEARER = re.compile(
    r"(bearer(?:\s|%20|\+)++)(?!(?:tokens?|auth\w*|credentials?|scheme|header|realm)\b)"
    r"([\w.~+/=-]{4,})",
    re.IGNORECASE | re.ASCII,
)
# RFC 9110 section 11: a scheme, then the credentials; or the credentials alone.
_AUTHORIZATION = re.compile(
    r"(authorization[\"'\\]{0,4}(?:\s{0,8}[:=]\s{0,8}|\s{1,8})[\"'\\]{0,4}"
    r"(?:(?:bearer|basic|token|apikey|api-key|digest|negotiate|ntlm|key|aws4-hmac-sha256)"
    r"(?:\s|%20|\+)++))([^\s\"'\\,]{4,})",
    re.IGNORECASE | re.ASCII,
)
_BASIC = re.compile(r"(\bbasic(?:\s|%20|\+)++)([A-Za-z0-9+/]{8,}+={0,2})", re.IGNORECASE | re.ASCII)
_COOKIE = re.compile(
    r"((?:set-)?cookie[\"'\\]{0,4}\s{0,8}[:=]\s{0,8}[\"'\\]{0,4})([^\s\"'][^\n\"']*)", re.IGNORECASE
)
_PASSWORD_IN_URL = re.compile(r"(:/{1,2}[^\s/:@\"'\\]*+:)(?!\d{1,5}(?:[/?#]|$))([^\s\"'\\]*)(?=@)")
# Words that hold an address and, behind it, an @: each is looked at once, up to the last of them.
_WORD_OF_TEXT = re.compile(r"[^\s\"'\\]++")
_TOKEN_IN_URL = re.compile(r"(://)(?=[^\s/:@]*\d)([^\s/:@\"'\\]{8,})(?=@)")
_DATABASE = re.compile(r"((?<![\w.-])[\w.-]{1,64}+:)([^\s\"'@]{1,256})(?=@(?:tcp|udp|unix)\()")
_CURL_USER = re.compile(r"((?:\s|^)(?:-u|--user)(?:[ \t=]+)[\"']?[^\s:\"']{0,128}:)([^\s\"']+)")
_LOGIN = re.compile(
    r"((?:^|\s)(?:login\s+\S{1,128}\s+password|requirepass|masterauth"
    r"|identified\s+(?:with\s+\S{1,64}\s+)?by|with\s+password|set\s+password|password)[ \t]+)"
    r"(?![=:])('(?:[^'\\]|\\.)*+'?|\"(?:[^\"\\]|\\.)*+\"?|\S+)",
    re.IGNORECASE,
)
_HEADER = re.compile(r"(header\s+)([\w-]{2,64})(\s+[\"']?)([^\s\"';]+)", re.IGNORECASE)
_XML = re.compile(r"(<([\w.:-]{1,64})(?:\s[^<>]{0,256})?>)([^<]+)(?=</)")
_QUOTED_BODY = re.compile(r"(\.\.\.\|)(.*?)(?=\|\.\.\.|\Z)", re.DOTALL)  # a decoder's error
_NAMED_VALUE = re.compile(
    r"(\bname[\"'\\]{0,8}\s{0,8}[:=]\s{0,8}[\"'\\]{0,8}[^\"'\\\s,{}]{0,256}[\"'\\]{0,8}"
    r"\s{0,8}[,\n]\s{0,64}"
    r"[\"'\\]{0,8}value[\"'\\]{0,8}\s{0,8}[:=]\s{0,8})"
    r"(\\*\"(?:[^\"\\]|\\(?!\"))*+\\*\"?|'[^']*+'?|[^\s,}\]\"']+)",
    re.IGNORECASE,
)
_GO_VALUE = re.compile(r"(\bValue: ?)(\"(?:[^\"\\]|\\.)*+\"?)")
_DATA_OBJECT = re.compile(r"(\\*\"(?:data|stringData|binaryData)\\*\"\s{0,8}:\s{0,8}\{)([^{}]*+)")
_OBJECT_TEXT = re.compile(r"(:\s{0,8}\\*\")((?:[^\"\\]|\\(?!\"))*+)(?=\\*\"|\Z)")
_DATA_BLOCK = re.compile(
    r"^([ \t]*)(?:data|stringData|binaryData):[ \t]*\n((?:\1[ \t]+[^\n]*(?:\n|\Z)|[ \t]*\n)+)",
    re.MULTILINE,
)
_DATA_LINE = re.compile(
    r"^([ \t]*[^\s:#][^:\n]*:[ \t]+)(?![|>][+-]?\d?[ \t]*$)(\S[^\n]*)$", re.MULTILINE
)
_DATA_REST = re.compile(r"^([ \t]+)(?![^\s:#][^:\n]*:(?:[ \t]|$))(\S[^\n]*)$", re.MULTILINE)
_FLAG = re.compile(r"(?<![\w-])(--?[A-Za-z][\w-]*+[ \t]{1,8})(?![-\s])([\"']?)([^\s\"']+)")
_AFTER_A_FLAG = frozenset("is are was must or and not to flag flags cannot for from with".split())  # noqa: SIM905
_FLAG_SHORTEST = 4  # letters of a flag that is a word


def without_forms(text: str, found: int, replacement: Replacement) -> str:
    """Replace what is found by its form; *found* are the needles that the text holds."""
    for needles, pattern, change in _STEPS:
        if found & needles:
            text = pattern.sub(partial(change, replacement), text)
    return text


# What is done to a match; each gets the replacement and the match.


def _token(replacement: Replacement, match: re.Match[str]) -> str:
    before = match.string[match.start() - 1 : match.start()]
    part_of_a_word = before.isalnum() or before in ("_", "-")
    return match[0] if before and part_of_a_word else replacement(match[0])


def _second(replacement: Replacement, match: re.Match[str]) -> str:
    return match[1] + replacement(match[2])


def _quoted(replacement: Replacement, match: re.Match[str]) -> str:
    return match[1] + in_quotes(match[2], replacement)


def _jwt(replacement: Replacement, match: re.Match[str]) -> str:
    token = match[0]
    known = token.startswith(_JWT_HEADS) or ("." in token and len(token) >= 24)
    return replacement(token) if known else token


def _header(replacement: Replacement, match: re.Match[str]) -> str:
    harmless = judge(match[2]) is KeyVerdict.HARMLESS
    return match[0] if harmless else f"{match[1]}{match[2]}{match[3]}{replacement(match[4])}"


def _element(replacement: Replacement, match: re.Match[str]) -> str:
    harmless = judge(match[2]) is KeyVerdict.HARMLESS
    return match[0] if harmless else match[1] + replacement(match[3])


def _object(replacement: Replacement, match: re.Match[str]) -> str:
    return match[1] + _OBJECT_TEXT.sub(partial(_second, replacement), match[2])


def _block(replacement: Replacement, match: re.Match[str]) -> str:
    head = match[0][: match.start(2) - match.start()]
    second = partial(_second, replacement)
    return head + _DATA_REST.sub(second, _DATA_LINE.sub(second, match[2]))


def _pem(replacement: Replacement, match: re.Match[str]) -> str:
    encoded = match[0]
    head = encoded[:96]
    try:
        begin = base64.b64decode(head + "=" * (-len(head) % 4), validate=False)
    except binascii.Error:
        return replacement(encoded)
    return replacement(encoded) if b"PRIVATE KEY" in begin or len(encoded) < 48 else encoded


def _basic(replacement: Replacement, match: re.Match[str]) -> str:
    """Mask `Basic` credentials: what reads as a name, a colon and a password."""
    try:
        plain = base64.b64decode(match[2] + "=" * (-len(match[2]) % 4), validate=False)
    except binascii.Error:
        return match[0]
    return match[1] + replacement(match[2]) if b":" in plain else match[0]


def _password_in_url(replacement: Replacement, match: re.Match[str]) -> str:
    word = match[0]
    end = word.rfind("@") + 1
    if not end or ":/" not in word:
        return word
    return _PASSWORD_IN_URL.sub(partial(_second, replacement), word[:end]) + word[end:]


def _login(replacement: Replacement, match: re.Match[str]) -> str:
    value = match[2]
    bare = match[1].strip().lower() == "password" and value[:1] not in "'\""
    if bare or value.lower() in _AFTER_A_FLAG | NOTHING or not value.strip("'\";"):
        return match[0]  # `password` alone, then a word: prose
    return match[1] + in_quotes(value, replacement)


def _flag(replacement: Replacement, match: re.Match[str]) -> str:
    name, value = match[1].strip(), match[3]
    word = name.lstrip("-")
    if not name.startswith("--") and len(word) < _FLAG_SHORTEST:
        return match[0]
    harmless = judge(word) is not KeyVerdict.CREDENTIAL or value.lower() in _AFTER_A_FLAG
    if harmless or PLACEHOLDER.fullmatch(value):
        return match[0]
    return f"{match[1]}{match[2]}{replacement(value)}"


Change = Callable[[Replacement, re.Match[str]], str]
_Step = tuple[int, re.Pattern[str], Change]


def _step(needles: Iterable[str], pattern: re.Pattern[str], change: Change) -> _Step:
    return bits_of(needles), pattern, change


_STEPS: tuple[_Step, ...] = (
    _step(("private key",), _PRIVATE_KEY, _second),
    _step(("ls0tls1crudjti",), _ENCODED_PEM, _pem),
    _step(("eyj",), _JWT, _jwt),
    _step(('"data', "stringdata", "binarydata"), _DATA_OBJECT, _object),
    _step(("\ndata:", " data:", "\tdata:", "stringdata", "binarydata"), _DATA_BLOCK, _block),
    _step(("value",), _NAMED_VALUE, _quoted),
    _step(("value",), _GO_VALUE, _quoted),
    _step(("...|",), _QUOTED_BODY, _second),
    *(
        (bits_of(begin.lower() for begin in row.begins), re.compile(row.pattern, re.ASCII), _token)
        for row in TOKEN_FORMATS
    ),
    _step(("authorization",), _AUTHORIZATION, _second),
    _step(("bearer",), _BEARER, _second),
    _step(("basic",), _BASIC, _basic),
    _step(("cookie",), _COOKIE, _second),
    _step((":/",), _WORD_OF_TEXT, _password_in_url),
    _step((":/",), _TOKEN_IN_URL, _second),
    _step(("@tcp(", "@udp(", "@unix("), _DATABASE, _second),
    _step(("-u ", "--user"), _CURL_USER, _second),
    _step(("password", "requirepass", "master", "identified"), _LOGIN, _login),
    _step(("header",), _HEADER, _header),
    _step(("</",), _XML, _element),
    (NAMES, _FLAG, _flag),
)
