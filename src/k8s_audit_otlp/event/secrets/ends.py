"""Where a value ends that has an end of its own: in quotes, a block of YAML, the line below."""

import re

from k8s_audit_otlp.event.secrets.replacement import QUOTE

_NEXT_LINE = re.compile(
    r"[ \t\r]*\n(?:[ \t]*\r?\n)*+([+-]?[ \t]+(?![^\s:]+:(?:\s|\Z))(?!- )|(?=[\"']))(\S[^\n]*)"
)


def end_of_quoted(text: str, start: int, mark: str) -> int:
    """Return where a quoted value ends, with the quotes *mark* that it begins with."""
    at = start + len(mark)
    while (end := text.find(mark, at)) >= 0:
        if mark == "'" and text[end + 1 : end + 2] == "'":
            at = end + 2  # as YAML and SQL write it
            continue
        if len(mark) > 1 or mark == "`" or not _is_escaped(text, end):
            inner = len(mark) > 1 and text[end - 1 : end] == "\\"
            if not inner:
                return end + len(mark)
        at = end + 1
    return len(text)


def _is_escaped(text: str, at: int) -> bool:
    count = 0
    while count < 64 and text[at - count - 1 : at - count] == "\\":
        count += 1
    return count % 2 == 1


def end_of_block(text: str, start: int, indent: int) -> int:
    """Return the end of a YAML block scalar: lines that are blank or indented as its first one."""
    at = text.find("\n", start)
    while at >= 0:
        line = text[at + 1 : at + 1 + indent]
        if line.strip(" \t") and not line.startswith("\n"):
            return at
        at = text.find("\n", at + 1)
    return len(text)


def next_line(text: str, at: int, start: int) -> tuple[int, int]:
    """Return where a value is that stands on the line below; an empty range at *start* for none."""
    below = _NEXT_LINE.match(text, at)
    if below is None:
        return start, start
    quote = QUOTE.match(below[2])
    end = end_of_quoted(text, below.start(2), quote[0]) if quote else below.end(2)
    return below.start(2), end
