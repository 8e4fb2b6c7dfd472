"""Senders over gRPC that are closed at the end of a test."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from k8s_audit_otlp.model import Outcome
from k8s_audit_otlp.transport.grpc import GrpcSender
from tests.kit.backends.grpc_backend import GrpcBackend
from tests.kit.senders import grpc_sender


@pytest.fixture
def grpc_backend() -> Iterator[GrpcBackend]:
    with GrpcBackend() as running:
        yield running


@pytest.fixture
def sender(
    grpc_backend: GrpcBackend, resource_scopes: dict[str, tuple[bytes, bytes]]
) -> Iterator[Callable[..., Any]]:
    made = []

    def make(target: Any = None, **keys: Any) -> Any:
        made.append(grpc_sender(target or grpc_backend.target, resource_scopes, **keys))
        return made[-1]

    yield make
    for one in made:
        one.close()


def post(sender: GrpcSender, record: Callable[..., Any], *uids: Any) -> Outcome:
    return sender.send(sender.prepare("k8s_audit", [record(uid) for uid in uids or ("a",)]))
