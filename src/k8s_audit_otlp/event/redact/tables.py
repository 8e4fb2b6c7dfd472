"""Tables in bodies: columns by name, and the cells of rows below them; rows of names and values."""

from k8s_audit_otlp.event.redact.neighbours import siblings
from k8s_audit_otlp.event.redact.scan import Scan
from k8s_audit_otlp.event.secrets.grammar import (
    KeyVerdict,
    judge,
    names_one_value,
    names_or_tells,
    words_of,
)
from k8s_audit_otlp.event.secrets.randomness import looks_drawn
from k8s_audit_otlp.event.secrets.values import names_an_object
from k8s_audit_otlp.event.secrets.written.remarks import is_remark
from k8s_audit_otlp.event.splice.tokens import UnreadableError, end_of, is_key, split, text_of

_ONE_ROW = (b"values", b"vals", b"row", b"rows", b"record", b"records", b"data")
_OF_WHOM = frozenset("user username login account name email host".split())  # noqa: SIM905
_PAIR = 2


def table(scan: Scan, key: int) -> None:
    """Redact the cells of a table below a column whose name says credential."""
    pieces, end = scan.pieces, end_of(scan.pieces, key)
    if pieces[key + 1][:2] != b":[" or "key" in scan.off:
        return
    columns = _telling_columns(pieces, key + 2, end)
    if not columns:
        return
    rows = [row for row in range(end, len(pieces) - 1, 2) if pieces[row] == b"cells"]
    for row in [*rows, *siblings(pieces, key)]:
        opening = pieces[row + 1]
        is_one = opening[:2] == b":[" and (row in rows or pieces[row] in _ONE_ROW)
        if row != key and (is_one or opening[:3] == b":[["):
            _cells(scan, row, columns)


def _cells(scan: Scan, row: int, columns: dict[int, str]) -> None:
    pieces, column = scan.pieces, 0
    for cell in range(row + 2, end_of(pieces, row), 2):
        column = _column(pieces[cell - 1], column)
        if column in columns and _is_cell(columns[column], text_of(pieces[cell])):
            scan.mask(cell, "key")


def _telling_columns(pieces: list[bytes], start: int, end: int) -> dict[int, str]:
    """Return the columns whose name says credential, of definitions in [start, end)."""
    listed = not any(is_key(pieces, p) for p in range(start, min(end, len(pieces) - 1), 2))
    named = [
        p if listed else p + 2
        for p in range(start, min(end, len(pieces) - 1), 2)
        if listed or (pieces[p] == b"name" and is_key(pieces, p))
    ]
    names = enumerate(text_of(pieces[p]) for p in named)
    return {n: name for n, name in names if names_or_tells(name)}


def listed(scan: Scan, key: int) -> int | None:
    """Redact a list of what was a credential before: `passwordHistory`, not how many are kept."""
    is_list = scan.pieces[key + 1][:2] == b":[" and "key" not in scan.off
    return scan.whole(key, "key") if is_list else None


def tell_columns(definitions: bytes) -> bool:
    """Tell whether a column of these is one of credentials; else its cells are as any others."""
    if definitions[:1] != b"[":
        return False
    try:
        pieces = split(definitions)
        return bool(_telling_columns(pieces, 1, len(pieces)))
    except (UnreadableError, LookupError):
        return True


def _is_cell(column: str, value: str) -> bool:
    """Tell a credential from the name of the object that has it."""
    if judge(column) is not KeyVerdict.CREDENTIAL:
        return looks_drawn(value)
    holds_names = words_of(column)[-1].startswith(("secret", "cred"))
    return not holds_names or not names_an_object(value)


def _column(before: bytes, column: int) -> int:
    """Return the column of a cell, by the punctuation before it; numbers are in there."""
    opened = before.rfind(b"[")
    return column + before.count(b",") if opened < 0 else before.count(b",", opened)


def act_on_rows(scan: Scan) -> None:
    """Redact in lists of rows: `[["user", "bob"], ["password", "X"]]`, or below their first row."""
    pieces = scan.pieces
    for start in range(1, len(pieces) - 1, 2):
        if pieces[start - 1].endswith(b"[[") and not is_key(pieces, start):
            _rows(scan, start)


def _rows(scan: Scan, start: int) -> None:
    pieces, column = scan.pieces, 0
    rows: list[dict[int, int]] = []
    for place in range(start, len(pieces) - 1, 2):
        before = pieces[place - 1]
        if (place > start and b"]]" in before) or b"{" in before:
            break
        if b"[" in before:
            rows.append({})
        column = _column(before, column)
        rows[-1][column] = place
    first = {column: text_of(pieces[place]) for column, place in rows[0].items()}
    below = first.get(0, "").lower() in _OF_WHOM
    named = [column for column, name in first.items() if below and names_one_value(name)]
    for row in rows:
        if len(row) == _PAIR and 0 in row and _names_password(text_of(pieces[row[0]])):
            _mask_word(scan, row.get(1, 0))
        for column in named if row is not rows[0] else ():
            _mask_word(scan, row.get(column, 0))


def _names_password(name: str) -> bool:
    """Tell a name of one value: of two words, as lists of methods have only `token`."""
    words = words_of(name)
    return names_one_value(name) and (len(words) > 1 or words[0].startswith("p"))


def _mask_word(scan: Scan, place: int) -> None:
    if place and not is_remark(text_of(scan.pieces[place])):
        scan.mask(place, "key")
