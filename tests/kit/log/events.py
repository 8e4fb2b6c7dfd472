"""Makes the lines of a realistic audit log from a seed and a clock.

The keys stand in the order that kube-apiserver writes, `&`, `<` and `>` are escaped as Go does,
times have six digits. Both stages of a watch or an exec carry the same auditID; else it is unique.
"""

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson

from tests.kit.log.cluster import ALLOWED
from tests.kit.log.traffic import TRAFFIC, Draft

_DETAILED = frozenset({"NotFound", "Conflict", "Forbidden"})
OPEN_REQUESTS = 40  # watches and execs whose end is still to come
_ACTIVITIES = [activity for _, activity in TRAFFIC]
_WEIGHTS = [weight for weight, _ in TRAFFIC]
# An event whose body is redacted, with its newline.
SECRET = (
    b'{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"s",'
    b'"stage":"ResponseComplete","requestURI":"/api/v1/namespaces/a/secrets","verb":"create",'
    b'"user":{"username":"u"},"objectRef":{"resource":"secrets","namespace":"a"},'
    b'"requestObject":{"kind":"Secret","data":{"password":"c2VzYW1l"}},'
    b'"requestReceivedTimestamp":"2026-01-02T03:04:05.000000Z",'
    b'"stageTimestamp":"2026-01-02T03:04:05.000001Z"}\n'
)


class EventSource:
    """The events of one small cluster; the same seed and clock give the same lines."""

    def __init__(self, seed: int, clock: Callable[[], float] = time.time) -> None:
        self._rng = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self._clock = clock
        self._open: list[tuple[str, Draft]] = []

    def line(self) -> bytes:
        """Return the next event as one line of JSON, without a newline."""
        return self.event()[1]

    def event(self) -> tuple[str, bytes]:
        """Return the next event's auditID and line."""
        audit_id, draft = self._next()
        if draft.then:
            self._open.append((audit_id, draft.then))
        return audit_id, go_json(self._fill(audit_id, draft))

    def _next(self) -> tuple[str, Draft]:
        if len(self._open) > OPEN_REQUESTS or (self._open and self._rng.random() < 0.05):
            return self._open.pop(self._rng.randrange(len(self._open)))
        activity = self._rng.choices(_ACTIVITIES, _WEIGHTS)[0]
        return _uuid4(self._rng), activity(self._rng)

    def _fill(self, audit_id: str, draft: Draft) -> dict[str, Any]:
        actor = draft.actor
        event: dict[str, Any] = {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": draft.level,
            "auditID": audit_id,
            "stage": draft.stage,
            "requestURI": draft.uri,
            "verb": draft.verb,
            "user": actor.user() if actor else {},
        }
        if draft.impersonated:
            event["impersonatedUser"] = draft.impersonated
        event["sourceIPs"] = actor.ips if actor else ["198.51.100.7"]
        event["userAgent"] = actor.agent if actor else "python-requests/2.34.2"
        if draft.ref:
            event["objectRef"] = draft.ref
        event["responseStatus"] = status = _status(draft)
        if draft.request is not None:
            event["requestObject"] = draft.request
        if draft.response is not None:
            event["responseObject"] = draft.response
        elif draft.failure and draft.level == "RequestResponse":
            event["responseObject"] = {"kind": "Status", "apiVersion": "v1", **status}
        now = self._clock()
        took = draft.milliseconds * self._rng.uniform(0.5, 1.5) / 1000
        event["requestReceivedTimestamp"] = micro_time(now - took)
        event["stageTimestamp"] = micro_time(now)
        if actor:
            allowed = {**ALLOWED, "authorization.k8s.io/reason": actor.reason}
            event["annotations"] = dict(sorted({**allowed, **draft.annotations}.items()))
        return event


def go_json(value: Any) -> bytes:
    """Write JSON as Go's encoder does by default."""
    data = orjson.dumps(value)
    data = data.replace(b"&", rb"\u0026").replace(b"<", rb"\u003c").replace(b">", rb"\u003e")
    return data.replace("\u2028".encode(), rb"\u2028").replace("\u2029".encode(), rb"\u2029")


def micro_time(seconds: float) -> str:
    """Write a time as metav1.MicroTime does."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")[:26] + "Z"


def _status(draft: Draft) -> dict[str, Any]:
    status: dict[str, Any] = {"metadata": {}}
    if draft.failure:
        reason, message = draft.failure
        status |= {"status": "Failure", "message": message, "reason": reason}
        if draft.ref and reason in _DETAILED:
            parts = (("name", "name"), ("group", "apiGroup"), ("kind", "resource"))
            status["details"] = {key: draft.ref[of] for key, of in parts if of in draft.ref}
    status["code"] = draft.code
    return status


def _uuid4(rng: random.Random) -> str:
    digits = f"{rng.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"
