"""Reads what a back end wrote in its answer: how many records it refused, and its words.

Whatever the bytes are, reading them is linear and never fails: garbage is no fact. The words are
cleaned of credentials like every text, because back ends quote the headers of a request.

Sources: ExportLogsServiceResponse of opentelemetry-proto; google.rpc.Status, which OTLP/HTTP uses
for errors (opentelemetry.io/docs/specs/otlp/#failures-1). Back ends also send plain text and HTML.
"""

import json
import re
from collections.abc import Iterable
from typing import Any

from k8s_audit_otlp.event.secrets.replacement import MASK, Replacement
from k8s_audit_otlp.event.secrets.text import clean
from k8s_audit_otlp.model import Delivered, Outcome

MAX_MESSAGE = 300  # characters of a server's text that reach our own log
MAX_READ = 64 * 1024  # bytes of an error body that are looked at
_SHORTEST_SECRET = 4  # shorter values are words like `true` or a tenant's number
MAX_DEPTH_TRIED = 3  # {"error": {"message": ...}} and the like

_TAG = re.compile(r"<[^<>]*>")
_UNSEEN = re.compile(r"<(script|style)\b", re.IGNORECASE)  # elements whose text nobody reads
_MASKED = Replacement(None)
_PARTIAL_KEYS = frozenset({"partialSuccess", "partial_success"})
_STATUS_BEGINS = frozenset({b"\x08", b"\x12"})  # Loki calls it octet-stream; no text begins so
_MESSAGE_KEYS = ("message", "error", "errors", "detail", "error_message", "msg", "reason")


def read_partial_success(body: bytes, content_type: str) -> tuple[int, str] | None:
    """Read how many records were refused, and why; (0, "") if none, None if *body* is no answer.

    An answer of OTLP is nothing, an ExportLogsServiceResponse, or one as a JSON object. A JSON
    object that has members, but not `partialSuccess`, is somebody else's.
    """
    if not body.strip():
        return 0, ""
    if _is_json(body, content_type) or body.lstrip().startswith(b"{"):
        return _partial_json(body)
    # Imported late: most runs never need them, and the messages are slow to load.
    from google.protobuf.message import DecodeError  # noqa: PLC0415
    from google.protobuf.unknown_fields import UnknownFieldSet  # noqa: PLC0415
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (  # noqa: PLC0415
        ExportLogsServiceResponse,
    )

    known = {1, 2}  # fields of ExportLogsPartialSuccess; as another type they are another message's
    try:
        partial = ExportLogsServiceResponse.FromString(body).partial_success
    except DecodeError:
        return None
    if any(field.field_number in known for field in UnknownFieldSet(partial)):
        return None  # as where a server sends back what it got
    return max(0, partial.rejected_log_records), safe_text(partial.error_message)


def _partial_json(body: bytes) -> tuple[int, str] | None:
    try:
        answer = json.loads(body)
        if not isinstance(answer, dict) or (answer and not _PARTIAL_KEYS & answer.keys()):
            return None
        partial = answer.get("partialSuccess") or answer.get("partial_success") or {}
        rejected = partial.get("rejectedLogRecords") or partial.get("rejected_log_records") or 0
        message = partial.get("errorMessage") or partial.get("error_message") or ""
        return max(0, int(rejected)), safe_text(str(message))
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def error_in(body: bytes, content_type: str) -> str:
    """Return what the body of a success says went wrong: some login pages answer in JSON."""
    if not _is_json(body, content_type):
        return _status_protobuf(body, only_error=True)
    try:
        answer = json.loads(body[:MAX_READ])
    except (ValueError, RecursionError):
        return ""
    said = answer.get("error") or answer.get("errors") if isinstance(answer, dict) else None
    return safe_text(_message(said, MAX_DEPTH_TRIED) or json.dumps(said)) if said else ""


def read_status(body: bytes, content_type: str) -> str:
    """Read the message of an error answer, whatever it is written in; bounded and printable."""
    body = body[:MAX_READ]
    if _is_json(body, content_type):
        try:
            return safe_text(_message(json.loads(body), MAX_DEPTH_TRIED) or body.decode())
        except (ValueError, RecursionError):
            return safe_text(body.decode("utf-8", "replace"))
    if "protobuf" in content_type or body[:1] in _STATUS_BEGINS:
        return _status_protobuf(body)
    return safe_text(_text_of_page(body.decode("utf-8", "replace")))


def _text_of_page(page: str) -> str:
    """Leave out tags, and scripts and styles with their content; one pass."""
    kept, at = [], 0
    small = page.lower() if page.isascii() else page
    while (start := _UNSEEN.search(page, at)) is not None:
        kept.append(page[at : start.start()])
        end = small.find(f"</{start[1].lower()}>", start.end())
        at = len(page) if end < 0 else end
    return _TAG.sub(" ", " ".join([*kept, page[at:]]))


def _status_protobuf(body: bytes, *, only_error: bool = False) -> str:
    from google.protobuf.message import DecodeError  # noqa: PLC0415 # late, as above
    from google.rpc.status_pb2 import Status  # noqa: PLC0415

    try:
        status = Status.FromString(body)
    except DecodeError:
        return "" if only_error else safe_text(body.decode("utf-8", "replace"))
    if not only_error:
        return safe_text(status.message)
    return safe_text(status.message or f"status {status.code}") if status.code else ""


def _message(answer: Any, depth: int) -> str:
    if isinstance(answer, str):
        return answer
    if isinstance(answer, list):
        answer = answer[0] if answer else None
    if not isinstance(answer, dict) or not depth:
        return ""
    found = (_message(answer.get(key), depth - 1) for key in _MESSAGE_KEYS)
    return next(filter(None, found), "")


def _is_json(body: bytes, content_type: str) -> bool:
    if "json" in content_type:
        return True
    return "protobuf" not in content_type and body.lstrip()[:1] in (b"{", b"[")


def safe_text(text: str) -> str:
    """Make a server's text fit for one line of a log: printable, bounded, without credentials."""
    printable = "".join(sign if sign.isprintable() else " " for sign in text[: MAX_MESSAGE * 20])
    line = clean(" ".join(printable.split()), _MASKED, prose=True)
    return line if len(line) <= MAX_MESSAGE else line[: MAX_MESSAGE - 1] + "…"


def without_sent(outcome: Outcome, sent: Iterable[str]) -> Outcome:
    """Mask in the words of an answer what its exporter sent as a credential, of whatever form."""
    words = outcome.message if isinstance(outcome, Delivered) else outcome.why
    values = [*sent]
    values += [value.partition(" ")[2] for value in values]  # the token of `Bearer token`
    for value in sorted(values, key=len, reverse=True):
        if len(value) >= _SHORTEST_SECRET:
            words = words.replace(value, MASK)
    if isinstance(outcome, Delivered):
        return outcome._replace(message=words)
    return outcome._replace(why=words)
