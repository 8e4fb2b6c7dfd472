"""Tells of a member of an event, outside its bodies, whether it leaves as it is.

The judge is `OutsideBodies.member`, which would redact it: what that does not change is clean. What
holds no word of the grammar under names that call for nothing is not even shown to it, and what
repeats from event to event is judged once.
"""

import re
from collections.abc import Iterable

from k8s_audit_otlp.event.redact.outside_bodies import OutsideBodies
from k8s_audit_otlp.event.redact.strings import KnownTexts
from k8s_audit_otlp.event.secrets.grammar import needles_in
from k8s_audit_otlp.event.splice.tokens import UnreadableError, marks_key, split

_UNTOLD = re.compile(rb'"[0-9a-fA-F:TZ.+-]*"')  # times, uids, addresses
_MAX_KEPT = 8192
_LONGEST_KEPT = 1024  # bytes


class CleanMembers(dict[tuple[bytes, bytes], bool]):
    """(name, JSON) of a member -> does it leave as it is. Bounded."""

    def __init__(self, outside: OutsideBodies) -> None:
        super().__init__()
        self._outside = outside
        self._known = KnownTexts()

    def all(self, members: Iterable[tuple[bytes, bytes]]) -> bool:
        """Tell whether all members leave as they are."""
        return not self._outside.always and all(map(self.__getitem__, members))

    def __missing__(self, member: tuple[bytes, bytes]) -> bool:
        name, value = member
        if _UNTOLD.fullmatch(value):
            return True
        verdict = self._is_plain(name, value) or self._judge(name, value)
        if len(value) <= _LONGEST_KEPT:
            if len(self) >= _MAX_KEPT:
                self.clear()
            self[member] = verdict
        return verdict

    def _judge(self, name: bytes, value: bytes) -> bool:
        try:
            return not self._outside.changes(name, value)
        except (UnreadableError, LookupError):
            return False

    def _is_plain(self, name: bytes, value: bytes) -> bool:
        """Tell that there is nothing to judge: no escape, no name and no word of the grammar."""
        if name == b"requestURI" or b"\\" in value:
            return False
        try:
            pieces = split(value)
            marks = [*map(marks_key, pieces[2:-1:2]), False]
        except UnreadableError:
            return False
        texts = set()
        for piece, is_name in zip(pieces[1::2], marks, strict=False):
            if not is_name:
                texts.add(piece)
            elif self._outside.calls_for_a_look(name, piece):
                return False
        new = texts - self._known
        if new and needles_in(b"\n".join(new).decode("utf-8", "replace")):
            return False
        self._known.remember(new)
        return True
