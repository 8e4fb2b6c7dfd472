"""Takes credentials out of free text: messages, user agents, scripts and files inside strings.

What a credential looks like is the grammar's (see `grammar`); how far its value goes is told here.
Where the end is in doubt, the longer reading is masked. Every pattern is linear in the length of
the text, because clients choose the text.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable
from typing import Final

from k8s_audit_otlp.event.redact.grammar import TOKEN_FORMATS, KeyVerdict, judge, may_hold

MASK: Final = "REDACTED"
_HMAC_FORM = re.compile(r"hmac-[0-9a-f]{32}")


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


# -- what shows itself by its form ---------------------------------------------------------------

_PRIVATE_KEY = re.compile(
    r"()(-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----"
    r".*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----|\Z))",
    re.DOTALL,
)
_ENCODED_PEM = re.compile(r"LS0tLS1CRUdJTi[\w+/-]{4,}+={0,2}", re.ASCII)
_JWT = re.compile(r"eyJ[\w-]*+(?:\.[\w-]*+)*+", re.ASCII)
_JWT_HEADS = ("eyJhbGciOi", "eyJ0eXAiOi", "eyJraWQiOi")  # {"alg":  {"typ":  {"kid":
_TOKEN = re.compile(
    r"(?<![\w-])(?:" + "|".join(row.pattern for row in TOKEN_FORMATS) + ")", re.ASCII
)
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
_TOKEN_IN_URL = re.compile(r"(://)(?=[^\s/:@]*\d)([^\s/:@\"'\\]{8,})(?=@)")
_DATABASE = re.compile(r"((?<![\w.-])[\w.-]{1,64}+:)([^\s\"'@]{1,256})(?=@(?:tcp|udp|unix)\()")
_CURL_USER = re.compile(r"((?:\s|^)(?:-u|--user)(?:[ \t=]+)[\"']?[^\s:\"']{0,128}:)([^\s\"']+)")
_LOGIN = re.compile(
    r"((?:^|\s)(?:login\s+\S{1,128}\s+password|requirepass|masterauth"
    r"|identified\s+(?:with\s+\S{1,64}\s+)?by|with\s+password|set\s+password|password)[ \t]+)"
    r"('(?:[^'\\]|\\.)*+'?|\"(?:[^\"\\]|\\.)*+\"?|\S+)",
    re.IGNORECASE,
)
_HEADER = re.compile(r"(header\s+)([\w-]{2,64})(\s+[\"']?)([^\s\"';]+)", re.IGNORECASE)
_SIGNATURE = re.compile(
    r"([?&;](?:sig|signature|x-amz-signature|x-goog-signature)=)([^&\s\"']+)", re.IGNORECASE
)
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

# -- what a name tells ---------------------------------------------------------------------------

_NAMED = re.compile(
    r"(?<![\w.$-])(?P<name>[\w.-]++)(?P<close>[\"'\\]{0,8})[ \t]{0,8}(?P<sign>=>|:=|[:=])[ \t]{0,8}"
)
_FLAG = re.compile(r"(?<![\w-])(--?[A-Za-z][\w-]*+[ \t]{1,8})(?![-\s])([\"']?)([^\s\"']+)")
_QUOTE = re.compile(r"\\*[\"'`]")
_SERVICE_ACCOUNT = re.compile(r"[\w.:@-]*")
_UNQUOTED = re.compile(r"[^\s\"'`<>]+")
_REST_OF_LINE = re.compile(r"[^\n]*")
_NEXT_LINE = re.compile(r"[ \t]*\n([ \t]+)(?![^\s:]+:(?:\s|\Z))(?!- )(\S[^\n]*)")
_BLOCK = re.compile(r"[|>][+-]?\d?[ \t]*\n([ \t]+)")
_LINE_START = re.compile(r"[ \t]*(?:- )?(?:export |set |ENV |env )?[\"']?\Z")
_PROSE = re.compile(r"[A-Za-z][a-z']*,?(?: [A-Za-z][A-Za-z'-]*[,.;:!]?)+(?:\s.*)?", re.DOTALL)
_VERSION = re.compile(r"v?\d[\d.]*[\w.+-]*")
_PLACEHOLDER = re.compile(rf"\$[({{]?\w+[)}}]?|\{{\{{.*|%[sdv]|\*+|\"\"|''|{MASK}(?:[&;,)\]].*)?")
_NOTHING = frozenset(
    "true false null nil none ~ <nil> required forbidden invalid yes no undefined unset".split()  # noqa: SIM905
)
_AFTER_A_FLAG = frozenset("is are was must or and not to flag flags cannot for from with".split())  # noqa: SIM905
_FLAG_SHORTEST = 4  # letters of a flag that is a word
_TEXT_SHORTEST = 8  # characters of a value under a name such as `auth`
_LONGEST_LEAD = 256  # characters before a name that may make it the first of its line


def clean(text: str, replacement: Replacement, *, prose: bool = False, names: bool = True) -> str:
    """Take tokens, keys and passwords out of text whose shape nobody knows.

    In prose a colon ends a clause: `invalid token: key is not valid` states no token. Without
    *names* only what shows itself by its form is taken, not what stands behind a name and a sign.
    """
    return _cleaned(text, replacement, prose=prose, names=names) if may_hold(text) else text


def _cleaned(text: str, replacement: Replacement, *, prose: bool, names: bool) -> str:
    def second(match: re.Match[str]) -> str:
        return match[1] + replacement(match[2])

    def quoted(match: re.Match[str]) -> str:
        return match[1] + _in_quotes(match[2], replacement)

    def jwt(match: re.Match[str]) -> str:
        token = match[0]
        known = token.startswith(_JWT_HEADS) or ("." in token and len(token) >= 24)
        return replacement(token) if known else token

    def named(match: re.Match[str]) -> str:
        harmless = judge(match[2]) is KeyVerdict.HARMLESS
        return match[0] if harmless else f"{match[1]}{match[2]}{match[3]}{replacement(match[4])}"

    def element(match: re.Match[str]) -> str:
        harmless = judge(match[2]) is KeyVerdict.HARMLESS
        return match[0] if harmless else match[1] + replacement(match[3])

    def values(match: re.Match[str]) -> str:
        return match[1] + _OBJECT_TEXT.sub(second, match[2])

    def block(match: re.Match[str]) -> str:
        head = match[0][: match.start(2) - match.start()]
        return head + _DATA_REST.sub(second, _DATA_LINE.sub(second, match[2]))

    steps: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
        (_PRIVATE_KEY, second), (_ENCODED_PEM, lambda m: _pem(m[0], replacement)), (_JWT, jwt),
        (_DATA_OBJECT, values), (_DATA_BLOCK, block), (_NAMED_VALUE, quoted), (_GO_VALUE, quoted),
        (_QUOTED_BODY, second), (_TOKEN, lambda m: replacement(m[0])), (_AUTHORIZATION, second),
        (_BEARER, second), (_BASIC, lambda m: _basic(m, replacement)), (_COOKIE, second),
        (_PASSWORD_IN_URL, second), (_TOKEN_IN_URL, second), (_DATABASE, second),
        (_CURL_USER, second), (_LOGIN, lambda m: _login(m, replacement)), (_HEADER, named),
        (_XML, element), (_FLAG, lambda m: _flag(m, replacement)),
    )  # fmt: skip
    for pattern, change in steps:
        text = pattern.sub(change, text)
    if not names:
        return text
    return _assignments(_SIGNATURE.sub(second, text), replacement, prose=prose)


def _in_quotes(value: str, replacement: Replacement) -> str:
    """Replace what is between quotes, however often they are escaped."""
    quote = _QUOTE.match(value)
    if quote is None:
        return replacement(value)
    mark = quote[0]
    closed = len(value) >= 2 * len(mark) and value.endswith(mark)
    inner = value[len(mark) : -len(mark)] if closed else value[len(mark) :]
    return f"{mark}{replacement(inner) if inner else ''}{mark if closed else ''}"


def _pem(encoded: str, replacement: Replacement) -> str:
    head = encoded[:96]
    try:
        begin = base64.b64decode(head + "=" * (-len(head) % 4), validate=False)
    except binascii.Error:
        return replacement(encoded)
    return replacement(encoded) if b"PRIVATE KEY" in begin or len(encoded) < 48 else encoded


def _basic(match: re.Match[str], replacement: Replacement) -> str:
    """Mask `Basic` credentials: what reads as a name, a colon and a password."""
    try:
        plain = base64.b64decode(match[2] + "=" * (-len(match[2]) % 4), validate=False)
    except binascii.Error:
        return match[0]
    return match[1] + replacement(match[2]) if b":" in plain else match[0]


def _login(match: re.Match[str], replacement: Replacement) -> str:
    value = match[2]
    bare = match[1].strip().lower() == "password" and value[:1] not in "'\""
    if bare or value.lower() in _AFTER_A_FLAG | _NOTHING or not value.strip("'\";"):
        return match[0]  # `password` alone, then a word: prose
    return match[1] + _in_quotes(value, replacement)


def _flag(match: re.Match[str], replacement: Replacement) -> str:
    name, value = match[1].strip(), match[3]
    word = name.lstrip("-")
    if not name.startswith("--") and len(word) < _FLAG_SHORTEST:
        return match[0]
    harmless = judge(word) is not KeyVerdict.CREDENTIAL or value.lower() in _AFTER_A_FLAG
    if harmless or _PLACEHOLDER.fullmatch(value):
        return match[0]
    return f"{match[1]}{match[2]}{replacement(value)}"


# -- name, sign, value -----------------------------------------------------------------------------


def _assignments(text: str, replacement: Replacement, *, prose: bool) -> str:
    """Replace the values of names that say credential."""
    parts: list[str] = []
    kept = at = 0
    while (match := _NAMED.search(text, at)) is not None:
        at = match.end()
        name = match["name"]
        if name in ("system", "serviceaccount", "serviceaccounts") and match["sign"] == ":":
            account = _SERVICE_ACCOUNT.match(text, at)
            at = account.end() if account else at
            continue
        verdict = judge(name)
        if verdict is KeyVerdict.HARMLESS or _names_a_place(text, match):
            continue
        start, end = _value_at(text, match)
        value = text[start:end]
        if end <= start or _states_nothing(value, match, verdict, prose=prose):
            continue
        parts += text[kept:start], _in_quotes(value, replacement)
        kept = at = end
    return "".join((*parts, text[kept:])) if parts else text


def _names_a_place(text: str, match: re.Match[str]) -> bool:
    """Tell `ghcr.io/external-secrets:v1` and `token-service:8080` from a name and its value."""
    tight = match[0].endswith(":") and not match["close"]
    if not tight or text[match.end() : match.end() + 1] in ("", "\n", '"', "'", "\\"):
        return False
    before = text[match.start() - 1 : match.start()]
    if before in ("/", "@"):
        return True
    if before == "[":
        return False
    value = _UNQUOTED.match(text, match.end())
    return value is not None and _VERSION.fullmatch(value[0].rstrip("/,;.)")) is not None


def _value_at(text: str, match: re.Match[str]) -> tuple[int, int]:
    """Return where the value begins and ends; an empty range where there is none."""
    start = match.end()
    quote = _QUOTE.match(text, start)
    if quote is not None:
        return start, _end_of_quoted(text, start, quote[0])
    first = text[start : start + 1]
    if first in ("{", ""):
        return start, start  # what is in an object is judged by its own names
    if first == "[":
        end = text.find("]", start)
        return start, (end if end >= 0 else len(text))
    if first == "\n":
        below = _NEXT_LINE.match(text, start) if match["sign"] == ":" else None
        return (below.start(2), below.end(2)) if below else (start, start)
    if (block := _BLOCK.match(text, start)) is not None:
        return block.end(), _end_of_block(text, block.end(), len(block[1]))
    line = text.rfind("\n", max(0, match.start() - _LONGEST_LEAD), match.start()) + 1
    spaced = match[0][-1:] in " \t" or match["sign"] == "="
    if spaced and _LINE_START.fullmatch(text, line, match.start()):
        rest = _REST_OF_LINE.match(text, start)
        return start, rest.end() if rest else start
    value = _UNQUOTED.match(text, start)
    return start, value.end() if value else start


def _end_of_quoted(text: str, start: int, mark: str) -> int:
    at = start + len(mark)
    while (end := text.find(mark, at)) >= 0:
        if len(mark) > 1 or mark == "`" or not _is_escaped(text, end):
            inner = len(mark) > 1 and text[end - 1 : end] == "\\"
            if not inner:
                return end + len(mark)
        at = end + 1
    return len(text)


def _is_escaped(text: str, at: int) -> bool:
    count = 0
    while count < 64 and text[at - count - 1 : at - count] == "\\":
        count += 1
    return count % 2 == 1


def _end_of_block(text: str, start: int, indent: int) -> int:
    """Return the end of a YAML block scalar: lines that are blank or indented as its first one."""
    at = text.find("\n", start)
    while at >= 0:
        line = text[at + 1 : at + 1 + indent]
        if line.strip(" \t") and not line.startswith("\n"):
            return at
        at = text.find("\n", at + 1)
    return len(text)


def _states_nothing(value: str, match: re.Match[str], verdict: KeyVerdict, *, prose: bool) -> bool:
    """Tell a value that is no credential: nothing, a reference to one, or the rest of a clause."""
    bare = value.strip().rstrip(",;.").lower()
    if bare in _NOTHING or _PLACEHOLDER.fullmatch(value.strip()):
        return True
    if _QUOTE.match(value):
        return False
    following = match.string[match.end() : match.end() + 128]
    if match["sign"] == ":" and match[0][-1:] == " " and _PROSE.fullmatch(following):
        return True
    if prose and match[0].endswith(": ") and value.islower() and value.isalpha():
        return True
    if verdict is KeyVerdict.CREDENTIAL_TEXT:
        return len(value) < _TEXT_SHORTEST or not any(map(str.isdigit, value))
    return False
