"""A back end with a bound on structured metadata gets every event, however long a client's part."""

import json
from typing import Any

import pytest

from k8s_audit_otlp.config.vendors.preset import VENDORS
from tests.kit.agent import Fixture
from tests.kit.backends.metadata_limit import LimitMetadata

LONG: dict[str, Any] = {
    "path": {"requestURI": "/" + "p" * 90_000},
    "query": {"requestURI": "/api?" + "q" * 90_000},
    "agent": {"userAgent": "a" * 70_000},
    "groups": {"user": {"username": "u", "groups": [f"{n:049}" for n in range(2000)]}},
    "markup": {"user": {"username": "u", "groups": ["<" * 4000] * 20}},
    "name": {"objectRef": {"resource": "pods", "name": "n" * 90_000}},
}


def write(fixture: Fixture) -> None:
    with fixture.log.open("a") as file:
        for name, part in LONG.items():
            event = {
                "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
                "auditID": name, "stage": "ResponseComplete", "verb": "get", "requestURI": "/",
                "user": {"username": "u"}, "responseStatus": {"code": 200}, **part,
                "requestReceivedTimestamp": "2026-01-02T03:04:05.000000Z",
                "stageTimestamp": "2026-01-02T03:04:05.000001Z",
            }  # fmt: skip
            file.write(json.dumps(event) + "\n")


def deliver(fixture: Fixture, limits: str, deadline_s: float = 60.0) -> set[str]:
    write(fixture)
    fixture.backend.plan = [LimitMetadata()]
    exporter = f"{{endpoint: {fixture.backend.url}, audit: {{{limits}, profile: semconv}}}}"
    fixture.exporters = f"otlp_http: {exporter}"
    fixture.once(deadline_s)
    return {record.attributes["k8s.audit.id"] for record in fixture.backend.received.records}


def test_every_event_arrives_below_the_bound(fixture: Fixture) -> None:
    """Cut, and no dead letter."""
    assert deliver(fixture, "limits: {max_attributes_bytes: 56KiB}") == set(LONG)


@pytest.mark.parametrize("vendor", ["loki", "grafana-cloud"])
def test_every_event_arrives_with_the_limits_of_the_preset(fixture: Fixture, vendor: str) -> None:
    """As an installation with Loki has them."""
    limits = VENDORS[vendor].limits
    assert deliver(fixture, f"limits: {json.dumps(limits)}") == set(LONG)


def test_without_a_bound_a_client_keeps_its_events_out(fixture: Fixture) -> None:
    """Otherwise the tests above would show nothing."""
    assert deliver(fixture, "bodies: keep", deadline_s=2.0) < set(LONG)
