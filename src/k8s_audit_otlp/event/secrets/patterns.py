"""Credentials that show themselves by their form: keys, tokens, headers, addresses."""

import re
from functools import partial

from k8s_audit_otlp.event.secrets import commands, structures
from k8s_audit_otlp.event.secrets.grammar import IDENTIFYING_WORDS, names_or_tells
from k8s_audit_otlp.event.secrets.prefilter_needles import AT_PORT, BOOTSTRAP, LOGIN_AT
from k8s_audit_otlp.event.secrets.randomness import (
    CERTAINLY_MADE_UP,
    PUBLIC_KIND,
    WITH_WHO,
    from_base64,
    is_generated,
    is_long_hexadecimal,
    is_of_one_case,
    is_of_version,
)
from k8s_audit_otlp.event.secrets.replacement import Replacement
from k8s_audit_otlp.event.secrets.substitution_steps import (
    Step,
    drawn,
    made_up,
    says_credential,
    second,
    where,
)
from k8s_audit_otlp.event.secrets.token_formats import (
    GENERATED,
    LICENSES,
    MADE_UP_WORDS,
    TOKEN_FORMATS,
)
from k8s_audit_otlp.event.secrets.values import NOTHING, PLACEHOLDER, in_resource
from k8s_audit_otlp.event.secrets.written import calls, programs

_ARMOURS = ("private key", "static key", "secret key", "client key-", "server key-")
_ADMINISTRATORS = ("admin:", "root:", "postgres:", "admin/", "root/")
_ARMOUR = (
    r"[A-Z0-9 -]{0,40}(?:PRIVATE|STATIC|SECRET|(?:CLIENT|SERVER)(?= KEY-)) KEY[A-Z0-9 ]{0,10}-{4,5}"
)
_PRIVATE_KEY = rf"(?si)()(-{{4,5}} ?BEGIN {_ARMOUR}.*?(?:-{{4,5}} ?END {_ARMOUR}|\Z))"
_PRIVATE_LINES = r"(?is)(private-lines: ?\d+\s)(.*?)(?=private-mac|\Z)"
_ENCODED_PEM = r"(?a)LS0tLS1CRUdJTi[\w+/-]{4,}+={0,2}"
_JWT = r"(?a)eyJ[\w+/=-]*+(?:\.[\w-]*+)*+"
_JWT_HEADS = ("eyJhbGciOi", "eyJ0eXAiOi", "eyJraWQiOi")  # {"alg":  {"typ":  {"kid":
_GENERATED = (
    r"(?a)-----BEGIN [A-Z0-9 ]{0,32}(?:CERTIFICATE|PUBLIC KEY)[A-Z0-9 ]{0,16}-----[\w+/=\s\\]*+"
    r"|(?:sha|SHA)-?\d{3}[:=/-][\w+/=-]++|(?P<word>[\w+/-]{11,}+(?:\.[\w+/-]{4,}+)*+={0,2})"
)
# A license, in groups of one length.
_LICENSE = (
    r"(?a)()(?<![\w./@:-])((?=[A-Z-]{0,24}[0-9])(?=[A-Z0-9-]{0,32}?[0-9][A-Z])"
    r"(?:[A-Z0-9]{4}(?:-[A-Z0-9]{4}){2,8}|[A-Z0-9]{5}(?:-[A-Z0-9]{5}){2,8}"
    r"|[A-Z0-9]{6}(?:-[A-Z0-9]{6}){2,8})|[0-9]{6}(?:-[0-9]{6}){3,8})(?![\w./:-])"
)
_LONGEST_ID = 28  # characters of a name before one
_SAID = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
# Beside what says which one it is, what is said of a commit, of which forty digits may stand there.
_BEFORE_DIGESTS = IDENTIFYING_WORDS.union(
    """
    synced syncing sync against head checkout fetched rebased merged applied reconciled cloned
    pushed pulled branch ref refs rollback rolled deployed blob blobs
    """.split()  # noqa: SIM905
)
_SHORTEST_PLURAL = 4  # letters
_NEAR = 4  # words before a digest in which it is said that it is one
# The name of an object, a host or an image, of which it is a part.
_OF_A_NAME = re.compile(r"[.-]\Z|/[\w.-]{1,128}:\Z|[a-z]{4}s(?:\.[a-z0-9.-]{1,64})? \\{0,3}\"\Z")
_MODULUS = re.compile(r"\"n\\*\": ?\\*\"\Z")  # of a public JSON Web Key
_PARTS = re.compile(r"([/.])")
_GOES_ON = re.compile(r"\.[A-Za-z]|-\w|@")
_BOOTSTRAP = rf"(?a)()((?<![\w.-])(?=[a-z]{{0,6}}\d|[a-z.]{{7,22}}\d){BOOTSTRAP}(?![\w-]|\.\w))"
_BEARER = (
    r"(?ia)(bearer(?:\s|%20|\+)++)(?!(?:tokens?|auth\w*|credentials?|scheme|header|realm)\b)"
    r"([\w.~+/=-]{4,})"
)
# RFC 9110 section 11: a scheme, then the credentials; or the credentials alone.
_AUTHORIZATION = (
    r"(?ia)(authorization[\"'\\]{0,4}(?:\s{0,8}[:=]\s{0,8}|\s{1,8})[\"'\\]{0,4}"
    r"(?:(?:bearer|basic|token|apikey|api-key|digest|negotiate|ntlm|key|aws4-hmac-sha256)"
    r"(?:\s|%20|\+)++))([^\s\"'\\,]{4,})"
)
_DIGEST = (
    r"(?i)((?:authorization|authenticate)[\"'\\]{0,4}[\s:=]{1,8}[\"'\\]{0,4}digest\s{1,8})([^\n]+)"
)
_BASIC = r"(?ia)(\bbasic(?:\s|%20|\+)++)([A-Za-z0-9+/]{8,}+={0,2})"
_COOKIE = r"(?i)((?:set-)?cookie[\"'\\]{0,4}\s{0,8}[:=]\s{0,8}[\"'\\]{0,4})([^\s\"'][^\n\"']*)"
_PASSWORD_IN_URL = re.compile(r"(:/{1,2}[^\s/:@\"'\\]*+:)(?!\d{1,5}(?:[/?#]|$))([^\s\"'\\]*)(?=@)")
_CUT_URL = r"(:/{1,2}[^\s/:@\"'\\]{1,128}:)(?!\d{1,5}\Z)([^\s/:@\"'\\]{6,})\Z"
# Any word, where a port or a path is behind it: `bob:X@host:6379`, `bob:X@/db`.
_LOGIN_AT_PORT = (
    r"((?<![\w.:@/-])(?!sips?:|mailto:)[\w.-]{1,64}+:)([^\s\"'@:/{}$]{4,64})"
    r"(?=@(?:[\w.-]{1,128}:\d{2,5}(?![\w@])|/\w))"
)
# Words that hold an address and, behind it, an @: each is looked at once, up to the last of them.
_WORD_OF_TEXT = r"[^\s\"'\\]++"
_ALONE_IN_URL = r"(://)(?=[^\s/:@]*\d)([^\s/:@\"'\\]{8,})(?=@|:[^\s/:@]{0,64}@)"
_DATABASE = r"((?<![\w.-])[\w.-]{1,64}+:)([^\s\"'@]{1,256}+)(?=@(?:tcp|udp|unix)\()"
# The same without a scheme: `bob:X@host`.
_LOGIN_AT = r"((?<![\w.-])[\w.-]{1,64}+:[\"']?)([^\s\"'@:/]{8,64})(?=[\"']?@(?!sha\d)[A-Za-z0-9])"
_SHARE = r"((?:^|(?<=[\s\"'=(]))//[^\s/:@\"'\\]{1,128}:)([^\s\"'\\]{1,256})(?=@)"
_ORACLE = (
    r"(\b(?:thin\\{0,4}:|sqlplus\s)[^\s/:@\"']{1,128}/)"
    r"(\\{0,4}\"[^\"\n]{1,256}\"|[^\s\"'@]{1,256}+)(?=@)"
)
_ADMINISTRATOR = (
    r"((?<![\w./-])(?:admin|root|postgres)(?:[:/]|: ))"
    r"(?![0-9a-f]+(?:[\s\"']|\Z))([^\s/@:\"'\\]{8,64})(?![/:]|@[A-Za-z])"
)
# Also behind a scheme: `Header Authorization Splunk X`.
_HEADER = (
    r"(?i)header\s+(?P<name>[\w-]{2,64})\s+[\"']?"
    r"(?P<value>(?:[a-z][\w-]{1,24} )?[^\s\"';]+)"
)


# What is done to a match; each gets the replacement and the match.


def _token(replacement: Replacement, match: re.Match[str]) -> str:
    before = match.string[match.start() - 1 : match.start()]
    part_of_a_word = before.isalnum() or before in ("_", "-")
    return match[0] if before and part_of_a_word else replacement(match[0])


def _cookie(replacement: Replacement, match: re.Match[str]) -> str:
    return match[0] if match[2].strip().lower() in NOTHING else second(replacement, match)


def _generated(replacement: Replacement, match: re.Match[str]) -> str:
    """Mask what a generator made, also as a step of a path; not what is called an id."""
    word, text = match["word"], match.string
    if word is None or (word.isalpha() and _is_among_signs(match)):
        return match[0]
    parts = _PARTS.split(word)
    made = [n for n, part in enumerate(parts) if is_generated(part) or is_long_hexadecimal(part)]
    if not made:
        return match[0]
    before = text[max(0, match.start() - _LONGEST_ID) : match.start()]
    said = [each.lower() for each in _SAID.findall(before)[-_NEAR:]]
    if word.startswith("AAAA") and PUBLIC_KIND.search(before):
        return match[0]
    if not IDENTIFYING_WORDS.isdisjoint(said[-1:]) or "public" in said or _MODULUS.search(before):
        return match[0]
    new = [*parts]
    for n in made:  # what names an object, a host or an image has one case
        if not (is_of_one_case(parts[n]) and _is_which(match, parts, n, before, said)):
            new[n] = replacement(parts[n])
    if len(parts) == 1:
        return new[0]
    kept = [part for part, left in zip(parts, new, strict=True) if part is left]
    among_words = any(part.islower() and part.isalpha() for part in kept if len(part) > 2)
    is_most = 2 * len("".join(kept)) < len(word)
    if not among_words and (is_most or word.endswith("=") or all(map(_is_mixed, kept))):
        return replacement(word)  # of base64, or a token of several parts
    return "".join(new)


def _is_mixed(part: str) -> bool:
    """Tell a part of base64 from a word or a name: of both cases, or too short to tell."""
    return len(part) < _SHORTEST_PLURAL or not (part.islower() or part[1:].islower())


def _is_step(parts: list[str], n: int) -> bool:
    """Tell a step of a path behind one that says which: `/id/X`, `/Systems/X`, `/projects/X`."""
    step = parts[n - 2] if n > 1 and parts[n - 1] == "/" else ""
    several = len(step) > _SHORTEST_PLURAL and step.isalpha() and step.endswith("s")
    return step.lower() in IDENTIFYING_WORDS or (several and not names_or_tells(step))


def _is_which(match: re.Match[str], parts: list[str], n: int, before: str, said: list[str]) -> bool:
    """Tell a part of a name, or a digest behind a word that says which object or version it is."""
    if (
        _is_step(parts, n)
        or "-" in parts[n]
        or "." in (*parts[max(0, n - 1) : n], *parts[n + 1 : n + 2])
    ):
        return True
    if (n == 0 and _OF_A_NAME.search(before)) or (
        n == len(parts) - 1 and _GOES_ON.match(match.string, match.end())
    ):
        return True
    if not (is_long_hexadecimal(parts[n]) and parts[n].islower()):
        return False
    return not _BEFORE_DIGESTS.isdisjoint(said) or is_of_version(
        match.string, match.start(), parts[n]
    )


def _is_among_signs(match: re.Match[str]) -> bool:
    """Tell a piece of what is all signs and letters, such as padding."""
    around = match.string[max(0, match.start() - 1) : match.end() + 1]
    return around[0] in "<>&" or around[-1] in "<>&"


def _jwt(replacement: Replacement, match: re.Match[str]) -> str:
    token = match[0]
    known = token.startswith(_JWT_HEADS) or ("." in token and len(token) >= 24)
    return replacement(token) if known else token


def _pem(replacement: Replacement, match: re.Match[str]) -> str:
    encoded = match[0]
    begin = from_base64(encoded[:96])
    is_secret = b"PRIVATE KEY" in begin or begin.count(b"-----") < 2  # it does not say what it is
    return replacement(encoded) if is_secret else encoded


def _basic(replacement: Replacement, match: re.Match[str]) -> str:
    """Mask `Basic` credentials: what reads as a name, a colon and a password."""
    return second(replacement, match) if b":" in from_base64(match[2]) else match[0]


def _password_in_url(replacement: Replacement, match: re.Match[str]) -> str:
    word = match[0]
    end = word.rfind("@") + 1
    if not end or ":/" not in word:
        return word
    return _PASSWORD_IN_URL.sub(partial(second, replacement), word[:end]) + word[end:]


def _given(replacement: Replacement, match: re.Match[str]) -> str:
    """Mask what is given, not what stands in for it: `Bearer ${env:TOKEN}`."""
    return match[0] if PLACEHOLDER.fullmatch(match[2]) else second(replacement, match)


def _is_sent(name: str, value: str) -> bool:
    return says_credential(name) and PLACEHOLDER.fullmatch(value) is None


def _made_up_word(replacement: Replacement, match: re.Match[str]) -> str:
    """Mask what somebody made up, but in the name of a resource of a cloud."""
    named = in_resource(match.string, match.start())
    return match[0] if named else second(replacement, match)


def _token_in_url(replacement: Replacement, match: re.Match[str]) -> str:
    """Mask a token before an address, also one with a word behind it that is no password."""
    alone = match.string[match.end()] == "@"
    return (second if alone else drawn)(replacement, match)


SHOWN_WHOLE: tuple[Step, ...] = (
    Step(_ARMOURS, _PRIVATE_KEY, second),
    Step(("private-lines",), _PRIVATE_LINES, second),
    Step(("ls0tls1crudjti",), _ENCODED_PEM, _pem),
    Step(("eyj",), _JWT, _jwt),
    *structures.STEPS,
)
TOKENS: tuple[Step, ...] = (
    *(Step(row.needles, f"(?a){row.pattern}", _token) for row in TOKEN_FORMATS),
    Step((BOOTSTRAP,), _BOOTSTRAP, second),
)
# Not where a text says who someone is: identity providers generate that, too.
GENERATED_WORDS: tuple[Step, ...] = (
    Step((GENERATED,), _GENERATED, _generated),
    Step((LICENSES,), _LICENSE, second),
    Step((MADE_UP_WORDS,), CERTAINLY_MADE_UP.pattern, _made_up_word),
    Step((MADE_UP_WORDS,), WITH_WHO, second),
)
STEPS: tuple[Step, ...] = (
    Step(("authorization", "authenticate"), _DIGEST, second),
    Step(("authorization",), _AUTHORIZATION, _given),
    Step(("bearer",), _BEARER, _given),
    Step(("basic",), _BASIC, _basic),
    Step(("cookie",), _COOKIE, _cookie),
    Step((":/",), _WORD_OF_TEXT, _password_in_url),
    Step((":/",), _CUT_URL, second),
    Step((":/",), _ALONE_IN_URL, _token_in_url),
    Step(("//",), _SHARE, second),
    Step(("thin:", "thin\\", "sqlplus"), _ORACLE, second),
    Step(_ADMINISTRATORS, _ADMINISTRATOR, made_up),
    Step(("@tcp(", "@udp(", "@unix("), _DATABASE, second),
    Step((LOGIN_AT,), _LOGIN_AT, made_up),
    Step((AT_PORT,), _LOGIN_AT_PORT, second),
    Step(("header",), _HEADER, where(_is_sent)),
    *calls.STEPS,
    *programs.STEPS,
    *commands.STEPS,
)
