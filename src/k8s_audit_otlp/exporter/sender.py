"""What every transport has in common: records in, a request; a request in, its outcome out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from k8s_audit_otlp.model import Outcome


@dataclass(frozen=True, slots=True)
class Request:
    """Records made ready for one back end: `body` as it travels, `size` before compression."""

    body: bytes
    size: int
    receiver: str


class Sender(Protocol):
    """The transport of one back end."""

    def prepare(self, receiver: str, records: Sequence[bytes]) -> Request: ...
    def send(self, request: Request) -> Outcome: ...
    def close(self) -> None: ...
