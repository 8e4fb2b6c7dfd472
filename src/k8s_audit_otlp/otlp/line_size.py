"""Counts the bytes that the parts of an event take in its line, as kube-apiserver writes it.

Where the sizes of all parts that were judged add up to the line, nothing is in it that nobody saw.
"""

import json
import re
from collections.abc import Iterable

# What every line has, each text without its letters; the brace that opens it.
SIZE_OF_FRAME = len(
    '{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"","auditID":"","stage":"",'
    '"requestURI":"","requestReceivedTimestamp":"2026-01-02T03:04:05.000006Z",'
    '"stageTimestamp":"2026-01-02T03:04:05.000006Z",'
)
_ESCAPED_BY_GO = {0x26: "\\u0026", 0x3C: "\\u003c", 0x3E: "\\u003e"}
_AS_IT_IS = re.compile(r"[ !#-%'-;=?-\[\]-~]*")  # printable ASCII that nobody escapes


def length_in(line: bytes, uri: str) -> int:
    r"""Count the bytes of a URI, whose every `&` kube-apiserver writes as `\u0026`."""
    escaped = 5 * uri.count("&") if "&" in uri and b"&" not in line else 0
    return len(uri) + escaped


def go_json(text: str) -> bytes:
    """Write a text as kube-apiserver does; empty where it leaves the member out."""
    if not text:
        return b""
    if _AS_IT_IS.fullmatch(text):
        return b'"%b"' % text.encode()
    return json.dumps(text, ensure_ascii=False).translate(_ESCAPED_BY_GO).encode()


def size_of(name: str, value: bytes) -> int:
    """Count the bytes that a member takes: quotes, colon and comma, too."""
    return len(name) + len(value) + 4 if value else 0


def members_of(members: Iterable[tuple[str, str]]) -> str:
    """Write the members of an objectRef that are not empty."""
    return "".join(f'"{name}":"{text}",' for name, text in members if text)
