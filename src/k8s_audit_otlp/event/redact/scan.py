"""One pass over the pieces of one body: what it knows, and what it can do to a place.

What a member's name calls for is in `actions`; a value is always changed here, so that what fired,
what was redacted and where the bytes differ is written down in one place.
"""

import re
from collections.abc import Iterator
from typing import Protocol

from k8s_audit_otlp.event.redact.context import BodyContext, Findings
from k8s_audit_otlp.event.redact.embedded import redact_embedded
from k8s_audit_otlp.event.redact.names import Names
from k8s_audit_otlp.event.redact.neighbours import refers
from k8s_audit_otlp.event.redact.rules import OwnRule, RedactionRules
from k8s_audit_otlp.event.secrets.grammar import is_reference
from k8s_audit_otlp.event.secrets.replacement import MASK, Replacement
from k8s_audit_otlp.event.splice.tokens import (
    UnreadableError,
    closing_part,
    end_of,
    is_key,
    is_member_value,
    piece_of,
    text_of,
)

MAX_EMBEDDED = 4  # JSON in a string in JSON in a string ...
MAX_ECHOES = 65_536  # redacted values looked for in the messages of the same event
_NUMBER = re.compile(rb"(?<![\w.+-])-?\d[\d.eE+-]*")
_RUN = re.compile(rb"[^,]*+(?:,[^,]*+){0,16384},?", re.DOTALL)  # ends behind a whole number
_DIGIT = re.compile(rb"[0-9]").search
_COUNT = re.compile(rb":\[[^\]]*|[^,}\]]*")  # the value of a member that says how many
_MOST_NUMBERS = 4 << 20  # bytes of numbers without a string between them
_SCALAR_END = re.compile(rb"[,}\]]")
MASKED = MASK.encode()
_HARMLESS_TEXTS = frozenset((b"", b"true", b"false", MASKED))


class Redacting(Protocol):
    """What a pass needs of the redactor that began it."""

    rules: RedactionRules
    replacement: Replacement

    def own_rules(self, context: BodyContext) -> tuple[OwnRule, ...]: ...

    def names(self, own: tuple[OwnRule, ...]) -> Names: ...

    def may_say(self, message: str) -> bool: ...

    def __call__(self, body: bytes, found: Findings, depth: int = 0) -> bytes: ...


class Scan:
    """One pass over one body."""

    __slots__ = (
        *("redactor", "context", "pieces", "fired", "redacted_values", "depth"),
        *("changed", "own", "names", "schema_end", "env_end", "replacement", "off"),
    )

    def __init__(
        self, redactor: Redacting, found: Findings, pieces: list[bytes], depth: int
    ) -> None:
        self.redactor, self.context, self.pieces = redactor, found.context, pieces
        self.fired, self.redacted_values, self.depth = found.fired, found.redacted_values, depth
        self.changed = False
        self.schema_end = self.env_end = 0
        self.replacement, self.off = redactor.replacement, redactor.rules.off
        self.own = redactor.own_rules(self.context)
        self.names = redactor.names(self.own)

    def set(self, place: int, new: bytes, rule: str) -> None:
        """Put `new` at a place, whatever stands there."""
        piece = self.pieces[place]
        if new != piece:
            self.changed = True
            self.pieces[place] = new
            self.fired.add(rule)

    def mask(self, place: int, rule: str) -> None:
        """Replace the whole string at a place."""
        piece = self.pieces[place]
        if piece in _HARMLESS_TEXTS:
            return
        if self.replacement.masks:
            new = MASKED
        else:
            new = piece_of(self.replacement(text_of(piece)))
            if new == piece:
                return
        if len(self.redacted_values) < MAX_ECHOES:
            self.redacted_values.add(piece)
        self.changed = True
        self.pieces[place] = new
        self.fired.add(rule)

    def whole(self, key: int, rule: str, *, keep_references: bool = False) -> int:
        """Redact the value of a member whatever it is; the names in it stay."""
        if self.pieces[key + 1] == b":":
            self.mask(key + 2, rule)
            return key + 4
        end = end_of(self.pieces, key)
        if self.pieces[key + 1][1:2] in (b"{", b"["):
            self.all_strings(key, end, rule, keep_references=keep_references)
        else:
            self.scalar(key, rule)
        return end

    def scalar(self, key: int, rule: str) -> None:
        """Redact the value of a member if it is no object and no array."""
        punctuation = self.pieces[key + 1]
        if punctuation == b":":
            self.mask(key + 2, rule)
        elif punctuation[1:2] not in (b"{", b"["):
            self._numbers(key + 1, _SCALAR_END.split(punctuation, maxsplit=1)[0], rule)

    def _numbers(self, place: int, part: bytes, rule: str, *, keep_counts: bool = False) -> None:
        """Redact the numbers in `part`, which the punctuation at `place` begins with."""
        if not _DIGIT(part):
            return
        kept = b""
        if keep_counts and part[:1] == b":" and is_reference(text_of(self.pieces[place - 1])):
            kept = _COUNT.match(part)[0]  # type: ignore[index]  # it matches any text
            part = part[len(kept) :]

        def quoted(match: re.Match[bytes]) -> bytes:
            return b'"' + self.replacement(match[0].decode()).encode() + b'"'

        if len(part) > _MOST_NUMBERS:
            raise UnreadableError("too many numbers")
        # A run at a time: a match costs many times the bytes of a number.
        new = b"".join([_NUMBER.sub(quoted, run[0]) for run in _RUN.finditer(part)])
        self.set(place, kept + new + self.pieces[place][len(kept) + len(part) :], rule)

    def all_strings(self, key: int, end: int, rule: str, *, keep_references: bool = False) -> None:
        """Redact every string and number in the container that is the value of a member."""
        pieces = self.pieces
        if _DIGIT(b"".join(pieces[key + 1 : end - 2 : 2])):
            for place in range(key + 1, end - 2, 2):
                self._numbers(place, pieces[place], rule, keep_counts=keep_references)
        part = closing_part(pieces, key, end)
        self._numbers(end - 1, part, rule, keep_counts=keep_references)
        name = text_of(pieces[key])  # of what stands in a list
        if is_reference(name):  # of one of several, as `server` may be
            name = ""
        for place in range(key + 2, end, 2):
            if is_key(pieces, place):
                name = text_of(pieces[place])
                continue
            if b"}" in pieces[place - 1]:
                name = ""
            if not (keep_references and refers(pieces, place, name)):
                self.mask(place, rule)

    def elements(self, key: int, end: int) -> Iterator[int]:
        """Yield the strings in the array at `key` that are no members of objects in it."""
        for place in range(key + 2, end, 2):
            if not is_key(self.pieces, place) and not is_member_value(self.pieces, place):
                yield place

    def follow(self, place: int, rule: str = "") -> bool:
        """Redact each JSON value in a string; tell whether there is nothing else in it.

        *rule* fires, too, where anything in it does.
        """
        if self.depth >= MAX_EMBEDDED:
            self.mask(place, rule or "key")
            return True
        found = Findings(self.context)  # what fires there counts apart
        found.redacted_values = self.redacted_values
        text, depth = text_of(self.pieces[place]), self.depth + 1
        followed = redact_embedded(text, lambda inner: self.redactor(inner, found, depth))
        if followed.text != text:
            self.changed = True
            self.pieces[place] = piece_of(followed.text)
            self.fired |= {rule, *found.fired} if rule else found.fired
        return followed.wholly
