"""Senders over HTTP that are closed at the end of a test."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from k8s_audit_otlp.model import Outcome
from k8s_audit_otlp.transport.http import HttpSender
from tests.kit.backends.backend import Backend
from tests.kit.senders import http_sender

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def sender(
    backend: Backend, resource_scopes: dict[str, tuple[bytes, bytes]]
) -> Iterator[Callable[..., Any]]:
    """Make senders to the back end; they are closed at the end."""
    made = []

    def make(url: Any = None, **keys: Any) -> Any:
        url = url or backend.logs_url
        made.append(http_sender(url, resource_scopes, now=lambda: NOW, **keys))
        return made[-1]

    yield make
    for one in made:
        one.close()


def post(sender: HttpSender, record: Callable[..., Any], *uids: Any) -> Outcome:
    return sender.send(sender.prepare("k8s_audit", [record(uid) for uid in uids or ("a",)]))
