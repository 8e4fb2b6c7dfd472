"""Numbers in, text for people out."""


def human_bytes(size: float) -> str:
    """Write a number of bytes with a unit: 1.5 MiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def human_seconds(seconds: float) -> str:
    """Write a number of seconds with a unit: 5 min."""
    for bound, unit, size in ((90, "s", 1), (5400, "min", 60), (129_600, "h", 3600)):
        if seconds < bound:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.1f} d"
