"""Numbers and texts of a log in, what a person can read safely out."""

from typing import Final

DAY_S: Final = 86_400.0


def printable(text: str, most: int = 200) -> str:
    """Show text that a client chose: no control and no direction characters, not endless."""
    shown = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text[: most + 1])
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def size(count: float) -> str:
    """Write bytes as a bill does, in powers of ten: 1.5 GB."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB" if count < 1000 else f"{count:,.0f} TB"


def number(count: float) -> str:
    """Write a count; small ones with a digit behind the point."""
    return f"{count:,.1f}" if 0 < abs(count) < 10 and count != int(count) else f"{count:,.0f}"


def share(part: float, whole: float) -> str:
    if not whole or not part:
        return "0 %"
    percent = 100 * part / whole
    return "< 0.1 %" if percent < 0.1 else f"{percent:.1f} %"


def duration(seconds: float) -> str:
    for bound, unit, length in ((120, "s", 1.0), (7200, "min", 60.0), (172_800, "h", 3600.0)):
        if seconds < bound:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds / DAY_S:,.1f} days"
