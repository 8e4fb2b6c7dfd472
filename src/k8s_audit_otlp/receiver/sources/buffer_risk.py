"""Tells when the buffer of an apiserver is about to lose events. Pure.

In batch mode an apiserver buffers 10,000 events and sends 400 at once, at most 10 times a second;
what does not fit into the buffer is dropped there, where nobody behind it can see it.

Source: k8s.io/apiserver/pkg/server/options/audit.go, defaultBatchBufferSize and the others.
"""

from collections import deque

BATCH_EVENTS = 400
MOST_EVENTS_PER_S = 4000.0  # 10 requests a second of 400 events
_NEAR = 0.8
_SPAN_S = 10.0
_LATE_S = 5.0  # a full batch is sent at once: older events in it have waited in the buffer
_VERY_LATE_S = 60.0  # another one after --audit-webhook-batch-max-wait, 30 s by default
_ALIKE = 3


class BufferRisk:
    """Watches the requests of one cluster; not thread-safe."""

    def __init__(self) -> None:
        self._recent: deque[tuple[float, int]] = deque()

    def note(self, events: int, newest_age_s: float | None, now_s: float) -> str:
        """Take note of a request; return what is to be warned of, '' as a rule.

        *newest_age_s*: how old the newest event of the request is.
        """
        self._recent.append((now_s, events))
        while self._recent[0][0] < now_s - _SPAN_S:
            self._recent.popleft()
        rate = sum(count for _, count in self._recent) / _SPAN_S
        if rate > _NEAR * MOST_EVENTS_PER_S:
            return (
                f"{rate:,.0f} events/s come, and one apiserver sends at most "
                f"{MOST_EVENTS_PER_S:,.0f} by default; raise --audit-webhook-batch-throttle-qps "
                "and --audit-webhook-batch-max-size"
            )
        if newest_age_s is not None and newest_age_s > (
            _LATE_S if self._is_full() else _VERY_LATE_S
        ):
            return (
                f"a request came {newest_age_s:.0f} s late: the apiserver's buffer fills, and "
                "it drops what does not fit; see apiserver_audit_error_total, raise "
                "--audit-webhook-batch-buffer-size"
            )
        return ""

    def _is_full(self) -> bool:
        """Say whether the last request held what the apiserver sends at once at most.

        Several of one size tell that --audit-webhook-batch-max-size is smaller than by default.
        """
        sizes = [events for _, events in self._recent][-_ALIKE:]
        last = sizes[-1]
        return last >= BATCH_EVENTS or (len(sizes) == _ALIKE and last > 1 and len(set(sizes)) == 1)
