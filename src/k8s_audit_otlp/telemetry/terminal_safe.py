"""Makes text that others chose harmless for a terminal: their names may hold its commands.

A module of its own because help waits for it: it imports next to nothing.
"""

import json


def visible(text: str) -> str:
    r"""Write what moves a cursor, colours, turns or breaks a line as `\x1b`, `\u202e`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def visible_lines(text: str) -> str:
    """Do so in each line of a text that has several."""
    return "\n".join(map(visible, text.split("\n")))


def visible_json(text: str) -> str:
    """Escape the same in JSON text on any number of lines; it says the same afterwards.

    What is not printable stands in strings only, so JSON's own escapes fit.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def _escaped(sign: str) -> str:
    code = ord(sign)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
