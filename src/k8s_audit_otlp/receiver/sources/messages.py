"""Extracts audit events from the messages of a service, whatever frame they are in. Pure."""

from collections.abc import Iterator

from k8s_audit_otlp.event.formats import detect, is_audit, is_part_of_event, unwrap
from k8s_audit_otlp.event.frames import Framed, inflated, is_json
from k8s_audit_otlp.receiver.spool.event_list import (
    LINE_BREAKS,
    REFUSED,
    NoEventsError,
    lines_of,
    raws,
)


def texts_in(message: bytes) -> Iterator[Framed]:
    """Take the texts out of a message: JSON over any lines, an array of it, or lines.

    Of what nothing can be taken out is given as it stands.
    """
    message = inflated(message).removeprefix(b"\xef\xbb\xbf").strip()
    for text in _members(message) if message.startswith(b"[") else _lines(message):
        yield from unwrap(text, detect(text)) or [Framed(text)]


def _lines(message: bytes) -> list[bytes]:
    first, _, _ = message.partition(b"\n")
    if message.startswith(b"{") and not is_json(first):
        return [message]  # over many lines, or torn
    return [line for line in message.split(b"\n") if line.strip()]


def _members(array: bytes) -> list[bytes]:
    try:
        return [bytes(member) for member in raws(array)]
    except REFUSED:
        return _lines(array)


def lines_from(text: bytes) -> list[bytes]:
    """Return the events of a text, a line each; none where it is another one.

    A torn event is a line as well: its record says that it could not be read.
    """
    if not (is_audit(text) or is_part_of_event(text)):
        return []
    try:
        return list(lines_of(text))
    except NoEventsError:
        return [text.translate(None, LINE_BREAKS) + b"\n"]
