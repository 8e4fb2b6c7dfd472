"""What tells which, where or how many credentials there are, under a name that says credential.

The name of a Secret or of a key in it, the variable that holds one, a count, a time, an image: the
name and the value tell it together. A password has no such name and may have any value.
"""

import re
from typing import Final

from k8s_audit_otlp.event.secrets.grammar import (
    KeyVerdict,
    is_reference,
    judge,
    names_one_value,
    words_of,
)
from k8s_audit_otlp.event.secrets.randomness import looks_drawn, looks_random

# Before `secret`: what a Secret has or is for, so that its name stands there.
_OF_OBJECTS: Final = frozenset(
    """
    pull tls ca cert certs certificate certificates config env mount mounts volume volumes
    credential credentials creds connection docker registry superuser htpasswd password passwords
    basic exclude excluded include included ignored allowed watched required
    """.split()  # noqa: SIM905 - a table of words reads better as words
)
_OBJECT = re.compile(r"(?:[a-z0-9-]{1,63}/)?[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9*])?")
_SECRET = re.compile(  # by what it has, not `juggling-pandas`
    r"(?:[a-z0-9]{1,32}-){1,8}"
    r"(?:tls|certs?|ca|auth|secrets?|creds|credentials|tokens?|keys?|apikey|jwt|env|config|pull)"
)
_OF_A_KEY = re.compile(r"[A-Za-z]{2,32}(?:[._-][A-Za-z]{1,32}){0,6}")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9]{0,31}(?:_[A-Z0-9]{1,32}){0,8}")
_OF_PEOPLE: Final = frozenset("my your super change changeme test dev some very example".split())  # noqa: SIM905
_BESIDE_A_PASSWORD: Final = frozenset("user username database".split())  # noqa: SIM905
_OF_A_LOGIN: Final = (("user",), ("auth",))  # `userKey: admin-user`
# A time, the version of an API, what another program puts there, the name of a header.
_TOLD = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?"
    r"|v\d{1,2}(?:(?:alpha|beta)\d{1,2})?|\$\{[a-z][\w-]{0,63}:[\w./:#-]{1,128}\}"
    r"|X(?:-[A-Z][A-Za-z]{1,16}){1,5}"
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d|\d{1,12}")
_IMAGE = re.compile(
    r"([a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){1,8}(?::\d{1,5})?(?:/[a-z0-9._-]{1,128}){1,8}"
    r"(?::[\w.-]{1,128})?)(?:@sha256:[0-9a-f]{64})?"
)
_HASHES: Final = frozenset("hash hashes checksum checksums digest digests pin pins".split())  # noqa: SIM905
_DIGEST = re.compile(
    r"(?:sha\d{1,3}[:/-])?(?:[0-9a-f]{8,128}|(?<=[:/-])[\w+/-]{27,88}={0,2})", re.IGNORECASE
)
_PASSWORDS: Final = frozenset(
    "pass password passwords passwd passphrase passcode pwd pw psw otp mnemonic".split()  # noqa: SIM905
)
_NO_COUNTS: Final = frozenset("number no nr code codes word phrase value text data".split())  # noqa: SIM905
_HIDDEN: Final = frozenset("encrypted encoded hashed".split())  # noqa: SIM905
# Digits of what is no count.
SHORTEST_NUMBERS: Final = {"tokens": 8, "secrets": 4, "keys": 4, "pass": 4}
_SHORTEST_NUMBER: Final = 4


def tells_which(name: str, value: str) -> bool:
    """Say whether a value tells something about credentials, and is none itself."""
    words = words_of(name.rpartition("/")[2])
    if not words or _TOLD.fullmatch(value):
        return bool(words)
    last = words[-1]
    if _DATE.fullmatch(value):
        return _is_count(words, value)
    if last == "env":
        return _VARIABLE.fullmatch(value) is not None
    existing = "existing" in words and "secret" in words
    if existing or last in ("secret", "secrets"):
        of_object = existing or not _OF_OBJECTS.isdisjoint(words[:-1])
        is_name = _OBJECT.fullmatch(value) or (existing and _VARIABLE.fullmatch(value))
        return of_object and bool(is_name) and not looks_drawn(value)
    if last in ("key", "keys"):
        of_one = words[-2:-1] in _OF_A_LOGIN or judge("-".join(words[:-1])) is KeyVerdict.CREDENTIAL
        return of_one and names_a_key(value)
    if not _PASSWORDS.isdisjoint(words):
        return False
    if last in _HASHES:
        return _DIGEST.fullmatch(value) is not None
    image = _IMAGE.fullmatch(value)
    return image is not None and not looks_random(image[1])


def names_a_key(value: str) -> bool:
    """Say whether it is as the keys of Secrets are called: `redis-password`, `tls.key`, `token`."""
    if _OF_A_KEY.fullmatch(value) is None or looks_drawn(value):
        return False
    words = words_of(value)
    known = names_one_value(value) or is_reference(value) or words[-1] in _BESIDE_A_PASSWORD
    return known and _OF_PEOPLE.isdisjoint(words)


def names_secrets(name: str, value: str) -> bool:
    """Say whether one of a list called `secrets` is the name of one: `etcd-client-cert`."""
    is_list = words_of(name)[-1:] in (("secrets",), ("credentials",))
    named = _SECRET.fullmatch(value) is not None and _OF_PEOPLE.isdisjoint(words_of(value))
    return is_list and named and not looks_drawn(value)


def _is_count(words: tuple[str, ...], value: str) -> bool:
    """Tell so many, or when, from a code of digits: `secretsSynced: 14`, `tokens: 4096`."""
    last = words[-1]
    if last.endswith("ed"):
        return last not in _HIDDEN
    if not value.isdigit() or last in _NO_COUNTS or not last.isalpha():
        return False
    harmless = last not in SHORTEST_NUMBERS and judge(last) is KeyVerdict.HARMLESS
    return len(value) < SHORTEST_NUMBERS.get(last, _SHORTEST_NUMBER if harmless else 0)
