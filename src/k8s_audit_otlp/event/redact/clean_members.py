"""Tells of a member of an event, outside its bodies, whether it leaves as it is.

The judge is `OutsideBodies`, which would redact it: what that does not change is clean. What holds
no word of the grammar under names that call for nothing is not even shown to it, and what repeats
from event to event is judged once.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from itertools import compress
from operator import not_

from k8s_audit_otlp.event.redact.embedded import may_hold_json
from k8s_audit_otlp.event.redact.outside_bodies import OutsideBodies
from k8s_audit_otlp.event.redact.strings import KnownTexts
from k8s_audit_otlp.event.secrets.gate import may_hold, needles_in_bytes
from k8s_audit_otlp.event.splice.tokens import (
    MASKED_BACKSLASH,
    MASKED_QUOTE,
    UnreadableError,
    marks_key,
    split,
    text_of,
)
from k8s_audit_otlp.event.splice.verdicts import Verdicts

_UNTOLD = re.compile(rb'\[?"[0-9a-fA-F:TZ.+-]*"\]?')  # times, uids, addresses
_BY_TEXTS = frozenset((b"userAgent", b"sourceIPs", b"verb"))  # alone
_MAX_KEPT = 8192
_LONGEST_KEPT = 1024  # bytes
_BEYOND_WORDS = (b"\\", MASKED_BACKSLASH, b"{", b"[")  # escapes, JSON in a text
_MOST_NAMES = 64  # of one member that are remembered together


class CleanMembers(Verdicts[tuple[bytes, bytes], bool]):
    """(name, JSON) of a member -> does it leave as it is. Bounded."""

    def __init__(self, outside: OutsideBodies) -> None:
        super().__init__(
            self._leaves, most=_MAX_KEPT, longest=_LONGEST_KEPT, size=lambda member: len(member[1])
        )
        self._outside = outside
        self._known: defaultdict[bytes, KnownTexts] = defaultdict(KnownTexts)
        self._shapes = Verdicts(self._calls_for_nothing, most=_MAX_KEPT, longest=_MOST_NAMES)

    def changing(self, members: Iterable[tuple[bytes, bytes]]) -> list[bytes] | None:
        """Return the names of those that do not leave as they are; None where all may change."""
        if self._outside.always:
            return None
        return [member[0] for member in members if not self[member]]

    def __missing__(self, member: tuple[bytes, bytes]) -> bool:
        return bool(_UNTOLD.fullmatch(member[1])) or super().__missing__(member)

    def _leaves(self, member: tuple[bytes, bytes]) -> bool:
        try:
            return self._is_clean(*member)
        except (UnreadableError, LookupError):
            return False

    def _is_clean(self, name: bytes, value: bytes) -> bool:
        outside = self._outside
        if name == b"requestURI":
            return not outside.changes(name, value)
        pieces = split(value)
        strings = pieces[1::2]
        if len(strings) > 1:
            is_name = [*map(marks_key, pieces[2:-1:2]), False]
            if not self._shapes[name, *compress(strings, is_name)]:
                return not outside.changes(name, value)
            strings = [*compress(strings, map(not_, is_name))]
        if name == b"responseStatus":
            return all(outside.leaves(name.decode(), text_of(piece)) for piece in strings)
        if _hold_nothing(b"\n".join(strings)):
            return True
        known = self._known[name]
        new = set(strings) - known
        suspects = {piece for piece in new if _is_suspect(text_of(piece))}
        if suspects and name in _BY_TEXTS:
            verdict = all(outside.leaves(name.decode(), text_of(piece)) for piece in suspects)
        else:
            verdict = not suspects or not outside.changes(name, value)
        if verdict:
            known.remember(suspects)
        return verdict

    def _calls_for_nothing(self, shape: tuple[bytes, ...]) -> bool:
        """Tell whether no name in a member (its own, those in it) says something of a value."""
        owner, *names = shape
        return not any(
            b"\\" in name or self._outside.calls_for_a_look(owner, name) for name in names
        )


def _hold_nothing(pieces: bytes) -> bool:
    """Tell quickly that strings hold no word of the grammar. *False* says only: look at each."""
    if any(map(pieces.__contains__, _BEYOND_WORDS)):
        return False
    return not needles_in_bytes(pieces.replace(MASKED_QUOTE, b'"'))


def _is_suspect(text: str) -> bool:
    return may_hold(text) or may_hold_json(text)
