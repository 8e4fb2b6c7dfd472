"""What every back end has, whatever its wire: a plan, the requests it saw, the records it took."""

import ast
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event, Lock
from types import TracebackType
from typing import Any, Self, TypeAlias

from tests.kit.backends import steps
from tests.kit.backends.received import Keep, Received
from tests.kit.backends.steps import ACCEPT, ReceivedRequest, Step

Plan: TypeAlias = Sequence[Step] | Callable[[ReceivedRequest], Step]

STEPS: dict[str, type] = {
    step.__name__: step
    for step in (
        *(steps.Accept, steps.Delay, steps.Refuse, steps.Throttle, steps.Hang, steps.Cut),
        *(steps.HalfClose, steps.PartialSuccess, steps.Poison, steps.Limit, steps.Redirect),
        *(steps.WrongContentType, steps.Slow, steps.EndlessBody, steps.GzipBomb),
        *(steps.HugeHeaders, steps.Mix),
    )
}


class Course:
    """A plan while it is carried out: hands out the step for each request."""

    def __init__(self, plan: Plan = ()) -> None:
        self._lock = Lock()  # guards _next
        self._next = 0
        self.plan = plan

    def step_for(self, request: ReceivedRequest) -> Step:
        if callable(self.plan):
            return self.plan(request)
        with self._lock:
            index = min(self._next, len(self.plan) - 1)
            self._next += 1
        return self.plan[index] if self.plan else ACCEPT


def parse_plan(text: str) -> list[Step]:
    """Read a plan as it stands in Python: `Throttle(503) * 3, Accept()`."""
    tree = ast.parse(f"[{text}]", mode="eval").body
    if not isinstance(tree, ast.List):
        raise ValueError(f"plan {text!r}: not a list of steps, such as Throttle(503) * 3, Accept()")  # noqa: TRY004 - the text is wrong, not its type
    parsed: list[Step] = []
    for node in tree.elts:
        match node:
            case ast.BinOp(left=left, op=ast.Mult(), right=ast.Constant(value=int(times))):
                parsed += [_evaluate(left)] * times
            case _:
                parsed.append(_evaluate(node))
    return parsed


def _evaluate(node: ast.expr) -> "Step":
    match node:
        case ast.Call(func=ast.Name(id=name)) if name in STEPS:
            arguments = [_argument(argument) for argument in node.args]
            named = {word.arg: _argument(word.value) for word in node.keywords if word.arg}
            step: Step = STEPS[name](*arguments, **named)
            return step
    raise ValueError(f"{ast.unparse(node)} is no step; the steps are {', '.join(sorted(STEPS))}")


def _argument(node: ast.expr) -> object:
    if isinstance(node, ast.Call):
        return _evaluate(node)
    if isinstance(node, ast.Tuple | ast.List):
        return [_argument(item) for item in node.elts]
    return ast.literal_eval(node)


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
