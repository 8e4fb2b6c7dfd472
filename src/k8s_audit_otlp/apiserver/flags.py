"""Finds and sets flags among the command-line items of a container. No I/O.

Both spellings are understood: `--flag=value` in one item, and `--flag` with `value` in the next.
As in kube-apiserver, the last of several equal flags is the one that counts, and `_` is a `-`.
"""

from collections.abc import Iterator, Mapping, MutableSequence, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple


class Flag(NamedTuple):
    """One flag and the items that it takes up."""

    name: str
    value: str | None  # None: the flag stands alone and nothing follows it
    start: int
    width: int


def command_of(container: Mapping[str, Any]) -> list[str]:
    """Return the command of a container and its arguments."""
    return [str(item) for key in ("command", "args") for item in container.get(key) or ()]


def runs_apiserver(container: Mapping[str, Any]) -> bool:
    program = PurePosixPath(next(iter(command_of(container)), ""))
    return "kube-apiserver" in (container.get("name"), program.name)


def find(items: Sequence[object], name: str) -> list[Flag]:
    """Every occurrence of a flag that takes a value, in order."""
    return [flag for flag in _flags(items) if flag.name == name]


def value_of(items: Sequence[object], name: str) -> str | None:
    """Return what kube-apiserver would use; None where the flag is not given."""
    found = find(items, name)
    return found[-1].value if found else None


def put(items: MutableSequence[object], name: str, value: str) -> None:
    """Make `--name=value` the only occurrence of the flag."""
    found = find(items, name)
    wanted = f"--{name}={value}"
    if not found:
        items.append(wanted)
        return
    while len(found) > 1:
        _cut(items, found[0].start, found[0].width)
        found = find(items, name)
    last = found[0]
    if last.value != value:
        items[last.start] = wanted
        _cut(items, last.start + 1, last.width - 1)


def drop(items: MutableSequence[object], name: str) -> None:
    """Take every occurrence of the flag away."""
    while found := find(items, name):
        _cut(items, found[-1].start, found[-1].width)


def paths(items: Sequence[object]) -> list[str]:
    """Absolute paths among the flags' values: what the apiserver will open."""
    values = (flag.value for flag in _flags(items))
    return [value for value in values if value and value.startswith("/")]


def _flags(items: Sequence[object]) -> Iterator[Flag]:
    for at, item in enumerate(items):
        text = str(item)
        if not text.startswith("--"):
            continue
        name, equals, value = text[2:].partition("=")
        name = name.replace("_", "-")
        if equals:
            yield Flag(name, value, at, 1)
        elif at + 1 < len(items) and not str(items[at + 1]).startswith("--"):
            yield Flag(name, str(items[at + 1]), at, 2)
        else:
            yield Flag(name, None, at, 1)


def _cut(items: MutableSequence[object], start: int, count: int) -> None:
    """Take items away. Words behind them go before a flag that would take one as its value."""
    for _ in range(count):
        del items[start]
    at = start
    while at and _stands_alone(items[at - 1]):
        at -= 1
    while at < start < len(items) and not str(items[start]).startswith("--"):
        items.insert(at, items.pop(start))
        at, start = at + 1, start + 1


def _stands_alone(item: object) -> bool:
    return str(item).startswith("--") and "=" not in str(item)
