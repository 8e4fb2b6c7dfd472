"""Redacts a body part by part, so that a part that was seen before is not read again.

Clusters write the same containers, rules and managed fields time and again, around a few members
that are new. What a part becomes depends on the part and on the names of its own members alone; the
exceptions are named here and read as a whole. `prefilter.look` tells of a body whether it may be
judged so.
"""

import re
from collections.abc import Callable
from hashlib import sha256
from typing import Final, NamedTuple, TypeAlias

from k8s_audit_otlp.event.bounded_cache import BoundedCache
from k8s_audit_otlp.event.redact.actions import may_echo
from k8s_audit_otlp.event.redact.context import BodyContext, Findings
from k8s_audit_otlp.event.redact.names import Action, Names
from k8s_audit_otlp.event.redact.strings import LONGEST_KNOWN, identifies
from k8s_audit_otlp.event.redact.tables import tell_columns
from k8s_audit_otlp.event.secrets.prefilter import is_clean, look
from k8s_audit_otlp.event.splice.members import items_of, members_of

Whole: TypeAlias = Callable[[bytes, Findings], bytes]  # redacts JSON as a whole

_DEEPEST: Final = 12  # parts in parts; what is deeper is read as a whole
_LARGE: Final = 32_768  # bytes of a part from which on few are remembered, apart from the others
_LONGEST_KEPT: Final = 1 << 20  # bytes of a part that is remembered
_LONGEST_KEY: Final = 256  # bytes of a part that is remembered as itself, not by its digest
_MOST_KEPT: Final = 3 << 20  # bytes of all that are, of the large ones as much
_MOST_TABLES: Final = 32  # whose columns are remembered
_OVERHEAD: Final = 150  # bytes of a remembered part beside its own
_OVERHEAD_OF_VALUE: Final = 41  # bytes of an object of Python and of its place in a tuple
_SHARED: Final = 4096  # bytes of a value from which on parts that have it share it
# These look at the members beside them.
_BESIDE: Final = frozenset((Action.DATA, Action.VALUE, Action.OWN, Action.RENAME, Action.TABLE))
_OWNED_VALUE: Final = b'"v:'  # without one a managed field's name tells nothing
_CONTAINER: Final = b"{["
_LIST_OF_STRINGS: Final = b'["'
_QUOTE: Final = 0x22


class Part(NamedTuple):
    """What a part becomes: its bytes, or None where it stays; the rules and values of it."""

    new: bytes | None = None
    fired: frozenset[str] = frozenset()
    redacted_values: tuple[bytes, ...] = ()


_CLEAN: Final = Part()
# Nothing else is in it beside its items.
_LIST: Final = re.compile(
    rb'\{"kind":"\w+List","apiVersion":"[\w./]+","metadata":\{[^{}\[\]\\]*\},"items":\['
).match
_DEPTH_OF_ITEMS: Final = 2


class _Known(dict[bytes, Part]):
    """Parts by what stands for them. Bounded: a full one begins anew."""

    def __init__(self) -> None:
        super().__init__()
        self._kept = 0
        self._values: dict[bytes, bytes] = {}  # large ones, which several parts share

    def remember(self, key: bytes, part: Part) -> None:
        weight = self._weight(key, part)
        if not key or weight > _MOST_KEPT // 2:
            return
        if self._kept + weight > _MOST_KEPT:
            self.clear()
            self._values.clear()
            self._kept, weight = 0, self._weight(key, part)
        self._kept += weight
        if part.redacted_values:
            part = part._replace(redacted_values=tuple(map(self._shared, part.redacted_values)))
        self[key] = part

    def _weight(self, key: bytes, part: Part) -> int:
        values = part.redacted_values
        own = len(key) + len(part.new or b"") + _OVERHEAD + _OVERHEAD_OF_VALUE * len(values)
        return own + sum(len(value) for value in values if value not in self._values)

    def _shared(self, value: bytes) -> bytes:
        return value if len(value) < _SHARED else self._values.setdefault(value, value)


class PartRedactor:
    """Gives the same result as reading the whole body. Remembers parts, within a bound."""

    def __init__(self, whole: Whole, names: Names, is_harmless: Callable[[bytes], bool]) -> None:
        """*is_harmless* tells of a string, in its quotes, that it stays below a harmless name."""
        self._whole, self._names, self._is_harmless = whole, names, is_harmless
        self._small, self.large = _Known(), _Known()
        self._tell_columns = BoundedCache(tell_columns, most=_MOST_TABLES, longest=_LARGE)

    def __call__(self, body: bytes) -> Part:
        """Redact a body that is not clean and whose members may be judged one by one."""
        return self._taken_apart(body, 0)

    def is_list(self, body: bytes) -> bool:
        """Tell what `of_list` may take item by item."""
        return _LIST(body) is not None

    def of_list(self, body: bytes) -> Part | None:
        """Redact a list of objects, of which only those that are new are looked through.

        None where it is no such list, or may not be judged part by part.
        """
        head = _LIST(body)
        items = items_of(body[head.end() - 1 : -1]) if head else None
        if head is None or items is None or any(item[0] != _CONTAINER[0] for item in items):
            return None
        frame = head[0] + b"]}"
        keys = [*map(part_key, items)]
        parts = [self._small.get(key) for key in keys]
        new = [item for item, part in zip(items, parts, strict=True) if part is None]
        clean, by_parts = look(b",".join((frame, *new)))
        if not by_parts or self._taken_apart(frame, 0) is not _CLEAN:
            return None
        done: list[tuple[bytes, bytes, Part]] = []
        for item, key, known in zip(items, keys, parts, strict=True):
            part = known
            if part is None and clean:
                part = _CLEAN
                self.known_like(item).remember(key, part)
            done.append((b"", item, part or self._item(item, _DEPTH_OF_ITEMS, len(body))))
        return _joined(head[0], done, b"]}")

    def _part(self, raw: bytes, depth: int, around: int) -> Part:
        """Redact an object or a list whose name calls for nothing, in *around* bytes.

        What is most of something large that is not clean is not scanned: it will not be either.
        """
        key, known = part_key(raw), self.known_like(raw)
        part = known.get(key)
        if part is None:
            is_small = known is self._small
            may_be_clean = is_small or 2 * len(raw) < around
            part = _CLEAN if may_be_clean and is_clean(raw) else self._taken_apart(raw, depth)
            if is_small or part is _CLEAN:  # what is redacted is kept with its parts
                known.remember(key, part)
        return part

    def known_like(self, raw: bytes) -> _Known:
        """Return the parts among which one of this size is remembered."""
        return self._small if len(raw) <= _LARGE else self.large

    def _taken_apart(self, raw: bytes, depth: int) -> Part:
        if depth < _DEEPEST:
            if raw[0] == _CONTAINER[0]:
                members = members_of(raw)
                if members is not None:
                    return self._object(raw, members, depth + 1)
            else:
                items = items_of(raw)
                if items is not None and not _belong_together(items, depth):
                    parts = [(b"", item, self._item(item, depth + 1, len(raw))) for item in items]
                    return _joined(b"[", parts, b"]")
        return self._read(raw)

    def _item(self, raw: bytes, depth: int, around: int) -> Part:
        if raw[0] in _CONTAINER:
            return self._part(raw, depth, around)
        if raw[0] != _QUOTE or self._is_harmless(raw):
            return _CLEAN
        return _bare(self._read(b"[" + raw + b"]"))

    def _object(self, raw: bytes, members: list[tuple[bytes, bytes]], depth: int) -> Part:
        names = self._names
        actions = [names[name] for name, _ in members]
        if Action.TABLE in actions:
            actions = [
                Action.NONE if action is Action.TABLE and not self._tell_columns[value] else action
                for (_, value), action in zip(members, actions, strict=True)
            ]
        if not _BESIDE.isdisjoint(actions) or any(name == b"secretKey" for name, _ in members):
            return self._read(raw)
        parts = []
        for (name, value), action in zip(members, actions, strict=True):
            if value[0] in _CONTAINER:
                if value[:2] == _LIST_OF_STRINGS and identifies(name):
                    part = self._member(name, value)
                elif action is Action.NONE or (
                    action is Action.OWNED and _OWNED_VALUE not in value
                ):
                    part = self._part(value, depth, len(raw))
                elif action is Action.LABELS and is_clean(value):
                    part = _CLEAN
                else:
                    part = self._member(name, value)
            elif action is Action.NONE or (action is Action.MESSAGE and not may_echo(value)):
                part = self._text(name, value) if value[0] == _QUOTE else _CLEAN
            else:
                part = self._member(name, value)
            parts.append((name, value, part))
        return _joined(b"{", parts, b"}")

    def _text(self, name: bytes, value: bytes) -> Part:
        """Redact a string whose name calls for nothing. Short ones are remembered elsewhere."""
        if len(value) > LONGEST_KNOWN:
            return self._member(name, value, may_be_harmless=True)
        return _CLEAN if self._is_harmless(value) else self._member(name, value)

    def _member(self, name: bytes, value: bytes, *, may_be_harmless: bool = False) -> Part:
        """Redact what only the name of the member, too, tells how to read."""
        head = b'"' + name + b'":'
        member = head + value
        key, known = part_key(member), self.known_like(member)
        part = known.get(key)
        if part is None:
            if may_be_harmless and self._is_harmless(value):
                part = _CLEAN
            else:
                part = _bare(self._read(b"{" + member + b"}"), len(head))
            known.remember(key, part)
        return part

    def _read(self, raw: bytes) -> Part:
        found = Findings(BodyContext())
        return part_of(raw, self._whole(raw, found), found)


def part_of(raw: bytes, new: bytes, found: Findings) -> Part:
    """Return what became of *raw*, and what was found in it alone."""
    if new is raw or new == raw:
        return _CLEAN
    return Part(new, frozenset(found.fired), tuple(found.redacted_values))


def part_key(raw: bytes) -> bytes:
    """Return what stands for a part among those remembered: a digest is no JSON; empty for none."""
    if len(raw) > _LONGEST_KEPT:
        return b""
    return raw if len(raw) <= _LONGEST_KEY else b"#" + sha256(raw).digest()


def _belong_together(items: list[bytes], depth: int) -> bool:
    """Tell a list with a flag, whose value comes next, a pair, rows, and a body that is a patch."""
    if any(item.startswith((b'"-', b'["')) for item in items):
        return True
    is_pair = [item[:1] for item in items] == [b'"', b'"']
    return is_pair or (not depth and any(b'"path":' in item for item in items))


def _bare(part: Part, head: int = 0) -> Part:
    """Take off what was put around a part so that it could be read: a bracket and a name."""
    return part if part.new is None else part._replace(new=part.new[1 + head : -1])


def _joined(opening: bytes, parts: list[tuple[bytes, bytes, Part]], closing: bytes) -> Part:
    """Put parts together again: the name of each, if any, what it was, what it becomes."""
    changed = [part for _, _, part in parts if part is not _CLEAN]
    if not changed:
        return _CLEAN
    named = opening == b"{"
    written = b",".join([
        (b'"' + name + b'":' if named else b"") + (value if part.new is None else part.new)
        for name, value, part in parts
    ])  # fmt: skip
    return Part(
        opening + written + closing,
        frozenset().union(*(part.fired for part in changed)),
        tuple({value for part in changed for value in part.redacted_values}),
    )
