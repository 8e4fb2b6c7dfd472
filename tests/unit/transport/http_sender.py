"""Senders over HTTP that are closed at the end of a test."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from k8s_audit_otlp.model import Outcome
from k8s_audit_otlp.transport.http import HttpOptions, HttpSender
from tests.kit.backend import Backend

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def sender(
    backend: Backend, resource_scopes: dict[str, tuple[bytes, bytes]]
) -> Iterator[Callable[..., Any]]:
    """Make senders to the back end; they are closed at the end."""
    made = []

    def make(url: Any = None, **options: Any) -> Any:
        options.setdefault("timeout_s", 5.0)
        chosen = HttpOptions(lambda: url or backend.logs_url, **options)
        made.append(HttpSender(chosen, resource_scopes, now=lambda: NOW))
        return made[-1]

    yield make
    for one in made:
        one.close()


def post(sender: HttpSender, record: Callable[..., Any], *uids: Any) -> Outcome:
    return sender.send(sender.prepare("k8s_audit", [record(uid) for uid in uids or ("a",)]))
