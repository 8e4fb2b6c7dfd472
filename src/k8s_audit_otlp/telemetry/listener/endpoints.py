"""What the telemetry listener answers: /, /status.json, /livez, /readyz and /metrics.

Imported when it starts, so an agent without an address does not pay for it. Nothing here changes
anything: there is only GET.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from k8s_audit_otlp.telemetry.health import Health, liveness, readiness
from k8s_audit_otlp.telemetry.listener.get_server import GetServer, Reply
from k8s_audit_otlp.telemetry.metrics.prometheus import CONTENT_TYPE
from k8s_audit_otlp.telemetry.page import document
from k8s_audit_otlp.telemetry.views import HealthView

_SAFE = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}


def status_server(
    address: str,
    *,
    metrics: Callable[[], str],
    health: Callable[[], HealthView],
    process: Callable[[], HealthView],
    status: Callable[[], Mapping[str, Any]],
) -> GetServer:
    """Return what listens at `host:port` once it is started.

    *process* touches no file: it is asked where a log on a dead mount must not hold up the answer.
    Each is asked a few times a second at most, however often the listener is.
    """
    text, policy = document()
    page = {"content-type": "text/html; charset=utf-8", "content-security-policy": policy, **_SAFE}
    scraped = {"content-type": CONTENT_TYPE}
    return GetServer(
        address,
        {
            "/": lambda: Reply(200, page, text),
            "/status.json": lambda: _json(status(), {"cache-control": "no-store", **_SAFE}),
            "/livez": lambda: _probe(liveness(process())),
            "/readyz": lambda: _probe(readiness(health())),
            "/metrics": lambda: Reply(200, scraped, metrics().encode()),
        },
    )


def _probe(health: Health) -> Reply:
    return _json(health.as_json(), {}, 200 if health.good else 503)


def _json(value: Mapping[str, Any], headers: Mapping[str, str], status: int = 200) -> Reply:
    body = json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
    return Reply(status, {"content-type": "application/json", **headers}, body)
