"""What the stages between decode and encode may do with an event.

A stage takes the event and its JSON and gives None (as it was), a changed event, or its removal.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from k8s_audit_otlp.model import AuditEvent, ObjectRef, Status


class Transformed(NamedTuple):
    """An event that a stage changed; `attributes` say how (they are added to the record)."""

    event: AuditEvent
    body: bytes
    attributes: Mapping[str, str | bool | int | float | Sequence[str]]
    redacted: tuple[str, ...] = ()  # the rules that fired


class Bodies(NamedTuple):
    """A line whose bodies may leave; `said` is what its record says of them beside."""

    line: bytes | None = None  # None where it stays as it is
    said: Mapping[str, Sequence[str]] = {}
    redacted_values: Sequence[bytes] = ()  # pieces that a message of the same event may repeat


class Clean(Protocol):
    """Says of a part of an event whether it leaves as it is. Must not depend on other parts."""

    def find_doubtful(self, rows: bytes, doubt: Callable[[int, int], int]) -> None:
        """Call *doubt* with places around each row that may hold something; it gives its end.

        *rows*: paths, names and uids without signs, a line each.
        """

    @property
    def paths(self) -> Mapping[bytes, bool]: ...
    @property
    def queries(self) -> Mapping[bytes, bool]: ...
    @property
    def references(self) -> Mapping[bytes, bool]:
        """Judge names and other texts of objectRef."""

    def are_alone(self, about: ObjectRef) -> bool:
        """Tell whether the bodies of an object are judged by nothing else."""

    def stay(self, request: bytes, response: bytes) -> bool:
        """Tell quickly whether such bodies stay. *False* says only: redact them.

        Raises a msgspec error, as `bodies` does, for what is no JSON.
        """

    def answer_stays(self, around: bytes) -> bool:
        """Tell the same of an answer that says what responseStatus does, by the line around it."""

    def bodies(
        self,
        around: tuple[bytes, bytes, bytes],
        request: bytes,
        response: bytes,
        about: ObjectRef | str,
    ) -> Bodies | None:
        """Redact bodies; None where more must be looked at for them.

        *around*: what of the line is before, between and behind them. *about*: the object, or the
        URI where there is none.
        """

    def repeats(
        self, values: Sequence[bytes], status: Status | None, annotations: dict[str, str] | None
    ) -> bool: ...
    def are_free(self, values: bytes) -> bool:
        """Tell quickly that values hold nothing. *False* says only: look at each."""

    def member(self, name: bytes, value: bytes) -> bool: ...


class Dropped(NamedTuple):
    """An event that a policy rule took away."""

    rule: str


Transform: TypeAlias = Callable[[AuditEvent, bytes], Transformed | Dropped | None]

# The last argument is how many bytes the event's JSON may have.
Shrink: TypeAlias = Callable[[AuditEvent, bytes, int], Transformed]


def marks_of_shrinking(
    prefix: str, removed: tuple[str, ...], original_bytes: int
) -> dict[str, str | bool | int | float | Sequence[str]]:
    """Say in attributes that something was removed, what, and how large the whole was."""
    return {
        prefix + "truncated": True,
        prefix + "truncation.removed": removed,
        prefix + "truncation.original_bytes": original_bytes,
    }
