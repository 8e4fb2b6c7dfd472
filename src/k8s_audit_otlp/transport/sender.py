"""What every transport offers: to prepare a request, and to send it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from k8s_audit_otlp import __version__
from k8s_audit_otlp.model import Failure, Misconfigured, Outcome

T = TypeVar("T")
USER_AGENT = f"k8s-audit-otlp/{__version__}"


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """Records made ready for one back end: `body` as it travels, `size` before compression."""

    body: bytes
    size: int
    receiver: str


class Sender(Protocol):
    """The transport of one back end."""

    def prepare(self, receiver: str, records: Sequence[bytes]) -> ExportRequest: ...

    def send(self, request: ExportRequest) -> Outcome:
        """Send *request* and say what became of it. Never raises for what the world may do."""

    def close(self) -> None: ...


class NotSentError(Exception):
    """Nothing was sent; `outcome` is what that means. The text is safe to print."""

    @property
    def outcome(self) -> Failure:
        return Misconfigured(str(self))


class UnreadableSettingError(NotSentError):
    """A setting that lives in a file cannot be read. The text names it, never its value."""


def read_setting(value: Callable[[], T], what: str) -> T:
    """Return a setting as of now.

    Raise UnreadableSettingError where its file is missing or cannot be read.
    """
    try:
        return value()
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        reason = error.strerror or type(error).__name__
        raise UnreadableSettingError(f"{what} cannot be read: {where}{reason}") from None
