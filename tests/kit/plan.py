"""How a back end behaves: a plan says for each request which step answers on the exchange.

    backend.plan = [Throttle(429, retry_after=1), Accept()]

A list is used up request by request, its last step holds for all that follow, an empty one
accepts. A function gets the request and returns the step.
"""

import ast
from collections.abc import Callable, Sequence
from threading import Lock
from typing import TypeAlias

from tests.kit import steps
from tests.kit.steps import ACCEPT, ReceivedRequest, Step

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
