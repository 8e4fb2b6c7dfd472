"""Random words behind words that say credential: `snmp-server community X RO`.

What a generator made is called drawn here: it is no word, name or version.

Hundreds of programs take a password as a word or behind a flag of one letter. What stands before it
on its line is read as a name is, because no list of programs is long enough.
"""

import re
from functools import lru_cache
from string import digits

from k8s_audit_otlp.event.secrets.grammar import (
    KeyVerdict,
    judge,
    names_or_tells,
    says_drawn,
    words_of,
)
from k8s_audit_otlp.event.secrets.prefilter_needles import SHORT_FLAG
from k8s_audit_otlp.event.secrets.randomness import (
    LETTERS,
    MADE_UP,
    PASSWORD_LIKE,
    PUBLIC_KEYS,
    PUBLIC_KIND,
    RANDOM,
    SHORT_MIXED,
    is_drawn,
    is_of_version,
    is_short_drawn,
)
from k8s_audit_otlp.event.secrets.replacement import Replacement
from k8s_audit_otlp.event.secrets.substitution_steps import Step, made_up, second
from k8s_audit_otlp.event.secrets.values import in_resource

_LOOK_BACK = 64  # characters
_NEAR = 9  # words in which a name is looked for that says credential by itself
_NEXT = 4  # and one that says it of what is drawn only
_WORD = re.compile(
    r"(?a)(?=[\w+!$^*-]{10})(?<![\w+!$^*-])[\w+!$^*-]{0,64}?"
    rf"{RANDOM}(?:[\w+/=~!$^*%-]|\.(?=\w))*+"
)
_LETTERS = re.compile(rf"(?<![^\s\"'=:/(`]){LETTERS.pattern}")
_HEX = re.compile(r"(?:[a-z]{1,8}-)?[0-9a-f]+|[0-9A-F]+")  # `i-0abc...`, too
_ADDRESS = re.compile(r"0x[0-9a-f]{1,16}")  # of memory
_BETWEEN = re.compile(r"\s(?:\d{1,2}|is|was|to)\s\Z")  # a name and a value: `secret 5 X`
_TELLING_STEPS = frozenset(
    "hook hooks webhook webhooks push keys invite share reset verify magic unsubscribe".split()  # noqa: SIM905
)
# What says which object, content or version something is: `secrets "X" not found`.
_NAMING = re.compile(
    r"(?:(?:(?:secret|token|account|credential)s[\s/\"'\\]{1,4}|secret [\"'\\]{1,3})"
    r"|(?i:sha\d{1,3}|checksum|commit|revision)[:=@\s-]{1,3})\Z"
)
_BEHIND_NAMING, _NAMING_ENDS = " \t\r\n\f\v/\"'\\:=@-", frozenset("sStTmMnN0123456789")  # of those
_LONGEST_PUBLIC = 1024  # characters of a key
_LONGEST_NAMING = 16  # characters
_NAMING_LONG = re.compile(r"(?:checksum/[\w.-]{1,64}[:=@\s-]{1,3}|\barn:[^\s\"']*)\Z")
_BEFORE_IT = r"[^\s:%,\"']{1,64}[:%,]%?"
# `-p X`, `-u bob:X`, `/p:X`
_FLAG = (
    r"(?a)((?:(?<=[\s\"'])|^)(?:(?:-[aAkKpPsStwW]|/r?p(?=[: ]))[ =:]?[\"']?"
    rf"(?:{_BEFORE_IT})?|(?:-[uUE]|--cert)[ =]?[\"']?{_BEFORE_IT}))"
    r"(?=[\w+~!$^*-]{6})(?![0-9a-f]{1,15}(?:[\s\"']|\Z))([^\s\"']{8,})"
)


# The same behind a flag that says who: `-u root -p X`.
_WITH_USER = (
    r"((?:(?:\s|^)-[uUlnDx]|\s--?user(?:name)?)[ =]?[^\s-][^\s|;&]{0,63}+[^\n|;&]{0,64}?"
    r"\s(?:-[pPwW]|--?pass)[ =]?[\"']?)(?=[^\s\"']{0,64}\d)"
    r"(?=[^\s\"']{0,64}[A-Z!#^*~@]|[0-9a-f]{16,}(?:[\s\"']|\Z))([A-Za-z0-9][^\s\"'/:,]{7,}+)(?![:/])"
)
# And a word: a port is a number, and what has a sign in it is published or mounted.
_WITH_WORD = (
    r"((?:(?:\s|^)-[uU]|\s--?user(?:name)?)[ =]?[A-Za-z][\w.@\\-]{0,63}+ (?:-{1,2}[\w-]{1,32}"
    r"[ =][^\s|;&]{1,64} ){0,4}-[pPwW][ =]?[\"']?)([A-Za-z](?=[^\s\"']{5})[\w!#$*+~.-]+)"
    r"(?=[\"']?(?:\s|\Z))"
)


def _words_before(match: re.Match[str]) -> list[str]:
    """Return the words before a match on its line; none where it is the name of an object."""
    text, start = match.string, match.start()
    first = max(0, start - _LOOK_BACK)
    line = max(first, text.rfind("\n", first, start) + 1)
    before = text[line:start]
    if not before or before.isspace():  # under a line such as `Password:`
        whole = text[first : max(first, line - 1)]
        above = whole.rstrip("-=\r\n ")
        before = above.rpartition("\n")[2] if above.endswith(":") or above != whole else ""
    is_public = text.endswith(PUBLIC_KEYS, line, start + 4) or _in_public_key(match)
    is_public |= is_of_version(text, start, match[0])
    if is_public or _is_named(before) or in_resource(text, start):
        return []
    words = words_of(before)
    if _HEX.fullmatch(match[0]):
        words = words_of(_BETWEEN.sub("", before))[-1:]  # a digest, mostly
    return [*words]


def _in_public_key(match: re.Match[str]) -> bool:
    """Tell a part of a public key, whose base64 has signs that part it into words."""
    text, start = match.string, match.start()
    if text[start - 1 : start] not in ("/", "+"):
        return False
    first = max(text.rfind(" ", max(0, start - _LONGEST_PUBLIC), start), 0)
    return (
        text.startswith(" AAAA", first)
        and PUBLIC_KIND.search(text, max(0, first - _LOOK_BACK), first + 1) is not None
    )


def _is_named(before: str) -> bool:
    """Tell what says which one something is; the longer of them hold a sign that few texts have."""
    ends = before.rstrip(_BEHIND_NAMING)[-1:] in _NAMING_ENDS
    if ends and _NAMING.search(before, max(0, len(before) - _LONGEST_NAMING)):
        return True
    return ("m/" in before or "arn:" in before) and _NAMING_LONG.search(before) is not None


def _drawn(replacement: Replacement, match: re.Match[str]) -> str:
    words = [] if _ADDRESS.fullmatch(match[0]) else _words_before(match)
    if not words or not _say_credential(" ".join(words[-_NEAR:])):
        return match[0]
    named = judge(words[-1]) is KeyVerdict.CREDENTIAL and not match[0].isalpha()
    return replacement(match[0]) if named or is_drawn(match[0]) else match[0]


def _password_like(replacement: Replacement, match: re.Match[str]) -> str:
    said = _say_credential(" ".join(_words_before(match)[-_NEXT:]))
    return replacement(match[0]) if said else match[0]


def _short(replacement: Replacement, match: re.Match[str]) -> str:
    """Mask what is drawn and short right behind what says it: `token X`, `api key is X`."""
    said = _say_credential(" ".join(_words_before(match)[-1:]))
    return replacement(match[0]) if said and is_short_drawn(match[0]) else match[0]


@lru_cache(maxsize=8192)
def _say_credential(said: str) -> bool:
    return judge(said) is KeyVerdict.CREDENTIAL or says_drawn(said.split()[-_NEXT:])


def tells(step: str) -> bool:
    """Tell a step of an address behind which a credential may stand."""
    return step in _TELLING_STEPS or names_or_tells(step)


def without_drawn(text: str, replacement: Replacement) -> str:
    """Replace what is drawn in the path of an address, also as the step behind a telling one."""

    def change(match: re.Match[str]) -> str:
        start = match.start()
        before = match.string[max(0, start - _LOOK_BACK) : start]
        step = before.rstrip("/").rpartition("/")[2]
        told = tells(step) and is_drawn(match[0])
        return replacement(match[0]) if told else _drawn(replacement, match)

    return _LETTERS.sub(change, _WORD.sub(change, text))


STEPS: tuple[Step, ...] = (
    Step((SHORT_FLAG, "curl"), _FLAG, made_up),
    *(Step((SHORT_FLAG,), pattern, second) for pattern in (_WITH_USER, _WITH_WORD)),
    Step((), MADE_UP.pattern, _drawn, "!#^*~@_-"),
    Step((), PASSWORD_LIKE.pattern, _password_like, "!#$*+^~-._" + digits),
    Step((), SHORT_MIXED.pattern, _short, digits),
    Step((), _LETTERS.pattern, _drawn),
    Step((), _WORD.pattern, _drawn, digits),
)
