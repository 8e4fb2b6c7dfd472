"""Sizes, durations, times and hostile text, written the same way by every command and page."""

from datetime import UTC, datetime
from typing import Final

from k8s_audit_otlp.telemetry.terminal_safe import visible

DAY_S: Final = 86_400.0


def printable(text: str, most: int = 200) -> str:
    """Show text that a client chose: no control and no direction characters, not endless."""
    shown = visible(text[: most + 1])
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def size(count: float) -> str:
    """Write a number of bytes with a binary unit: 1.5 MiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB" if count < 1000 else f"{count:,.0f} TiB"


def about(count: float, *, estimated: bool) -> str:
    """Write a number of bytes, and say where it is an estimate."""
    return f"about {size(count)}" if estimated else size(count)


def number(count: float) -> str:
    """Write a count; small ones with a digit behind the point."""
    return f"{count:,.1f}" if 0 < abs(count) < 10 and count != int(count) else f"{count:,.0f}"


def counted(count: int, thing: str) -> str:
    """Write how many there are of a thing whose plural ends in s: 1 record, 2,000 records."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def share(part: float, whole: float) -> str:
    if not whole or not part:
        return "0 %"
    percent = 100 * part / whole
    return "< 0.1 %" if percent < 0.1 else f"{percent:.1f} %"


def duration(seconds: float) -> str:
    """Write a number of seconds with the unit that suits it: 0.4 s, 5 min, 2.7 d."""
    if 0 < seconds < 1:
        return f"{seconds:.1g} s"
    for bound, unit, length in ((90, "s", 1), (5400, "min", 60), (172_800, "h", 3600)):
        if seconds < bound:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / DAY_S:,.1f} d"


def ago(seconds: float) -> str:
    """Say how long ago something was, also where the clock has been set back since."""
    if seconds > -1:
        return f"{duration(max(0.0, seconds))} ago"
    return f"{duration(-seconds)} ahead of this clock"


def time_of(ns: int) -> str:
    """Write nanoseconds since the epoch as a time in UTC, to the second."""
    return datetime.fromtimestamp(ns / 1e9, UTC).isoformat(timespec="seconds")


def rfc3339(ns: int, digits: int = 0) -> str:
    """Write nanoseconds since the epoch as kube-apiserver does, with *digits* of a fraction."""
    seconds, rest = divmod(ns, 10**9)
    fraction = f".{rest:09d}"[: digits + 1] if digits else ""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"
