"""Reads times as integer nanoseconds since the epoch. No floats."""

import re
from datetime import UTC, datetime

from k8s_audit_otlp.model import AuditEvent

# RFC 3339, and what exports make of it: a blank for the T, no zone (taken as UTC)
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})"
    r"(?:[.,]([0-9]{1,18}))?\s?([Zz]|[+-][0-9]{2}:?[0-9]{2})?"
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_NS = (1 << 63) - 1  # the year 2262


def unix_ns(text: str | None) -> int | None:
    """Read a time; None where the text is none, or one before 1970 (Go's zero time is year 1)."""
    found = _TIME.fullmatch(text.strip()) if text else None
    if found is None:
        return None
    day, clock, fraction, zone = found.groups()
    zone = "+00:00" if zone in (None, "Z", "z") else zone
    try:
        whole = datetime.fromisoformat(f"{day}T{clock}{zone}") - EPOCH
    except (ValueError, OverflowError):
        return None
    seconds = whole.days * 86_400 + whole.seconds
    nanoseconds = seconds * 1_000_000_000 + int((fraction or "0").ljust(9, "0")[:9])
    return nanoseconds if 0 < nanoseconds <= MAX_NS else None


def stage_ns(event: AuditEvent) -> int:
    """Return when the stage of an event happened, else when its request came; 0 without either."""
    return unix_ns(event.stage_timestamp) or unix_ns(event.request_received_timestamp) or 0
