"""Detects when the webhook buffer of an apiserver is about to lose events. Pure.

In batch mode an apiserver buffers 10,000 events and sends 400 at once, at most 10 times a second;
what does not fit into the buffer is dropped there, where nobody behind it can see it. A buffer that
fills sends full requests, one after another, and what is in them is late and does not catch up.
Old events alone say nothing: they are replayed, or repeated, or a clock is wrong.

Source: k8s.io/apiserver/pkg/server/options/audit.go, defaultBatchBufferSize and the others.
"""

from collections import deque
from typing import NamedTuple

MOST_EVENTS_PER_S = 4000.0  # 10 requests a second of 400 events
_NEAR = 0.8
_SPAN_S = 10.0
_LATE_S = 5.0
_MAX_WAIT_S = 30.0  # --audit-webhook-batch-max-wait: so late is a request that is not full
_VERY_LATE_S = 60.0  # of the 81 s within which an apiserver repeats a request
_NO_BUFFER_S = 300.0  # no buffer makes events so late, nor five tries that time out
_KEPT = 12  # requests, as several apiservers may send as one cluster
_ALIKE = 3
_CATCHING_UP_S = 1.0


class _WebhookRequest(NamedTuple):
    at_s: float
    events: int
    age_s: float | None  # of its newest event


class BufferRisk:
    """Watches the requests of one cluster; not thread-safe."""

    def __init__(self) -> None:
        self._recent: deque[_WebhookRequest] = deque()
        self._last: deque[_WebhookRequest] = deque(maxlen=_KEPT)

    def note(self, events: int, newest_age_s: float | None, now_s: float) -> str:
        """Take note of a request; return what is to be warned of, '' as a rule.

        *newest_age_s*: how old the newest event of the request is.
        """
        usual = self._usual_s()
        late = 0.0 if newest_age_s is None else newest_age_s - usual
        self._last.append(_WebhookRequest(now_s, events, newest_age_s))
        if late > _NO_BUFFER_S:
            return ""
        self._recent.append(self._last[-1])
        while self._recent[0].at_s < now_s - _SPAN_S:
            self._recent.popleft()
        rate = sum(one.events for one in self._recent) / _SPAN_S
        if rate > _NEAR * MOST_EVENTS_PER_S:
            return (
                f"{rate:,.0f} events/s come, and one apiserver sends at most "
                f"{MOST_EVENTS_PER_S:,.0f} by default; raise --audit-webhook-batch-throttle-qps "
                "and --audit-webhook-batch-max-size"
            )
        if late > _LATE_S and self._fills(events, usual):
            return (
                f"full requests come {late:.0f} s late: the apiserver's buffer fills, and "
                "it drops what does not fit; see apiserver_audit_error_total, raise "
                "--audit-webhook-batch-buffer-size"
            )
        if late > _VERY_LATE_S:
            return (
                f"a request came {late:.0f} s late: the apiserver has repeated it, and drops what "
                "fails for some 81 s; see apiserver_audit_error_total (or it was replayed, or "
                "the clocks differ)"
            )
        return ""

    def _most(self) -> int:
        return max((one.events for one in self._last), default=0)

    def _usual_s(self) -> float:
        """Return how late requests are that no buffer holds up, because they are not full."""
        most = self._most()
        ages = [one.age_s for one in self._last if one.age_s is not None and one.events < most]
        least = min(ages[-_ALIKE:], default=0.0)
        return least if least > _MAX_WAIT_S else 0.0

    def _fills(self, events: int, usual_s: float) -> bool:
        """Say whether full requests are late, one after another, and do not catch up.

        Full are those of one size, the most there is: --audit-webhook-batch-max-size.
        """
        full = [one.age_s or 0.0 for one in self._last if one.events == self._most() > 1]
        return (
            events == self._most()
            and len(full) >= _ALIKE
            and min(full[-_ALIKE:]) - usual_s > _LATE_S
            and full[-1] >= full[-_ALIKE] - _CATCHING_UP_S
        )
