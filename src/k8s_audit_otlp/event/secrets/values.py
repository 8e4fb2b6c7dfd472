"""What a value looks like, where its name says credential: nothing, a placeholder, a reference.

A name alone would take `kubeconfig=/etc/kubernetes/admin.conf` for a secret, and `"$ref"` below a
`password` for a reference, whatever stands in it.
"""

import re
from base64 import b64decode
from typing import Final
from urllib.parse import unquote_plus

from k8s_audit_otlp.event.secrets.grammar import (
    KeyVerdict,
    is_credential_parameter,
    is_reference,
    judge,
    may_name_drawn,
    names_one_value,
    words_of,
)
from k8s_audit_otlp.event.secrets.replacement import MASK

PLACEHOLDER: Final = re.compile(
    r"\$[({]?(?:[A-Z_][A-Z0-9_]*|[a-z_][a-z0-9_]*|[A-Za-z]+)[)}]?|\{\{[^\"'`]*|%[sdv]"
    r"|\*+|[\"']\*+[\"']|<[a-z][a-z _-]{1,32}>|\"\"|''"
    rf"|{MASK}(?:[&;,)\]].*)?"
    # What says where it is: of the shell, of programs, of vaults.
    r"|\$\{[A-Za-z_]\w{0,64}:?[-?+]?\}|\$\{\{ ?[\w.-]{1,128} ?\}\}"
    r"|(?:os\.(?:[Gg]etenv\(|environ\[|environ\.get\()[\"']?|process\.env\.)\w{0,64}[\"']?[)\]]?;?"
    r"|arn:aws[\w-]{0,16}(?::[\w./-]{0,128}){3,6}|ENC\[AES256_GCM,.*"
    r"|(?:(?:ref\+)?vault:/{0,2}|op://)[a-z][\w-]{0,64}(?:/[\w .-]{1,64}){1,8}(?:#[\w./-]{1,64})?"
)
NOTHING: Final = frozenset(
    """
    true false null nil none ~ <nil> required forbidden invalid yes no undefined unset enabled
    disabled optional on off string eof -
    """.split()  # noqa: SIM905
)
# What says something about a credential: how it is encrypted or hashed; results of tests, and how
# many there were (`PASS: TestX (0.00s)`, `pass: 12, fail: 3`); an object called after what it has.
_ABOUT = re.compile(
    r"(?P<how>(?:scram-|hmac-)?(?:sha|SHA)-?\d{1,3}|md5|bcrypt|scrypt|argon2(?:id|i|d)?|pbkdf2"
    r"|v?\d{1,5}(?:\.\d{1,5}){2,3}(?:[-+~][\w.+~-]{0,32})?|ecdsa|ed25519|(?:rsa|RSA)-?\d{4}|(?:aes|AES|[RHErhe]S)-?\d{3}(?:-(?:gcm|cbc|ctr))?)"
    r"|(?P<passed>\d{1,3}[,;] .*|\d{1,6}/\d{1,6}"
    r"|Test[A-Z]\w{0,128}(?:/\S{0,128})?(?: \(\d[\d.]{0,8}s\))?)"
    r"|(?P<object>(?:[a-z][a-z-]{0,62}/)?(?:[a-z]{2,20}-){1,4}"
    r"(?:tls|certs?|ca|auth|secrets?|creds|credentials|tokens?|keys?|passwords?))"
)
_FILE = re.compile(
    r"(?:file:/{1,2}|~|\.{1,2}|\$[A-Z_]{1,32})?(?:/[\w.@+-]{1,64}){2,16}/?"
    r"|[a-z]{2,32}(?:/[a-z][a-z_-]{0,63}){1,8}",
    re.ASCII,
)
_LONGEST_FILE = 512  # characters
# Letters and digits without a break, as no path and no name of an object has them.
RANDOM: Final = (
    r"(?<![A-Za-z0-9])(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])(?:[A-Za-z0-9]{16}"
    r"|(?<!-)(?=[0-9]*(?:[A-Za-z]+[0-9]+){2})[A-Za-z0-9]{12}"  # not of an object's name
    r"|(?=[a-z0-9]*[A-Z])(?=[A-Z0-9]*[a-z])[A-Za-z0-9]{10})"
)
_RANDOM = re.compile(RANDOM)
# Letters of both cases without a digit, which may be words, too: `ReadWriteOncePod`.
LETTERS: Final = re.compile(r"(?<![A-Za-z0-9])(?=[a-z]*[A-Z])(?=[A-Z]*[a-z])[A-Za-z]{16,}+")
# What somebody made up: letters, digits and a sign that stands in no name, version or path; or a
# word, a sign and digits, as `Summer-2024rain`.
MADE_UP: Final = re.compile(
    r"(?<![\w./@!#^*~-])(?:(?=[A-Za-z0-9][\w-]{1,64}+"
    r"(?:[!#^*~]|(?:\$|%(?![0-9A-Fa-f]{2}))[\w-]{1,64}+[!#^*~+=]))"
    r"(?=[\w!#^*~$%-]{0,64}?(?:[0-9]|[a-z][A-Z][a-z]|[a-z][A-Z]{2,8}[!#^*~$]))"
    r"(?=[\w!#^*~$%-]{0,64}?[A-Za-z])(?=[\w!#^*~$%-]{8})"
    r"|[A-Z][a-z]{2,32}[@_-]\d{3,16}(?=[a-z]{2}))[\w!#^*~=+$%&@-]++",
    re.ASCII,
)
_SHORTEST_DRAWN = 10
_ONE_WORD = re.compile(r"[\w.~+/-]+={0,2}", re.ASCII)
# Of the API itself, as `/openapi/v3/api/v1?hash=`, and what places something in a list or a file.
_OPEN_PARAMETERS = frozenset(("continue", "hash", "cursor", "v", "rev", "etag", "query", "boot"))
_PIECE = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+|[^A-Za-z0-9]+")
_WORD_ON_AVERAGE = 3.2  # characters
_LETTERS_ON_AVERAGE = 3.4
_ONE_CASE_ON_AVERAGE = 3.9
_BOTH_CASES = re.compile(r"(?=[a-z0-9]*[A-Z])(?=[A-Z0-9]*[a-z])[A-Za-z0-9]{14,}+")
_GENERATED_ON_AVERAGE = 2.65  # characters
_GENERATED_LETTERS_ON_AVERAGE = 2.4
_LONG_ON_AVERAGE = 3.3  # of a run of 24 and more
_LONG_RUN = 24
_MIXED_ON_AVERAGE = 2.1  # with signs of base64 between them
_SHORTEST_MIXED = 20
_LONGEST_GENERATED = 96  # beyond are certificates and the like
_PUBLIC = ("AAAA", "MI", "LS0t", "eyJ", "MFkw")  # keys of ssh, certificates, PEM, JSON
_UNSPOKEN = re.compile(r"[bcdfghjklmnpqrstvwxz]{5}", re.IGNORECASE)  # letters that no word has
_STANDARD = str.maketrans("-_", "+/")  # the alphabet of base64 for that of addresses
_OBJECT = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?|[$%{<][^\n]{0,253}")
_NOT_IN_FILES = frozenset(
    "pass password passwd passphrase passcode pwd pw psw pin otp mnemonic cvv psk".split()  # noqa: SIM905
)


def from_base64(word: str) -> bytes:
    """Return what base64 stands for, in either alphabet, padded or not; empty for none."""
    digits = word.rstrip("=").translate(_STANDARD)
    digits = digits[:-1] if len(digits) % 4 == 1 else digits  # it is cut
    try:
        return b64decode(digits + "=" * (-len(digits) % 4))
    except ValueError:
        return b""


def looks_random(text: str) -> bool:
    """Say whether a generator made some of it: letters of both cases and digits, no words."""
    return _RANDOM.search(text) is not None or any(map(is_scattered, LETTERS.findall(text)))


def is_scattered(text: str) -> bool:
    """Say whether letters and digits alternate as in random text, not as in `JohnDoe1984Abc`."""
    of_one_case = text in (text.lower(), text.upper())
    longest = _ONE_CASE_ON_AVERAGE if of_one_case else _WORD_ON_AVERAGE
    longest = _LETTERS_ON_AVERAGE if text.isalpha() else longest
    if of_one_case and not text.isalpha() and _UNSPOKEN.search(text):
        return True
    return len(text) < longest * len(_PIECE.findall(text))


def is_generated(word: str) -> bool:
    """Say whether a generator made it, whatever it is called: no word, name or version is so.

    What base64 makes of a text is judged as that text; some forms say that it is public.
    """
    if len(word) > _LONGEST_GENERATED or word.startswith(_PUBLIC):
        return False
    runs = _BOTH_CASES.findall(word)
    mixed = len(word) >= _SHORTEST_MIXED and _runs_in(word) * _MIXED_ON_AVERAGE > len(word)
    if not (runs and mixed) and not any(map(_is_mixed, runs)):
        return False
    return not from_base64(word).decode("latin-1").isprintable()


def _is_mixed(run: str) -> bool:
    longest = _GENERATED_LETTERS_ON_AVERAGE if run.isalpha() else _GENERATED_ON_AVERAGE
    longest = _LONG_ON_AVERAGE if len(run) >= _LONG_RUN else longest
    return _runs_in(run) * longest > len(run)


def _runs_in(text: str) -> int:
    return len(_PIECE.findall(text))


def is_drawn(text: str) -> bool:
    """Say whether all of it is random or a made-up password: no word, name or version."""
    return (looks_random(text) and is_scattered(text)) or MADE_UP.search(text) is not None


def looks_drawn(text: str) -> bool:
    """Say whether some of it is random or a made-up password."""
    return looks_random(text) or MADE_UP.search(text) is not None


def is_credential(name: str, value: str) -> bool:
    """Say whether a value is a credential: by its name, or by its name and how it looks."""
    if judge(name) is not KeyVerdict.HARMLESS:
        return True
    return may_name_drawn(name) and looks_drawn(value)


def is_credential_in_query(name: str, value: str) -> bool:
    """Say the same of a parameter of an address; a random value is one by any name."""
    if is_credential_parameter(name):
        return True
    if may_name_drawn(name) and is_drawn(unquote_plus(value)):
        return True
    if len(value) < _SHORTEST_DRAWN or name in _OPEN_PARAMETERS or not looks_random(value):
        return False
    plain = unquote_plus(value)
    one_word = _ONE_WORD.fullmatch(plain) is not None
    return one_word and is_scattered(plain) and not is_reference(name)


def names_an_object(text: str) -> bool:
    """Say whether it is the name of an object, or a template that makes one."""
    return _OBJECT.fullmatch(text) is not None and not looks_random(text)


def says_which(name: str, value: str) -> bool:
    """Say whether a value tells where, how or which a credential is, and is none itself."""
    if (about := _ABOUT.fullmatch(value)) is None:
        return names_a_file(name, value)
    words = words_of(name)
    if about.lastgroup == "object":  # `adminPasswordKey` is the key in a Secret
        return words[-1:] == ("secret",) or (
            words[-1:] == ("key",) and names_one_value("".join(words[-2:-1]))
        )
    return about.lastgroup == "how" or words[-1:] == ("pass",)


def names_a_file(name: str, value: str) -> bool:
    """Say whether a value is the path of a file that holds a credential; a password has none."""
    if (
        "/" not in value
        or len(value) > _LONGEST_FILE
        or not _NOT_IN_FILES.isdisjoint(words_of(name))
    ):
        return False
    return _FILE.fullmatch(value) is not None and not looks_random(value)
