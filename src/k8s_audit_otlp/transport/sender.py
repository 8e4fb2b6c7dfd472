"""What every transport offers: to prepare a request, and to send it."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from threading import Thread
from typing import Protocol, TypeVar

from k8s_audit_otlp import __version__
from k8s_audit_otlp.model import Failure, Misconfigured, Outcome

T = TypeVar("T")
USER_AGENT = f"k8s-audit-otlp/{__version__}"
_CLOSE_S = 0.5


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


def close_all(senders: Iterable[Sender]) -> None:
    """Close senders at the end of the process, but wait for none that is stuck in a request.

    A pipe that nobody reads and the code of an SDK's exporter may take any time.
    """
    closing = [Thread(target=sender.close, daemon=True) for sender in senders]
    for thread in closing:
        thread.start()
    end = time.monotonic() + _CLOSE_S
    for thread in closing:
        thread.join(max(0.0, end - time.monotonic()))


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
