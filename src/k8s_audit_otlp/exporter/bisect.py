"""Finds the refused records of a batch by bisection: which records the next request carries. Pure.

A record stays in `left` until it is accepted or set aside. One bad record among
500 costs about a dozen requests: nine halves, itself, one to show that the others pass, the rest.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import assert_never

from k8s_audit_otlp.exporter.retry_decisions import BatchProgress, Decision, Next, after
from k8s_audit_otlp.model import Misconfigured, Outcome, Retry

_GOLDEN = 0.6180339887498949  # its multiples spread over the batch: neighbours may share a fault


class Bisect:
    """The state of one batch on its way to one back end. Used by one thread."""

    def __init__(
        self, records: Sequence[bytes], on_cleared: Callable[[int], None] = lambda _: None
    ) -> None:
        """*on_cleared*: gets the size of a request that was refused as a whole.

        By now all that it carried is accepted in smaller requests.
        """
        self.left = list(records)
        self._on_cleared = on_cleared
        self.others_accepted = False  # since the last record was set aside
        self._singles_refused = 0  # single records refused in a row
        self._at = 0
        self._count = self._most = len(self.left)
        self._together = 0  # so many records at the front were refused in one request
        self._size = 0  # of that request
        self._failures = 0
        self._probes = 0
        self._smaller: dict[int, bytes] = {}  # what is sent instead of a record, by its `id`

    @property
    def part(self) -> list[bytes]:
        """The records that the next request carries, as they are sent."""
        records = self.left[self._at : self._at + self._count]
        return [self._smaller.get(id(one), one) for one in records] if self._smaller else records

    @property
    def single(self) -> bytes:
        """The record of a part that has no other, as it was before it was made smaller."""
        return self.left[self._at]

    def decide(
        self,
        outcome: Outcome,
        *,
        refused_in_a_row: int = 0,
        can_shrink: bool = False,
        out_of_time: bool = False,
    ) -> Decision:
        """Count an answer to the part; return what to do. The rest is as in `BatchProgress`."""
        if isinstance(outcome, Misconfigured) or (isinstance(outcome, Retry) and outcome.reached):
            self._failures += 1
        progress = BatchProgress(
            self._count,
            len(self.left),
            self._failures,
            self._singles_refused,
            self.others_accepted,
            refused_in_a_row,
            can_shrink,
            out_of_time,
        )
        return after(outcome, progress)

    def choose(self, part: Next, size: int, smaller: bytes | None = None) -> None:
        """Choose the next part after a request of *size* bytes.

        *smaller* is the single record, where it is made smaller.
        """
        match part:
            case Next.SAME | Next.GIVE_UP:
                pass
            case Next.REST:
                self._accepted()
            case Next.HALF:
                self._together, self._size = self._count, size
                self._choose_from_front()
            case Next.FEWER:
                self._together, self._most = 0, max(1, self._count // 2)
                self._choose_from_front()
            case Next.SHRUNK:
                assert smaller is not None  # noqa: S101 - the decision rests on it
                self._smaller[id(self.single)] = smaller
            case Next.PROBE:
                self._choose_single()
            case Next.ANOTHER:
                self._singles_refused += 1
                self._choose_single()
            case Next.SET_ASIDE:
                self._set_aside()
            case never:
                assert_never(never)

    def _set_aside(self) -> None:
        """Take the single record out that was refused."""
        del self.left[self._at]
        self._together = self._singles_refused = 0
        self._most = len(self.left)  # it was the record that was too large, not the request
        if self.others_accepted:
            self.others_accepted = False
            self._choose_from_front()
        else:
            self._choose_single()

    def _accepted(self) -> None:
        count = self._count
        del self.left[self._at : self._at + count]
        self.others_accepted, self._singles_refused = True, 0
        if self._together:  # and the part is at the front
            self._together -= count
            if not self._together:
                self._most = count
                self._on_cleared(self._size)
        self._choose_from_front()

    def _choose_single(self) -> None:
        self._together = 0
        self._probes += 1
        self._at = int(self._probes * _GOLDEN % 1 * len(self.left))
        self._count = 1

    def _choose_from_front(self) -> None:
        """Choose the part from the front: half of what was refused together, else all."""
        self._at = 0
        self._count = (self._together + 1) // 2 if self._together else len(self.left)
        self._count = max(1, min(self._count, self._most))


def deliver_now(
    records: Sequence[bytes], send: Callable[[Sequence[bytes]], Outcome]
) -> Iterator[tuple[list[bytes], Outcome]]:
    """Send *records* for whom somebody waits; yield them with what became of them.

    That is `Delivered` of a request, `Rejected` or `TooLarge` of a single record, and any other
    outcome of all that is left, where only waiting could help.
    """
    search = Bisect(records)
    while search.left:
        part = search.part
        outcome = send(part)
        step = search.decide(outcome)
        if step.wait:
            yield search.left, outcome
            return
        if step.next in (Next.REST, Next.SET_ASIDE):
            yield part, outcome
        search.choose(step.next, 0)
