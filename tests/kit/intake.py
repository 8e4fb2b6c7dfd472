"""What every back end has, whatever its wire: a plan, the requests it saw, the records it took."""

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from threading import Event, Lock
from types import TracebackType
from typing import Any, Self

from tests.kit.plan import Course, Plan
from tests.kit.received import Keep, Received
from tests.kit.steps import ReceivedRequest, Step

REQUESTS_KEPT = 100_000  # a test looks at the latest ones; without their bodies they are small


class Intake(ABC):
    """The part of a back end that its wire does not change. Subclasses start and stop."""

    def __init__(
        self, plan: Plan = (), keep: Keep = "records", uids_file: Path | None = None
    ) -> None:
        self.received = Received(keep, uids_file)
        self.requests: deque[ReceivedRequest] = deque(maxlen=REQUESTS_KEPT)  # bodies left out
        self.requests_total = 0
        self.bytes_total = 0  # on the wire
        self.closing = Event()
        self._course = Course(plan)
        self._lock = Lock()  # guards the totals and the requests

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url} requests={self.requests_total} {self.received}>"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self.received.close()

    @property
    @abstractmethod
    def url(self) -> str: ...

    @abstractmethod
    def start(self) -> None: ...

    @abstractmethod
    def stop(self) -> None: ...

    @property
    def plan(self) -> Plan:
        return self._course.plan

    @plan.setter
    def plan(self, plan: Plan) -> None:
        self._course = Course(plan)

    def wait_for(self, n_unique: int, timeout: float = 60.0) -> None:
        """Return once so many different audit events are here; TimeoutError says how far it got."""
        self.received.wait_for(n_unique, timeout)

    def wait_for_requests(self, number: int, timeout: float = 60.0) -> None:
        """Return once so many requests were read; TimeoutError says how far it got."""
        deadline = time.monotonic() + timeout
        while self.requests_total < number:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.requests_total} of {number} requests after {timeout} s")
            time.sleep(0.005)

    def totals(self) -> dict[str, Any]:
        with self._lock:
            totals = {"requests": self.requests_total, "bytes": self.bytes_total}
        return {**totals, **self.received.totals()}

    def arrived(
        self, path: str, headers: Mapping[str, str], wire_bytes: int, body: bytes
    ) -> ReceivedRequest:
        """Count one request; called by the thread that read it."""
        with self._lock:
            self.requests_total += 1
            self.bytes_total += wire_bytes
            request = ReceivedRequest(self.requests_total, path, headers, wire_bytes, body)
            self.requests.append(replace(request, body=b""))
        return request

    def step_for(self, request: ReceivedRequest) -> Step:
        return self._course.step_for(request)
