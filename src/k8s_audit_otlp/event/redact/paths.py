"""Finds the strings of a body at or below the path of an own rule."""

import re
from collections.abc import Iterator

from k8s_audit_otlp.event.splice.tokens import is_key, text_of


def paths_to(pieces: list[bytes], steps: tuple[str, ...]) -> Iterator[int]:
    """Yield the places of the strings at or below the path."""
    pattern = re.compile(
        "".join(
            r"(?:/[^/]*)*" if s == "**" else r"/[^/]*" if s == "*" else "/" + re.escape(s)
            for s in steps
        )
        + r"(?:/.*)?",
        re.DOTALL,
    )
    stack: list[str] = []
    counts: list[int] = []
    for place in range(1, len(pieces), 2):
        _follow(pieces[place - 1], stack, counts)
        if is_key(pieces, place):
            stack[-1] = text_of(pieces[place]).replace("/", "~")
        elif pattern.fullmatch("/" + "/".join(stack)):
            yield place


def _follow(punctuation: bytes, stack: list[str], counts: list[int]) -> None:
    """Keep the path of names and indexes through what stands between two strings."""
    for mark in re.findall(rb"[\[\]{},]", punctuation):
        if mark in b"{[":
            stack.append("0" if mark == b"[" else "")
            counts.append(0 if mark == b"[" else -1)
        elif mark in b"}]":
            if stack:
                stack.pop()
                counts.pop()
        elif counts and counts[-1] >= 0:
            counts[-1] += 1
            stack[-1] = str(counts[-1])
