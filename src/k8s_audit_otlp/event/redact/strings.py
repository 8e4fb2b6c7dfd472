"""Cleans the strings of a body, once its names have been judged, of what no name tells.

Most strings of a log have been seen before. What was found clean is remembered, so that only what
is new in a body is looked at.
"""

import re
from collections.abc import Callable
from functools import lru_cache, partial

import msgspec

from k8s_audit_otlp.event.bounded_cache import BoundedCache
from k8s_audit_otlp.event.memory_bounds import LONGEST_TEXT
from k8s_audit_otlp.event.redact.embedded import PACKED
from k8s_audit_otlp.event.redact.names import Action
from k8s_audit_otlp.event.redact.neighbours import parent_name, siblings
from k8s_audit_otlp.event.redact.scan import Scan
from k8s_audit_otlp.event.secrets.grammar import IDENTIFYING_WORDS, words_of
from k8s_audit_otlp.event.secrets.prefilter import may_hold
from k8s_audit_otlp.event.secrets.replacement import Replacement
from k8s_audit_otlp.event.secrets.text import clean, clean_message, clean_of_object, clean_of_user
from k8s_audit_otlp.event.splice.tokens import (
    UnreadableError,
    is_key,
    is_member_value,
    piece_of,
    text_of,
)

_SHORTEST = 6  # bytes; shorter strings are no credentials
_MAX_KNOWN = 32_768  # strings remembered as clean
LONGEST_KNOWN = 200  # bytes
# Uids, times and small numbers, but for what may be a key as well as a digest.
_UNTOLD = re.compile(rb"(?![0-9a-fA-F]{32,128}\Z)[0-9a-fA-F:TZ.+-]*")
_ONE_WORD = re.compile(rb"[\w.:/@+=-]+")
_NAMES_OF_OBJECTS = (b"name", b"namespace", b"generateName", b"resourceName")
_COORDINATES, _LENGTH_OF_COORDINATE = (b"x", b"y"), 43  # bytes, of a public JSON Web Key
_PLACES = frozenset(  # of what has many: which one it is
    "bucket repository repo branch topic queue cluster host hostname domain region".split()  # noqa: SIM905
)
_ONE_DIGEST = re.compile(rb"(?:sha\d{1,3}:)?[0-9a-f]{32,128}")
_MOST_IN_LIST = 64  # places of a list that is looked through for its name
_OF_USERS = (b"user", b"username", b"uid")


def string_verdicts(*, credentials: bool) -> BoundedCache[bytes, bool]:
    """Return which strings, as pieces, may hold JSON, or a credential as well; remembered."""
    judge = _may_hold if credentials else may_hold_json
    return BoundedCache(judge, most=_MAX_KNOWN, longest=LONGEST_KNOWN)


def _may_hold(piece: bytes) -> bool:
    if len(piece) < _SHORTEST or _UNTOLD.fullmatch(piece):
        return False
    if _quotes_json(piece):
        return True
    text = text_of(piece) if b"\\" in piece or b"\0" in piece else piece.decode("utf-8", "replace")
    return may_hold(text)


def may_hold_json(piece: bytes) -> bool:
    """Tell whether a string has an escaped quote behind a bracket, or base64 of either."""
    return _quotes_json(piece) or PACKED.search(piece) is not None


def _quotes_json(piece: bytes) -> bool:
    quote = piece.find(b"\0\1")
    return quote >= 0 and (b"{" in piece or b"[" in piece)


def clean_strings(scan: Scan, suspects: set[bytes], known: BoundedCache[bytes, bool]) -> None:
    """Clean the strings among *suspects* that are no keys, and every string of own patterns.

    *known* learns which of them hold nothing.
    """
    pieces = scan.pieces
    patterns = [(rule.pattern, rule.name) for rule in scan.own if rule.pattern]
    for place in range(1, len(pieces), 2):
        piece = pieces[place]
        if not patterns and piece not in suspects:
            continue
        if is_key(pieces, place):
            continue
        if piece in suspects and len(piece) > LONGEST_TEXT:
            scan.mask(place, "text")
        elif piece in suspects:
            judged = may_hold_json(piece) and scan.follow(place)
            if "text" not in scan.off and not judged:
                _credentials(scan, place, known)
        for pattern, name in patterns:
            text = text_of(pieces[place])
            new = pattern.sub(lambda match: scan.replacement(match[0]), text)
            if new != text:
                scan.set(place, piece_of(new), name)


def _credentials(scan: Scan, place: int, known: BoundedCache[bytes, bool]) -> None:
    before = scan.pieces[place]
    text = text_of(before)
    of_member = scan.pieces[place - 2] if is_member_value(scan.pieces, place) else b""
    said = of_member in (b"message", b"note", b"reason")
    if said and scan.redactor.may_say(text):
        return
    cleaner: Callable[[str, Replacement], str] = clean_message if said else clean
    if (of_member and _says_which_one(scan, place)) or _is_digest(scan.pieces, place):
        cleaner = clean_of_user
    elif of_member in _NAMES_OF_OBJECTS:
        cleaner = partial(clean_of_object, is_id=True)
    new = cleaner(text, scan.replacement)
    if new != text:
        scan.set(place, piece_of(new), "text")
    elif not may_hold_json(before) and cleaner is clean:
        known.remember((before,), value=False)


def _says_which_one(scan: Scan, place: int) -> bool:
    """Tell what a member says of who or which one it is: an id, a user, a label, a public key."""
    name, value = scan.pieces[place - 2], scan.pieces[place]
    if (
        name in _OF_USERS
        or scan.names[parent_name(scan.pieces, place - 2).encode()] is Action.LABELS
    ):
        return True
    if name in _COORDINATES and len(value) == _LENGTH_OF_COORDINATE:
        return True
    return identifies(name) and b"://" not in value and _ONE_WORD.fullmatch(value) is not None


@lru_cache(maxsize=4096)
def identifies(name: bytes) -> bool:
    """Tell a name of what says which object, version or content something is."""
    words = words_of(text_of(name))
    return not IDENTIFYING_WORDS.isdisjoint(words) or not _PLACES.isdisjoint(words[-1:])


def _is_digest(pieces: list[bytes], place: int) -> bool:
    """Tell a digest that a name beside it tells, or the list that it is in: `caCertHashes`."""
    if _ONE_DIGEST.fullmatch(pieces[place]) is None:
        return False
    if pieces[place - 2] == b"value" and is_member_value(pieces, place):
        named = (p for p in siblings(pieces, place - 2) if pieces[p] in (b"name", b"path"))
        told = (pieces[p + 2].rpartition(b"/")[2] for p in named if pieces[p + 1] == b":")
        return any(map(identifies, told))
    first = place
    while pieces[first - 1] == b"," and place - first < _MOST_IN_LIST:
        first -= 2
    return pieces[first - 1] == b":[" and identifies(pieces[first - 2])


def compacted(body: bytes) -> bytes:
    try:
        return msgspec.json.format(body, indent=-1)
    except (msgspec.DecodeError, RecursionError) as error:
        raise UnreadableError(str(error)) from error
