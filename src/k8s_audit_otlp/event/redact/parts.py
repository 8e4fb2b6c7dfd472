"""Redacts a body part by part, so that a part that was seen before is not read again.

Clusters write the same containers, rules and managed fields time and again, around a few members
that are new. What a part becomes depends on the part and on the names of its own members alone; the
exceptions are named here and read as a whole. `clean_body.look` tells of a body whether it may be
judged so.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeAlias

from k8s_audit_otlp.event.redact.clean_body import is_clean
from k8s_audit_otlp.event.redact.names import Action, Names
from k8s_audit_otlp.event.splice.members import items_of, members_of

# Redacts JSON as a whole: what fired and which values went is added to the last two.
Whole: TypeAlias = Callable[[bytes, set[str], list[bytes]], bytes]

_DEEPEST: Final = 12  # parts in parts; what is deeper is read as a whole
_LONGEST_KEPT: Final = 1024  # bytes of a part that is remembered
_MOST_KEPT: Final = 3 << 20  # bytes of all that are
_OVERHEAD: Final = 150  # bytes of a remembered part beside its own
# These look at the members beside them.
_BESIDE: Final = frozenset((Action.DATA, Action.VALUE, Action.OWN, Action.RENAME))
_CONTAINER: Final = b"{["


class Part(NamedTuple):
    """What a part becomes: its bytes, or None where it stays; the rules and values of it."""

    new: bytes | None = None
    fired: frozenset[str] = frozenset()
    redacted_values: tuple[bytes, ...] = ()


_CLEAN: Final = Part()


class PartRedactor:
    """Gives the same result as reading the whole body. Remembers parts, within a bound."""

    def __init__(self, whole: Whole, names: Names) -> None:
        self._whole, self._names = whole, names
        self._known: dict[bytes, Part] = {}
        self._kept = 0

    def __call__(self, body: bytes) -> Part:
        """Redact a body that is not clean and whose members may be judged one by one."""
        return self._taken_apart(body, 0)

    def _part(self, raw: bytes, depth: int) -> Part:
        """Redact a value whose name calls for nothing."""
        if len(raw) > _LONGEST_KEPT and raw[0] in _CONTAINER:
            return self._taken_apart(raw, depth)
        known = self._known.get(raw)
        if known is not None:
            return known
        # A string is looked at as the value it is: behind a colon.
        clean = is_clean(raw if raw[0] in _CONTAINER else b":" + raw)
        part = _CLEAN if clean else self._taken_apart(raw, depth)
        self._remember(raw, part)
        return part

    def _taken_apart(self, raw: bytes, depth: int) -> Part:
        first = raw[0]
        if depth < _DEEPEST and first in _CONTAINER:
            if first == _CONTAINER[0]:
                members = members_of(raw)
                if members is not None:
                    return self._object(raw, members, depth + 1)
            else:
                items = items_of(raw)
                if items is not None and not _belong_together(items, depth):
                    return _joined(b"[", [(b"", i, self._part(i, depth + 1)) for i in items], b"]")
        if first in _CONTAINER:
            return self._read(raw)
        return _bare(self._read(b"[" + raw + b"]"))

    def _object(self, raw: bytes, members: list[tuple[bytes, bytes]], depth: int) -> Part:
        names = self._names
        actions = [names[name] for name, _ in members]
        if not _BESIDE.isdisjoint(actions) or any(name == b"secretKey" for name, _ in members):
            return self._read(raw)
        parts = []
        for (name, value), action in zip(members, actions, strict=True):
            head = b'"' + name + b'":'
            inside = value[0] in _CONTAINER and (action is not Action.OWNED or b'"v:' not in value)
            if inside and action in (Action.NONE, Action.CREDENTIAL_TEXT, Action.OWNED):
                part = self._part(value, depth)
            else:
                part = self._member(head, value, action)
            parts.append((head, value, part))
        return _joined(b"{", parts, b"}")

    def _member(self, head: bytes, value: bytes, action: Action) -> Part:
        """Redact what only the name of the member, too, tells how to read."""
        member = head + value
        known = self._known.get(member)
        if known is not None:
            return known
        if action is Action.NONE and (value[0] != 0x22 or is_clean(member)):
            part = _CLEAN
        else:
            part = _bare(self._read(b"{" + member + b"}"), len(head))
        self._remember(member, part)
        return part

    def _read(self, raw: bytes) -> Part:
        fired: set[str] = set()
        values: list[bytes] = []
        new = self._whole(raw, fired, values)
        if new is raw or new == raw:
            return _CLEAN
        return Part(new, frozenset(fired), tuple(values))

    def _remember(self, raw: bytes, part: Part) -> None:
        if len(raw) > _LONGEST_KEPT:
            return
        self._kept += len(raw) + len(part.new or b"") + _OVERHEAD
        if self._kept > _MOST_KEPT:
            self._known.clear()
            self._kept = 0
        self._known[raw] = part


def _belong_together(items: list[bytes], depth: int) -> bool:
    """Tell a list with a flag, whose value comes next, and a body that is a patch."""
    return any(item.startswith(b'"-') for item in items) or (
        not depth and any(b'"path":' in item for item in items)
    )


def _bare(part: Part, head: int = 0) -> Part:
    """Take off what was put around a part so that it could be read: a bracket and a name."""
    return part if part.new is None else part._replace(new=part.new[1 + head : -1])


def _joined(opening: bytes, parts: Sequence[tuple[bytes, bytes, Part]], closing: bytes) -> Part:
    """Put parts together again: what stands before each, what it was, what it becomes."""
    if all(part.new is None for _, _, part in parts):
        return _CLEAN
    written = b",".join([
        head + (value if part.new is None else part.new) for head, value, part in parts
    ])  # fmt: skip
    return Part(
        opening + written + closing,
        frozenset().union(*(part.fired for _, _, part in parts)),
        tuple(value for _, _, part in parts for value in part.redacted_values),
    )
