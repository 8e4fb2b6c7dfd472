r"""Parts the bytes of a JSON value into its strings and what stands between them; builds no tree.

Escaped quotes are masked by bytes that JSON cannot hold, so that splitting at the quote gives
punctuation at even places and strings at odd ones:

    {"a":"x\"y","b":[1]}  ->  {  a  :  x..y  ,  b  :[1]}

A value is changed by changing its piece; joining and unmasking gives back every other byte as it
was. Depth of nesting, repeated keys, huge numbers and lone surrogates need no special care.
"""

import json
import re
from collections.abc import Iterator

import orjson

from k8s_audit_otlp.event.bounded_cache import BoundedCache
from k8s_audit_otlp.event.memory_bounds import is_costly_to_split

MASKED_BACKSLASH, MASKED_QUOTE = b"\0\0", b"\0\1"
_BRACKET = re.compile(rb"[\[\]{}]")
_CACHED_PUNCTUATION = 4096
_LONGEST_CACHED = 32  # bytes
_STRIDE = 64  # pieces of punctuation looked at together
_COLON = 0x3A
_NEVER = 1 << 60


class UnreadableError(ValueError):
    """The bytes are not JSON that can be followed."""


class SpacedError(UnreadableError):
    """There is white space between the members; it has to be taken out first."""


def _marks_key(punctuation: bytes) -> bool:
    """Say whether the string before *punctuation* is a member's name."""
    if len(punctuation.split(None, 1)) != 1 or punctuation[-1:].isspace():
        raise SpacedError("white space or nothing between two strings")
    return punctuation[0] == _COLON


def _balance_of(brackets: bytes) -> BoundedCache[bytes, tuple[int, int]]:
    """Return punctuation -> (depth after its lowest closing bracket, depth at its end), relative.

    *brackets* are those that count.
    """
    find = re.compile(b"[" + re.escape(brackets) + b"]").findall

    def weigh(punctuation: bytes) -> tuple[int, int]:
        depth, lowest = 0, _NEVER
        for bracket in find(punctuation):
            if bracket in b"[{":
                depth += 1
            else:
                depth -= 1
                lowest = min(lowest, depth)
        return lowest, depth

    return BoundedCache(weigh, most=_CACHED_PUNCTUATION, longest=_LONGEST_CACHED)


balance = _balance_of(b"[]{}")
_BALANCE_OF = {0x5B: (_balance_of(b"[]"), b"[", b"]"), 0x7B: (_balance_of(b"{}"), b"{", b"}")}
marks_key = BoundedCache(_marks_key, most=_CACHED_PUNCTUATION, longest=_LONGEST_CACHED).__getitem__


# Of a letter: not of what ends a string, nor of what Go escapes.
_NEEDLESS_ESCAPE = re.compile(
    rb"\\u00(?:2[013-57-9a-fA-F]|3[0-9abdfABDF]|[467][0-9a-fA-F]|5[0-9abdefABDEF])"
)


def plainly_escaped(value: bytes) -> bytes:
    r"""Write letters that are escaped without need as themselves: `"p\u0061th"` is `"path"`."""
    if b"\\u00" not in value or not _NEEDLESS_ESCAPE.search(value) or b"\0" in value:
        return value
    masked = value.replace(b"\\\\", MASKED_BACKSLASH)
    escapes = {match[0] for match in _NEEDLESS_ESCAPE.finditer(masked)}
    for escape in escapes:  # some 80 at most; to put millions of pieces together takes more memory
        masked = masked.replace(escape, bytes((int(escape[4:], 16),)))
    return masked.replace(MASKED_BACKSLASH, b"\\\\") if escapes else value


def split(value: bytes) -> list[bytes]:
    """Split a compact JSON value into its pieces."""
    if b"\0" in value:
        raise UnreadableError("a NUL byte")
    if is_costly_to_split(value):
        raise UnreadableError("too many strings")
    pieces = mask(value).split(b'"')
    if not len(pieces) & 1:
        raise UnreadableError("an open string")
    return pieces


def join(pieces: list[bytes]) -> bytes:
    return unmask(b'"'.join(pieces))


def unmask(piece: bytes) -> bytes:
    if b"\0" in piece:
        return piece.replace(MASKED_BACKSLASH, b"\\\\").replace(MASKED_QUOTE, b'\\"')
    return piece


def mask(content: bytes) -> bytes:
    if b"\\" not in content:
        return content
    return content.replace(b"\\\\", MASKED_BACKSLASH).replace(b'\\"', MASKED_QUOTE)


def text_of(piece: bytes) -> str:
    """Decode a string piece; a lone surrogate stays one."""
    if b"\\" not in piece and b"\0" not in piece:
        try:
            return piece.decode()
        except UnicodeDecodeError:
            pass  # as below
    quoted = b'"' + unmask(piece) + b'"'
    try:
        text: str = orjson.loads(quoted)
    except orjson.JSONDecodeError:
        try:
            text = json.loads(quoted.decode("utf-8", "replace"), strict=False)
        except ValueError as error:
            raise UnreadableError("a string that is none") from error
    return text


_ESCAPED_AS_GO_DOES = {0x26: "\\u0026", 0x3C: "\\u003c", 0x3E: "\\u003e"}


def piece_of(text: str) -> bytes:
    """Encode text the way kube-apiserver does, as a piece."""
    encoded = json.dumps(text, ensure_ascii=False)[1:-1].translate(_ESCAPED_AS_GO_DOES)
    try:
        return mask(encoded.encode())
    except UnicodeEncodeError:
        return mask(json.dumps(text)[1:-1].translate(_ESCAPED_AS_GO_DOES).encode())


def written(text: str) -> str:
    """Return a text as it stands in JSON that kube-apiserver writes, without its quotes."""
    return unmask(piece_of(text)).decode()


def is_key(pieces: list[bytes], place: int) -> bool:
    return pieces[place + 1][:1] == b":"


def is_member_value(pieces: list[bytes], place: int) -> bool:
    """Tell a member's value from an element of an array."""
    return pieces[place - 1] == b":"


def end_of(pieces: list[bytes], key: int) -> int:
    """Return the place of the first string after the value of the member at `key`."""
    punctuation = pieces[key + 1][1:]
    if not punctuation:
        return key + 4
    if punctuation[0] not in b"{[":
        return key + 2
    balances, opens, closes = _BALANCE_OF[punctuation[0]]
    lowest, depth = balances[punctuation]
    if lowest <= 0:
        return key + 2
    for start in range(key + 3, len(pieces), 2 * _STRIDE):
        run = pieces[start : start + 2 * _STRIDE : 2]
        together = b"".join(run)
        closed = together.count(closes)
        if closed >= depth:
            for i, punctuation in enumerate(run):
                lowest, change = balances[punctuation]
                if depth + lowest <= 0:
                    return start + 2 * i + 1
                depth += change
        else:
            depth += together.count(opens) - closed
    raise UnreadableError("an open bracket")


def closing_part(pieces: list[bytes], key: int, end: int) -> bytes:
    """Return what of the last punctuation still belongs to the container at `key`."""
    before = b"".join(pieces[key + 1 : end - 1 : 2])
    depth = before.count(b"{") + before.count(b"[") - before.count(b"}") - before.count(b"]")
    for bracket in _BRACKET.finditer(pieces[end - 1]):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth <= 0:
            return pieces[end - 1][: bracket.end()]
    return pieces[end - 1]


def members(pieces: list[bytes], key: int, end: int) -> Iterator[int]:
    """Yield the keys of the object that is the value of the member at `key`."""
    depth = balance[pieces[key + 1][1:]][1]
    for place in range(key + 2, end, 2):
        punctuation = pieces[place + 1]
        if depth == 1 and punctuation[:1] == b":":
            yield place
        depth += balance[punctuation][1]


def objects(pieces: list[bytes]) -> Iterator[list[int]]:
    """Yield the keys of each object, however deep; a key may repeat."""
    open_ones: list[list[int]] = []
    for place in range(1, len(pieces) + 2, 2):
        for bracket in _BRACKET.findall(pieces[place - 1]):
            if bracket in b"{[":
                open_ones.append([])
            elif open_ones and (found := open_ones.pop()):
                yield found
        if place < len(pieces) and open_ones and is_key(pieces, place):
            open_ones[-1].append(place)


def keys_inside(pieces: list[bytes], parent: bytes, name: bytes | None = None) -> list[int]:
    """Return the places of the members, or of those called `name`, of every object `parent`."""
    found: list[int] = []
    parents: list[bytes] = []
    for place in range(1, len(pieces), 2):
        punctuation = pieces[place - 1]
        value_of = pieces[place - 2] if punctuation[:1] == b":" else b""
        for bracket in _BRACKET.findall(punctuation):
            if bracket in b"{[":
                parents.append(value_of)
                value_of = b""
            elif parents:
                parents.pop()
        wanted = name is None or pieces[place] == name
        if wanted and is_key(pieces, place) and parents and parents[-1] == parent:
            found.append(place)
    return found


def without_members(pieces: list[bytes], keys: list[int]) -> list[bytes]:
    """Take the members at `keys`, which are in order, out, each with one comma."""
    left: list[bytes] = []
    before, at = pieces[0], 1
    for key in keys:
        if key < at:
            continue  # inside one that is already out
        if key > at:
            left.append(before)
            left.extend(pieces[at : key - 1])
            before = pieces[key - 1]
        at = end_of(pieces, key)
        after = _after_value(pieces, key, at)
        if after[:1] == b",":
            after = after[1:]
        elif before[-1:] == b",":
            before = before[:-1]
        before += after
    return [*left, before, *pieces[at:]]


def _after_value(pieces: list[bytes], key: int, end: int) -> bytes:
    """Return the punctuation behind the value of the member at `key`."""
    if pieces[key + 1] == b":":
        return pieces[key + 3]
    if pieces[key + 1][1:2] in (b"{", b"["):
        return pieces[end - 1][len(closing_part(pieces, key, end)) :]
    return pieces[key + 1].lstrip(b":+-.0123456789eEtrufalsn")
