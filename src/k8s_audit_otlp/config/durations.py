"""Reads and writes durations and sizes as text. No I/O.

Durations are Go's (`300ms`, `1h30m`, `5s`), with `d` for days on top. Sizes are integers or
`64MiB` (powers of 1024) and `250KB` (powers of 1000).
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

# Go's time.ParseDuration: https://pkg.go.dev/time#ParseDuration. `d` is ours: retention is
# thought of in days.
_NANOSECONDS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # micro sign
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
}
_TERM = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h|d)")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_MAX_NS: Final = 2**63 - 1  # Go's int64 nanoseconds: 292 years

_PREFIXES: Final = tuple(enumerate("KMGT", 1))
# Kubernetes writes 64Mi, people write 64MB and 64MiB.
_BYTES: Final[Mapping[str, int]] = {
    "": 1,
    "b": 1,
    **{f"{prefix}b".lower(): 1000**power for power, prefix in _PREFIXES},
    **{f"{prefix}i".lower(): 1024**power for power, prefix in _PREFIXES},
    **{f"{prefix}ib".lower(): 1024**power for power, prefix in _PREFIXES},
}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)")


def parse_duration(text: str) -> float:
    """Return seconds. Raise ValueError with a hint when *text* is no duration."""
    return duration_ns(text) / 1e9


def duration_ns(text: str) -> int:
    stripped = text.strip()
    if stripped in {"0", "+0"}:
        return 0
    if _NUMBER.fullmatch(stripped):
        raise ValueError(f"{text!r} has no unit; write {stripped}s for seconds")
    if stripped.startswith("-"):
        raise ValueError(f"{text!r} is negative; write a duration such as 5s or 1h30m")
    body = stripped.removeprefix("+")
    if not body or _TERM.sub("", body):
        raise ValueError(f"{text!r} is not a duration; write one such as 300ms, 5s or 1h30m")
    total = sum(_term_ns(number, unit) for number, unit in _TERM.findall(body))
    if total > _MAX_NS:
        raise ValueError(f"{text!r} is longer than 292 years; write a shorter duration")
    return total


def _term_ns(number: str, unit: str) -> int:
    whole, _, fraction = number.partition(".")
    scale = _NANOSECONDS[unit]
    part = int(fraction) * scale // 10 ** len(fraction) if fraction else 0
    return int(whole or "0") * scale + part


def format_duration(seconds: float) -> str:
    """Return the shortest Go duration for *seconds*, to the nanosecond: 5400.0 is `1h30m`."""
    rest, text = round(seconds * 1e9), ""
    for unit in ("h", "m"):
        count, rest = divmod(rest, _NANOSECONDS[unit])
        text += f"{count}{unit}" if count else ""
    if rest:
        units = ("s",) if text else ("s", "ms", "us", "ns")
        unit = next((one for one in units if rest >= _NANOSECONDS[one]), units[0])
        text += f"{Decimal(rest) / _NANOSECONDS[unit]:f}{unit}"
    return text or "0s"


def parse_size(text: str | int) -> int:
    """Return bytes. Raise ValueError with a hint when *text* is no size."""
    match = _SIZE.fullmatch(str(text).strip())
    if match is None or match[2].lower() not in _BYTES:
        raise ValueError(f"{text!r} is not a size; write bytes or one such as 64MiB or 250KB")
    whole, _, fraction = match[1].partition(".")
    scale = _BYTES[match[2].lower()]
    return int(whole) * scale + (int(fraction) * scale // 10 ** len(fraction) if fraction else 0)


def format_size(size: int) -> str:
    """Return *size* with the largest unit that loses nothing: 67108864 is `64MiB`."""
    for power, prefix in reversed(_PREFIXES):
        if size and size % 1024**power == 0:
            return f"{size // 1024**power}{prefix}iB"
    return str(size)
