"""Decides which records of a batch the next request carries, after what became of the last. Pure.

    whole     everything that is left, as far as the back end takes so much at once
    narrower  half of what was refused together, until a single record is found
    single    one record from anywhere in the batch: does the back end take anything at all?

A record stays in `left` until it is accepted or found. One bad record among 500 costs about a dozen
requests: nine halves, itself, one to show that the others pass, and the rest.
"""

from collections.abc import Sequence

SUSPICIOUS_AFTER = 5  # failures of one request before its records are suspected
_GOLDEN = 0.6180339887498949  # its multiples spread evenly: neighbours may share a fault


class Bisect:
    """The state of one batch on its way to one back end. Used by one thread."""

    def __init__(self, records: Sequence[bytes]) -> None:
        self.left = list(records)
        self.proven = False  # something was accepted since the last record was found
        self.tried = 0  # single records refused in a row
        self._at = 0
        self._count = self._most = len(self.left)
        self._together = 0  # so many records at the front were refused in one request
        self._size = 0  # of that request
        self._failures = 0
        self._turn = 0
        self._original: bytes | None = None

    @property
    def part(self) -> list[bytes]:
        """The records that the next request carries."""
        return self.left[self._at : self._at + self._count]

    @property
    def single(self) -> bytes:
        """The record of a part that has no other, as it was before it was made smaller."""
        return self._original or self.left[self._at]

    @property
    def suspected(self) -> bool:
        """The records may be at fault, though the answers did not say so."""
        return self._failures >= SUSPICIOUS_AFTER

    def accepted(self) -> int:
        """Take the part away.

        Returns the size of a request that was refused although all that it carried is accepted by
        now, in smaller requests; else 0.
        """
        count = self._count
        del self.left[self._at : self._at + count]
        self.proven, self.tried = True, 0
        cleared = 0
        if self._together and not self._at:
            self._together -= count
            if not self._together:
                cleared, self._most = self._size, count
        self._aim()
        return cleared

    def failed(self) -> None:
        """Note a failure that may pass."""
        self._failures += 1
        if self.suspected and len(self.left) > 1:
            self.ask_single()

    def refused_together(self, size: int) -> None:
        """Note that the records of the part, several, were refused in a request of *size* bytes."""
        self._together, self._size = self._count, size
        self._aim()

    def too_large(self) -> None:
        """Note that the part, several records, was too much for one request."""
        self._together = 0
        self._most = max(1, self._count // 2)
        self._aim()

    def replace(self, record: bytes) -> None:
        """Put a smaller *record* in the place of the single one that was refused."""
        self._original = self.single
        self.left[self._at] = record

    def set_aside(self) -> None:
        """Take the single record away that was refused: it is found."""
        del self.left[self._at]
        self._together = 0
        self._most = len(self.left)  # it was the record that was too large, not the request
        self.tried = 0
        if self.proven:
            self.proven = False
            self._aim()
        else:
            self.ask_single()

    def pass_over(self) -> None:
        """Leave the single record that was refused where it is and ask about another one."""
        self.tried += 1
        self.ask_single()

    def ask_single(self) -> None:
        self._together, self._original = 0, None
        self._turn += 1
        self._at = int(self._turn * _GOLDEN % 1 * len(self.left))
        self._count = 1

    def _aim(self) -> None:
        """Choose the part from the front: half of what was refused together, else all."""
        self._at, self._original = 0, None
        self._count = (self._together + 1) // 2 if self._together else len(self.left)
        self._count = max(1, min(self._count, self._most))
