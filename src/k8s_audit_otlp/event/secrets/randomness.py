"""How random a word looks: what a generator or a person made up, not a word, name or version.

Letters of random words stand beside one another as in no word: of the pairs of letters that there
are, words of English, of programs and of Kubernetes have two in five.
"""

import re
from base64 import b64decode
from collections.abc import Callable
from operator import add
from string import ascii_letters, ascii_lowercase, digits
from typing import Final, TypeAlias

# A letter, then those that follow it in words.
_FOLLOWERS: Final = """
aabcdfgiklmnprstuvwxy babceilorsuy cacdehiklorstuy dabcdefilorsuy eabcdefgilmnopqrstuvwxy
faefilorstu gaeghilnorsu haeiortuy iabcdefgklmnoprstvxz jaeosu kaeios ladeilostuy mabeilmopsuy
nacdefgiklnopstuvy oabcdefgiklmnoprstuvwy paehiloprstuy qu rabcdegiklmnoprstuvy sacehiklmopstuwy
tacdefhilmoprstuwy uabcdefgilmnprst vaeio waehios xpt yanps zaeo
""".split()  # noqa: SIM905 - a table of words reads better as words
_IN_WORDS: Final = {letters[0] + after for letters in _FOLLOWERS for after in letters[1:]}
# Pairs that tell a random word. `aB` begins a word of several; others with a digit are strange.
_STRANGE: Final = frozenset(
    first + second
    for first in ascii_letters + digits
    for second in ascii_letters + digits
    if not (first in digits and second in digits)
    and not (first in ascii_lowercase and second in ascii_letters[26:])
    and (first + second).lower() not in _IN_WORDS
)
_MOST_STRANGE: Final = 0.3  # of the pairs of a word
_MOST_STRANGE_SHORT: Final = 0.42  # of less than
_SHORT: Final = 14  # characters
# Where a name says already that it may be a credential: of both cases, and of one.
_MOST_STRANGE_NAMED: Final = (0.33, 0.22)
_SHORTEST_DRAWN: Final = 11  # characters of a word with a digit that is drawn wherever it stands
_SHORTEST_LETTERS: Final = 16
_LONGEST_GENERATED: Final = 96  # beyond are certificates and the like
_PUBLIC: Final = ("AAAA", "MI", "LS0t", "eyJ", "MFkw")  # keys of ssh, certificates, PEM, JSON
PUBLIC_KEYS: Final = (
    *("ssh-rsa AAAA", "ssh-ed25519 AAAA", "ecdsa-sha2-"),
    *("-----BEGIN PUBLIC KEY", "-----BEGIN CERTIFICATE-"),
)
# Before the base64 of one.
PUBLIC_KIND: Final = re.compile(
    r"(?:ssh-(?:rsa|dss|ed25519)|ecdsa-sha2-nistp\d{3}|sk-[\w.@-]{1,48}) \Z"
)
_LONG_RUN = re.compile(r"[A-Za-z0-9]{10}")
_RUN = re.compile(r"[A-Za-z0-9]{4,}")
_HEX = re.compile(r"[0-9a-f]+|[0-9A-F]+|0x[0-9a-fA-F]+")
_LONG_HEX = re.compile(r"(?:0x)?[0-9a-f]{32,128}|[0-9A-F]{32,128}")
_SAME = re.compile(r"[a-z]+|[A-Z]+|[0-9]+")
_MOST_TURNS: Final = 0.7  # of the letters
_DURATION = re.compile(r"(?:\d{1,6}(?:ns|us|ms|[dhms]))+")
_STANDARD = str.maketrans("-_", "+/")  # the alphabet of base64 for that of addresses
# Letters and digits without a break, as no path and no name of an object has them.
RANDOM: Final = (
    r"(?<![A-Za-z0-9])(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])(?:[A-Za-z0-9]{16}"
    r"|(?<!-)(?=[0-9]*(?:[A-Za-z]+[0-9]+){2})[A-Za-z0-9]{12}"  # not of an object's name
    r"|(?=[a-z0-9]*[A-Z])(?=[A-Z0-9]*[a-z])[A-Za-z0-9]{10})"
)
_RANDOM = re.compile(RANDOM)
# Letters without a digit, which may be words, too: `ReadWriteOncePod`.
LETTERS: Final = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{16,}+")
# What somebody made up: letters, digits and a sign that stands in no name, version or path; or a
# word, a sign and digits, as `Summer-2024rain`.
MADE_UP: Final = re.compile(
    r"(?a)(?<![\w./@!#^*~-])(?:(?=[A-Za-z0-9][\w-]{1,64}+"
    r"(?:[!#^*~]|(?:\$|%(?![0-9A-Fa-f]{2}))[\w-]{1,64}+[!#^*~+=]))"
    r"(?=[\w!#^*~$%-]{0,64}?(?:[0-9]|[a-z][A-Z][a-z]|[a-z][A-Z]{2,8}[!#^*~$]))"
    r"(?=[\w!#^*~$%-]{0,64}?[A-Za-z])(?=[\w!#^*~$%-]{8})"
    r"|[A-Z][a-z]{2,32}[@_-]\d{3,16}(?=[a-z]{2}))[\w!#^*~=+$%&@-]++"
)


# What people make up and nothing is named, wherever it stands: what changes its case behind a sign,
# or has letters or a sign behind its digits. Not `non-Linux`, `X-Amz-Sha256`, `zh-Hans-CN`.
_LOWER, _SIGN, _END_SIGN = "[a-z\xdf-\xff]", "[!#$*+^~-]", "[!#$^*~]"
_TITLE, _PART = rf"[A-Z]{_LOWER}{{3,32}}", rf"(?:[A-Z]{{2,8}}|[A-Z]{_LOWER}+)"
_LOWER_PARTS = rf"(?=[\w!#$*+^~-]{{7}})(?=[0-9]*[a-z])[a-z0-9_]++(?:{_SIGN}[a-z0-9_]++)*+{_SIGN}"
# Not `python39dev`, `postgres14alpine`, but what no word ends in.
_NO_ENDING = (
    r"(?!(?:db|dn|ms|px|kb|mb|gb|ns|kg|rd|th|st|nd|rc|hz|lts|bit|gz|js|ts|vm|dr|mm|km|ppc|sp)\b)"
)
_CERTAIN = "|".join(
    (
        rf"{_LOWER_PARTS}[A-Z]{_LOWER}{{2}}[\w!#$*+^~-]*+",  # `gw-Kettle`
        rf"(?:{_PART}[_.!#$*+^~-])+[A-Z]{_LOWER}{{2,32}}[._!+-]?[0-9]{{1,4}}[!#$*~]?",  # `A.Kettle`
        rf"(?:{_PART}{_SIGN})*[A-Z][a-z]*[0134578][a-z]+(?:{_SIGN}[A-Z]{_LOWER}+)+",  # `K3ttle-Lid`
        rf"{_TITLE}_[0-9]{{3,6}}",  # `Kettle_1204`
        r"(?!last_)[a-z]{4,16}_[0-9]{2,4}_[a-z]{4,16}",  # `kettle_28_lid`
        r"(?=[\w!*]{0,64}(?:\d|[a-z]\S?[A-Z]))[A-Za-z0-9][\w*]*!\w[\w!*]*+",  # `Kettle!46`
        rf"[A-Za-z][a-z]{{3,32}}[0-9]{{3,8}}{_END_SIGN}?[A-Za-z][A-Za-z0-9]*+",  # `kettle805cq`
        rf"{_TITLE}[0-9]{{2,6}}(?:[a-z]{{3,32}})?{_END_SIGN}[A-Za-z0-9]*+",  # `Kettle69#x`
        r"[A-Za-z]{4,32}[#!^*+][0-9]{1,4}[A-Za-z][A-Za-z0-9]*+",  # `kettle#7K`, `Kettle+3lid`
        r"[A-Za-z]{4,32}_?[0-9]{1,6}[#!^*][A-Za-z][A-Za-z0-9]*+",  # `Kettle_44#b`
        rf"(?:{_PART}[.])+{_TITLE}[0-9]{{1,4}}[a-ce-wyz][a-z]{{0,3}}",  # `Kettle.Lid2q`
        r"[a-z]{2,16}_[A-Z][a-z]{2,32}[0-9]{1,4}[a-z]{1,4}",  # `ket_Lid93v`
        rf"[a-z]{{5,32}}[0-9]{{2}}{_NO_ENDING}[bcdfghjklmnpqrstvwxz]{{2,4}}",  # `kettle90pq`
        # `Kettle#609lid`, `Kettle#60lid`
        rf"{_TITLE}(?:[!#$^*~@][0-9]{{3,8}}|[!#$^*~][0-9]{{2}})[a-z]{{2}}[A-Za-z0-9]*+",
        rf"(?:[A-Z][a-z]{{2,32}}){{2,3}}[0-9]{{2,6}}{_END_SIGN}",  # `BigKettle17!`
        rf"[!$*^~]{_TITLE}[0-9]{{2,6}}",  # `!Kettle35`
        rf"(?:{_TITLE}){{1,3}}(?!19|20|3339|8601)[0-9]{{4}}(?!\d)",  # `Kettle8782`, no year
        r"(?:[0-9]{4,8}(?:#|\*(?![0-9]{3}))|[0-9]{2,4}#[0-9]{3})[A-Za-z0-9]*+",  # keypad: `48#1173`
    )
)
# Behind its first letters there is a digit or a sign, as in few words; and it is no name.
_NAMES = (
    r"(?=[^\W\d_]*+[\d_!#$*+^~@.-])"
    r"(?!(?:non|pre|post|anti|inter|un|x|X|e|doc|sha\d{1,3})[-#]|[a-z]{2}-[A-Z][a-z]{3}(?!\w)"
    r"|[\w.-]{0,48}?(?:Int|Float|Base|Log|Sha|Utf|Http)\d)"
)
_END = r"(?![\w/@(:=-]|\.[A-Za-z])"
CERTAINLY_MADE_UP: Final = re.compile(
    rf"()(?<![A-Za-z0-9_./:@#&%+*!~^?-]){_NAMES}({_CERTAIN}){_END}"
)
# Behind who logs in a word and digits are enough: `bob:Kettle26`, `bob/Kettle-26`.
WITH_WHO: Final = (
    rf"((?<![\w./:@~$-])[A-Za-z][\w-]{{1,31}}[/:]){_NAMES}"
    rf"({_CERTAIN}|{_TITLE}[!#$*+^~_.-]?[0-9]{{1,4}}[!#$*~]?){_END.replace('@', '')}"
)


# What is as much a name, with digits behind a word: `kettle2024`, `kettle2024lemon`.
_WORD_AND_DIGITS = re.compile(
    r"(?<![\w./@-])(?:[A-Za-z]{3,32}[0-9]{2,8}"
    r"(?:[A-Za-z]{3,32}[0-9]{0,8}|(?<=[0-9]{3})[A-Za-z]{0,32})"
    r"|[A-Za-z]{6,32}[0-9]{2})[!#$*]?(?![\w./@-])"
)


# A key in groups, as of a license, in bytes, or an UUID: drawn under a name that says so.
_IN_GROUPS = re.compile(
    r"(?<![\w:-])(?:(?=[A-Z-]{0,24}[0-9])[A-Z0-9]{4,8}(?:-[A-Z0-9]{4,8}){2}"
    r"|[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){7}|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}(?![\w-])"
    r"|(?!\d{4}-\d\d-\d\d(?!-))[0-9]{2,5}(?:-[0-9]{2,5}){2,7}(?![\w-]))"
)


# What rules for passwords ask for: letters of both cases, and digits or signs. No name of a header,
# a class or a license.
PASSWORD_LIKE: Final = re.compile(
    r"(?<![\w.@-])(?![A-Z][A-Za-z]*(?:-[A-Z][A-Za-z]*)*(?![\w!#$*+^~-]|\.\d))"
    r"(?![A-Za-z]+-\d(?:\.\d)?(?![\w.]))(?=[\w!#$*+^~.-]{0,64}?[a-z])(?=[\w!#$*+^~.-]{0,64}?[A-Z])"
    r"(?=[\w!#$*+^~.-]{0,64}?(?:[!#$*+^~-]|[._]\w{0,32}\d|[a-z][0-9][a-z]))[\w!#$*+^~.-]{8,64}+(?![\w/(])"
)
# Of eight or nine letters of both cases and digits: of a name that is so short all may be in it.
SHORT_MIXED: Final = re.compile(
    r"(?<![A-Za-z0-9_./@:\\-])(?=[A-Za-z]{0,8}[0-9])(?=[A-Z0-9]{0,8}[a-z])(?=[a-z0-9]{0,8}[A-Z])"
    r"[A-Za-z0-9]{8,9}(?![\w./@:-])"
)
_LOWER_RUN = re.compile(r"[A-Z][a-z]{2,}|[a-z]{3,}")
_LOOKS = (MADE_UP, _WORD_AND_DIGITS, _IN_GROUPS, PASSWORD_LIKE)

# A version and the commit it is of: `sync/v1.2.3+X`, `sync/v1.2.3 (linux/amd64) kubernetes/X`.
_OF_VERSION = re.compile(
    r"(?<![\w.])v?\d{1,4}\.\d{1,4}[\w.+-]{0,64}"
    r"(?:(?: \([\w./; -]{1,64}\) (?:[a-z-]{1,32}/)?|[+-])g?[0-9a-f]{7,40}| [0-9a-f]{40})\Z"
)
_LONGEST_VERSION, _SHORTEST_COMMIT = 192, 7  # characters
_OF_COMMITS = frozenset("0123456789abcdef")


def is_strange(word: str, most: float = _MOST_STRANGE) -> bool:
    """Say whether letters and digits follow one another as in no word, not as in `JohnDoe1984`."""
    strange = sum(map(_STRANGE.__contains__, map(add, word, word[1:])))
    return strange >= most * (len(word) - 1)


def looks_random(text: str) -> bool:
    """Say whether a generator made some of it: letters of both cases and digits, no words."""
    if _LONG_RUN.search(text) is None:  # most texts have none
        return False
    return _RANDOM.search(text) is not None or any(map(is_strange, LETTERS.findall(text)))


def is_short_drawn(word: str) -> bool:
    """Say whether a word of eight or nine is drawn: not `IPv4Addr1`, `EC2Ready1`."""
    return SHORT_MIXED.fullmatch(word) is not None and not any(
        map(_reads, _LOWER_RUN.findall(word))
    )


def _reads(letters: str) -> bool:
    """Say whether letters follow one another as in a word."""
    return _STRANGE.isdisjoint(map(add, letters, letters[1:]))


def _short_drawn(text: str, start: int) -> re.Match[str] | None:
    return next((m for m in SHORT_MIXED.finditer(text, start) if is_short_drawn(m[0])), None)


def is_scattered(text: str) -> bool:
    """Say whether letters and digits alternate as in random text, not as in `JohnDoe1984Abc`."""
    return any(
        is_strange(run, _MOST_STRANGE_NAMED[is_of_one_case(run)]) for run in _RUN.findall(text)
    )


def is_of_one_case(word: str) -> bool:
    return word in (word.lower(), word.upper())


def is_long_hexadecimal(word: str) -> bool:
    """Say whether a word is as a digest, or a key, is written."""
    return _LONG_HEX.fullmatch(word) is not None and not word.isdigit()


def is_generated(word: str) -> bool:
    """Say whether a generator made it, whatever it is called: no word, name or version is so.

    What base64 makes of a text is judged as that text; some forms say that it is public.
    """
    if len(word) > _LONGEST_GENERATED or word.startswith(_PUBLIC):
        return False
    if not any(map(_is_generated_run, _RUN.findall(word))):
        return False
    plain = from_base64(word)
    return not (plain.isascii() and plain.decode().isprintable())


def _is_generated_run(run: str) -> bool:
    if len(run) < (_SHORTEST_LETTERS if run.isalpha() else _SHORTEST_DRAWN) or run.isdigit():
        return False
    if _HEX.fullmatch(run) or _DURATION.fullmatch(run):
        return False
    if len(run) >= _SHORT and _alternates(run):
        return True
    return is_strange(run, _MOST_STRANGE_SHORT if len(run) < _SHORT else _MOST_STRANGE)


def _alternates(run: str) -> bool:
    """Say whether small and capital letters and digits take turns as in no names of words."""
    return len(_SAME.findall(run)) >= _MOST_TURNS * len(run)


def from_base64(word: str) -> bytes:
    """Return what base64 stands for, in either alphabet, padded or not; empty for none."""
    encoded = word.rstrip("=").translate(_STANDARD)
    encoded = encoded[:-1] if len(encoded) % 4 == 1 else encoded  # it is cut
    try:
        return b64decode(encoded + "=" * (-len(encoded) % 4))
    except ValueError:
        return b""


def is_drawn(text: str) -> bool:
    """Say whether all of it is random or a made-up password: no word, name or version."""
    if looks_random(text) and is_scattered(text):
        return True
    return (
        is_short_drawn(text)
        or MADE_UP.search(text) is not None
        or CERTAINLY_MADE_UP.search(text) is not None
    )


def looks_drawn(text: str) -> bool:
    """Say whether some of it is random or a made-up password."""
    if text.startswith(PUBLIC_KEYS) and "PRIVATE" not in text:
        return False
    if looks_random(text) or any(look.search(text) for look in _LOOKS):
        return True
    return _short_drawn(text, 0) is not None


def _strange_letters(text: str, start: int) -> re.Match[str] | None:
    return next((m for m in LETTERS.finditer(text, start) if is_strange(m[0])), None)


Search: TypeAlias = Callable[[str, int], re.Match[str] | None]
WHAT_LOOKS_DRAWN: Final[tuple[Search, ...]] = (
    *(_RANDOM.search, _strange_letters, _short_drawn),
    *(look.search for look in _LOOKS),
)


class Ahead:
    """Tells where a text holds one of several things next; reads it once, however often asked."""

    def __init__(self, text: str, searches: tuple[Search, ...]) -> None:
        self._text, self._searches = text, searches
        self._next = [-1] * len(searches)

    def __call__(self, start: int) -> int:
        """Return where the next one begins; the places that are asked for rise."""
        for n, search in enumerate(self._searches):
            if self._next[n] < start:
                found = search(self._text, start)
                self._next[n] = found.start() if found else len(self._text)
        return min(self._next)


def is_of_version(text: str, start: int, word: str) -> bool:
    """Tell the commit behind a version from what is drawn: *word* begins at *start*."""
    if not _OF_COMMITS.issuperset(word[-_SHORTEST_COMMIT:]):
        return False
    return _OF_VERSION.search(text[max(0, start - _LONGEST_VERSION) : start] + word) is not None
