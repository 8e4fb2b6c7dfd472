"""Tells of a member of an event, outside its bodies, whether it leaves as it is.

The judge is `OutsideBodies.member`, which would redact it: what that does not change is clean. What
holds no word of the grammar under names that call for nothing is not even shown to it, and what
repeats from event to event is judged once.
"""

import re
from collections import defaultdict
from collections.abc import Iterable

from k8s_audit_otlp.event.redact.outside_bodies import OutsideBodies
from k8s_audit_otlp.event.redact.strings import KnownTexts
from k8s_audit_otlp.event.secrets.grammar import needles_in
from k8s_audit_otlp.event.splice.tokens import UnreadableError, marks_key, split, text_of

_UNTOLD = re.compile(rb'"[0-9a-fA-F:TZ.+-]*"')  # times, uids, addresses
_MAX_KEPT = 8192
_LONGEST_KEPT = 1024  # bytes


class CleanMembers(dict[tuple[bytes, bytes], bool]):
    """(name, JSON) of a member -> does it leave as it is. Bounded."""

    def __init__(self, outside: OutsideBodies) -> None:
        super().__init__()
        self._outside = outside
        self._known: defaultdict[bytes, KnownTexts] = defaultdict(KnownTexts)

    def all(self, members: Iterable[tuple[bytes, bytes]]) -> bool:
        """Tell whether all members leave as they are."""
        return not self._outside.always and all(map(self.__getitem__, members))

    def __missing__(self, member: tuple[bytes, bytes]) -> bool:
        name, value = member
        if _UNTOLD.fullmatch(value):
            return True
        suspects = self._suspects(name, value)
        verdict = suspects == set() or self._judge(name, value)
        if verdict and suspects:
            self._known[name].remember(suspects)
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

    def _suspects(self, name: bytes, value: bytes) -> set[bytes] | None:
        """Return the texts that hold a word of the grammar and were not judged clean before.

        None where more than texts is to be judged: a name that calls for something, JSON in a text.
        """
        if name == b"requestURI":
            return None
        try:
            pieces = split(value)
            marks = [*map(marks_key, pieces[2:-1:2]), False]
        except UnreadableError:
            return None
        texts = set()
        for piece, is_name in zip(pieces[1::2], marks, strict=False):
            if not is_name:
                text = _plain(piece)
                if text[:1] in (b"{", b"["):
                    return None
                texts.add(text)
            elif b"\\" in piece or self._outside.calls_for_a_look(name, piece):
                return None
        texts -= self._known[name]
        if not texts or not _needles(b"\n".join(texts)):
            return set()
        return {text for text in texts if _needles(text)}


def _plain(piece: bytes) -> bytes:
    """Return a string as its text, without escapes."""
    if b"\\" in piece or b"\0" in piece:
        return text_of(piece).encode("utf-8", "surrogatepass")
    return piece


def _needles(text: bytes) -> int:
    return needles_in(text.decode("utf-8", "replace"))
