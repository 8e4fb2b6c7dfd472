"""What stands in for a secret."""

import hashlib
import hmac
import re
from typing import Final

MASK: Final = "REDACTED"
_HMAC_FORM = re.compile(r"hmac-[0-9a-f]{32}")
QUOTE: Final = re.compile(r"\\*(?:\"\"\"|'\'\'|[\"'`])")


class Replacement:
    """What stands in for a secret: one word, or a keyed hash that keeps equality comparable."""

    __slots__ = ("_key", "masks")

    def __init__(self, key: bytes | None) -> None:
        self._key = key
        self.masks = key is None

    def __call__(self, secret: str) -> str:
        if self._key is None or secret == MASK:
            return MASK
        if _HMAC_FORM.fullmatch(secret):
            return secret
        digest = hmac.new(self._key, secret.encode("utf-8", "surrogatepass"), hashlib.sha256)
        return f"hmac-{digest.hexdigest()[:32]}"


def in_quotes(value: str, replacement: Replacement) -> str:
    """Replace what is between quotes, however often they are escaped."""
    quote = QUOTE.match(value)
    if quote is None:
        return replacement(value)
    mark = quote[0]
    closed = len(value) >= 2 * len(mark) and value.endswith(mark)
    inner = value[len(mark) : -len(mark)] if closed else value[len(mark) :]
    return f"{mark}{replacement(inner) if inner else ''}{mark if closed else ''}"
