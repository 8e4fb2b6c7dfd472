"""Credentials in calls of functions: with a name, behind who logs in, as a key, if none is set."""

import re
from functools import partial
from typing import Final

from k8s_audit_otlp.event.secrets.grammar import CREDENTIAL_WORDS, names_one_value
from k8s_audit_otlp.event.secrets.replacement import Replacement, in_quotes
from k8s_audit_otlp.event.secrets.substitution_steps import (
    Step,
    made_up,
    quoted,
    says_credential,
    where,
)
from k8s_audit_otlp.event.secrets.values import PLACEHOLDER

_QUOTED = r"(?:\\{0,4}\"[^\"\n]*\"?|\\{0,4}'[^'\n]*'?|\\{0,4}`[^`\n]*`?)"
_CALL = (
    r"\(\s{0,8}\\{0,4}[\"'`](?P<name>[\w.:-]{1,64})\\{0,4}[\"'`]\s{0,8},\s{0,64}"
    rf"(?P<value>{_QUOTED})"
)
# Who and the password, for a function that says so: `auth("bob", "X")`.
_LOGS_IN = (
    r"(?i)((?:auth(?:\.basic)?|credentials\.basic|httpbasic|login|logon|sign_?in|pw_set|dial|connect)\w{0,16}+"
    r"=?\(\s{0,8}(?:\"\",\s?)?\\{0,4}[\"'`][^\"'`\n]{1,128}[\"'`]\s{0,8},\s{0,8}(?:some\()?)"
    r"(\\{0,4}[\"'`][^\"'`\s]{8,256}[\"'`])"
)
_LOGIN_ONLY = re.compile(
    r"(?:basic_?)?auth\(|(?:login|logon|sign_?in|authenticat|passwordauth|httpbasicauth|plainauth|pw_set|auth\.basic|credentials\.basic|httpbasic)",
    re.IGNORECASE,
)
_BASIC_AUTH = (
    r"(?i)(\bauth\w{0,8}\s?=\s?(?:\w{1,32}\.)?\w{0,32}"
    rf"\(\s{{0,8}}{_QUOTED}\s{{0,8}},\s{{0,8}})({_QUOTED})"
)
# The arguments of a call on its line, with calls of no more arguments in them.
_ARGUMENTS = (
    r"(?P<arguments>(?:[^()\"'`\n]++|\"[^\"\n]{0,256}+\"|'[^'\n]{0,256}+'|`[^`\n]{0,256}+`"
    r"|\([^()\n]{0,64}+\)){1,48}+)"
)
# Of functions that are given a password, that connect as somebody, and of cryptography.
_GIVEN = (
    rf"(?i)(?<![A-Za-z])(?:sp_(?:addlogin|password)[ \t]|"
    rf"(?!get|read|fetch|load|find|has|is_|check|verify|lookup)\w{{0,32}}?(?:password|passwd"
    rf"|credential|add_?login|create_?(?:super_?)?user)\w{{0,16}}\(){_ARGUMENTS}"
)
_GIVEN_TO = ("password", "passwd(", "credential(", "eruser(", "er_user(", "login")
_CONNECTS = (
    rf"(?i)(?<![A-Za-z])(?:\w{{0,16}}connect(?:ion)?|mysqli|pdo)\("
    rf"(?=[^,\n]{{1,256}},[^,\n]{{1,128}},){_ARGUMENTS}"
)
_ENCRYPTS = (
    r"(?i)(?<![A-Za-z])(?:(?:create)?hmac(?:\.new|[-_]?sha\d{1,3})?|jwt\.\w{3,8}|fernet|aes\.\w{3,8}|crypt|bcrypt\.\w{4,16}|createcipher"
    r"|(?:crypto)?js\.\w{3,16}\.(?:en|de)crypt|(?:aes|des|pgp_sym)_(?:en|de)crypt\w{0,8}"
    rf"|secretkeyspec|createcipheriv)\({_ARGUMENTS}"
)
# Who logs in to a directory is called by a distinguished name.
_BINDS = rf"(?i)(?<![A-Za-z])\w{{0,16}}bind(?:_s)?\((?=[^\n]{{0,64}}\b(?:cn|uid|dc)=){_ARGUMENTS}"
_PARSES = rf"(?<![A-Za-z])(?:cookie[pP]arser|cookieSession)\({_ARGUMENTS}"
_STORE = rf"(?i)(?<![A-Za-z])(?:redis|red|rdb|r|conn|client|cli)[.:](?:auth)\({_ARGUMENTS}"
_TEXT = re.compile(r"\\{0,4}\"[^\"\\\n]+\\{0,4}\"|'[^'\n]+'|`[^`\n]+`")
_ALGORITHM = re.compile(
    r"(?i)(?:[rhep]s|sha|md|utf)-?\d{1,3}(?:[-/]\d{3})?|bf|md5|hex|base64|aes[-\w]{0,16}"
    r"|algorithms?|latin1|ascii|binary"
)
_SHORTEST = 6  # characters, with the quotes
# What is taken where a credential is not set: `process.env.DB_PASSWORD || 'X'`.
_INSTEAD = (
    r"(?P<name>[\w-]{2,64}+)[)\]\"']{0,4}\s{0,4}(?:\|\||\?\?|\?:|\bor\b)\s{0,4}"
    r"(?P<value>\"[^\"\n]{4,256}\"|'[^'\n]{4,256}'|`[^`\n]{4,256}`)"
)


def _logs_in(replacement: Replacement, match: re.Match[str]) -> str:
    """Mask a password in a call: any word where the function's name leaves nothing else."""
    return (quoted if _LOGIN_ONLY.match(match[1]) else made_up)(replacement, match)


def _text(replacement: Replacement, match: re.Match[str]) -> str:
    """Mask a text, not one that names: an algorithm, a variable, a place, an address."""
    text = match[0].strip("\\\"'`")
    before = match.string[max(0, match.start() - 32) : match.start()].rstrip(" =")
    named = before.endswith("algorithm") or (":" in text and "/" in text) or "@" in text
    names = text.lower() in CREDENTIAL_WORDS or names_one_value(text)
    kept = len(match[0]) < _SHORTEST or named or names or any(map(str.isspace, text))
    if kept or "=" in text or PLACEHOLDER.fullmatch(text) or _ALGORITHM.fullmatch(text):
        return match[0]
    return in_quotes(match[0], replacement)


def _all_texts(replacement: Replacement, match: re.Match[str]) -> str:
    return _with_texts(replacement, match, 0)


def _further_texts(replacement: Replacement, match: re.Match[str]) -> str:
    """Mask all texts but the first: it says who, or where, unless it stands alone."""
    return _with_texts(replacement, match, 1)


def _with_texts(replacement: Replacement, match: re.Match[str], kept: int) -> str:
    arguments = match["arguments"]
    texts = [*_TEXT.finditer(arguments)]
    first = texts[kept].start() if len(texts) > kept else 0 if kept and "," not in arguments else -1
    if first < 0:
        return match[0]
    new = arguments[:first] + _TEXT.sub(partial(_text, replacement), arguments[first:])
    return match[0].removesuffix(arguments) + new


STEPS: Final[tuple[Step, ...]] = (
    Step((), _INSTEAD, where(says_credential), ("||", "??", "?:", " or ")),
    Step((), _CALL, where(says_credential), "("),
    Step(
        (
            "auth",
            "basic(",
            "authenticate",
            "wordauth",
            "login",
            "logon",
            "signin(",
            "pw",
            "dial(",
            "connect(",
        ),
        _LOGS_IN,
        _logs_in,
        "(",
    ),
    Step(("auth",), _BASIC_AUTH, quoted, "("),
    Step(
        ("password", "passwd", "credential", "eruser(", "er_user(", "login"),
        _GIVEN,
        _further_texts,
        ("(", "sp_", "SP_"),
    ),
    Step(("eateuser(", "eate_user("), _GIVEN, _further_texts),
    Step(("connect(", "connection(", "mysqli(", "pdo("), _CONNECTS, _further_texts),
    Step(
        ("hmac", "jwt", "fernet(", "aes.new(", "crypt", "keyspec(", "createcipher"),
        _ENCRYPTS,
        _all_texts,
        "(",
    ),
    Step((".auth(", ":auth("), _STORE, _all_texts),
    Step(("bind(", "bind_s("), _BINDS, _further_texts),
    Step(("cookieparser(", "cookiesession("), _PARSES, _all_texts),
)
