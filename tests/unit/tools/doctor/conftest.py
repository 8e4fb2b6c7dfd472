"""What the doctor's tests share: a log with events, a user who is not root, certificates."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.kit.backends.certificates import Authority


def event(seconds: float, **changes: Any) -> str:
    """Write an event of *seconds* since the epoch, as kube-apiserver does."""
    when = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
    when = when.replace("+00:00", "Z")
    return (
        '{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata",'
        f'"auditID":"{changes.get("audit_id", int(seconds * 1000))}","stage":"ResponseComplete",'
        '"requestURI":"/api","verb":"get","user":{"username":"u"},'
        f'"requestReceivedTimestamp":"{when}","stageTimestamp":"{when}"}}\n'
    )


@pytest.fixture
def events() -> Callable[..., Any]:
    """Make *count* events that end now, *apart* seconds apart."""

    def make(count: int = 200, apart: Any = 0.5, until: Any = None) -> Any:
        end = time.time() if until is None else until
        return "".join(event(end - apart * (count - 1 - n)) for n in range(count))

    return make


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an authority `ca.pem`, and certificates of it by their names."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = Authority(folder, days=400)
    authority.cert.rename(folder / "ca.pem")
    lives = {"good": (300, 0.1), "soon": (5, 0.1), "expired": (30, 1000)}
    for name, (days, age_days) in lives.items():
        pair = authority.issue(name, ("localhost", "127.0.0.1"), days=days, age_days=age_days)
        pair.cert.rename(folder / f"{name}.pem")
    return folder
