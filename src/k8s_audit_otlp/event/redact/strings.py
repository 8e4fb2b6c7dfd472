"""A pass over a body in; its strings without JSON, credentials or own patterns that show secrets.

Names have been judged when this begins. It is about what no name tells, so it is gone through only
where the body as a whole may hold such a thing.
"""

import msgspec

from k8s_audit_otlp.event.redact.names import Action, Names
from k8s_audit_otlp.event.redact.rules import OwnRule
from k8s_audit_otlp.event.redact.scan import MAX_EMBEDDED, Scan
from k8s_audit_otlp.event.redact.text import clean, may_hold_credentials
from k8s_audit_otlp.event.redact.tokens import (
    UnreadableError,
    is_key,
    is_member_value,
    piece_of,
    text_of,
)

_BEGINNINGS = (b'"{', b'"[')
_BEFORE_A_STRING = b":,["
_BEFORE_A_NAME = b"{,"
_SHORTEST = 8  # bytes; shorter strings are no credentials


def may_hold_json(body: bytes, copies: Names | None) -> bool:
    r"""Tell whether a string in the body may hold JSON: `"{\"a\": ...`.

    The copies of the object that *copies* knows the names of have been dealt with.
    """
    for beginning in _BEGINNINGS:
        at = body.find(beginning)
        while at >= 0:
            begins = at > 0 and body[at - 1] in _BEFORE_A_STRING
            if begins and not (copies is not None and _is_copy(body, at, copies)):
                return True
            at = body.find(beginning, at + 2)
    return False


def _is_copy(body: bytes, at: int, names: Names) -> bool:
    """Tell whether the string at `at` is the value of a member that repeats the object."""
    if body[at - 2 : at] != b'":':
        return False
    start = body.rfind(b'"', 0, at - 2)
    whole = start > 0 and body[start - 1] in _BEFORE_A_NAME  # else the name has a quote in it
    return whole and names[body[start + 1 : at - 2]] is Action.COPY


def clean_strings(scan: Scan, *, credentials: bool) -> None:
    """Clean every string that is no key: JSON in it, credentials in it, own patterns."""
    pieces = scan.pieces
    patterns = [rule for rule in scan.own if rule.pattern]
    embedded = scan.depth < MAX_EMBEDDED
    for place in range(1, len(pieces), 2):
        piece = pieces[place]
        if (len(piece) < _SHORTEST and not patterns) or is_key(pieces, place):
            continue
        if embedded and piece[:1] in (b"{", b"[") and b"\0" in piece:
            _embedded(scan, place)
        if credentials and may_hold_credentials(pieces[place]):
            text = text_of(pieces[place])
            new = clean(text, scan.replacement)
            if new != text:
                scan.set(place, piece_of(new), "text")
        for rule in patterns:
            _own_pattern(scan, place, rule)


def _embedded(scan: Scan, place: int) -> None:
    pieces = scan.pieces
    if (
        is_member_value(pieces, place)
        and "last-applied" not in scan.off
        and scan.names[pieces[place - 2]] is Action.COPY
    ):
        return
    try:
        compacted(text_of(pieces[place]).encode())
    except (UnreadableError, UnicodeEncodeError):
        return  # text that only begins like JSON
    scan.embedded(place, "key")


def _own_pattern(scan: Scan, place: int, rule: OwnRule) -> None:
    text = text_of(scan.pieces[place])
    if rule.pattern:
        new = rule.pattern.sub(lambda match: scan.replacement(match[0]), text)
        if new != text:
            scan.set(place, piece_of(new), rule.name)


def compacted(body: bytes) -> bytes:
    try:
        return msgspec.json.format(body, indent=-1)
    except (msgspec.DecodeError, RecursionError) as error:
        raise UnreadableError(str(error)) from error
