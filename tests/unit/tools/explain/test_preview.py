"""A preview counts what would be sent: the same records, the same requests, no event twice."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.config.audit_files import PolicyText
from k8s_audit_otlp.exporter.batcher import BatchLimits
from k8s_audit_otlp.tools.explain.preview import TOP, Preview
from k8s_audit_otlp.tools.explain.source import LogFiles
from k8s_audit_otlp.tools.explain.targets import without_config


@pytest.fixture
def preview(policy: Path) -> Callable[..., Any]:
    def run(path: Path, *, with_policy: Any = True, limits: Any = None) -> Any:
        policies = [PolicyText(policy.read_text(), "p.yaml")] if with_policy else []
        targets = [replace(t, limits=limits or t.limits) for t in without_config(policies)]
        seen = Preview(targets, b"", b"")
        for block in LogFiles.of(path).blocks(1, lambda _: None, 0):
            seen.take("", block)
        return seen.report([str(path)])

    return run


@pytest.fixture
def events(make: Callable[..., Any]) -> list[Any]:
    """Make events for every rule, and lines that hold none, several or half of one."""
    kinds = [
        make("watch", "system:kube-proxy"),
        make("get", resource="secrets"),
        make("create"),
        make("create", responseStatus={"code": 409}),
        make("get", resource=""),
        b"not an event",
        {"kind": "EventList", "items": [make("create"), make("get")]},
        make("create", auditID=7),
        make("create", user="\u00fc", requestReceivedTimestamp=None),
    ]
    return kinds * 20


def test_every_event_is_counted_under_its_rule(
    preview: Callable[..., Any], write: Callable[..., Any], events: list[Any], tmp_path: Path
) -> None:
    """The rules together are the log; what is not dropped is what the exporter receives."""
    report = preview(write(tmp_path / "audit.log", events))
    (view,) = report.views
    counts = {row.name: (row.events, row.dropped, row.lowered) for row in view.rules}
    assert counts == {
        "rule 1": (20, 20, 0),
        "rule 2": (20, 0, 20),
        "rule 3": (100, 20, 0),
        "rule 4": (20, 20, 0),
        "no rule": (20, 20, 0),
        "not an event": (20, 0, 0),
    }
    assert report.events == view.events == 200
    assert view.exporters[0].events == view.events - view.dropped == 120
    assert sum(row.events for row in view.noisy) == 200
    assert sum(row.sent_bytes for row in view.noisy) == view.sent_bytes


def test_bytes_are_those_of_the_requests(
    preview: Callable[..., Any], write: Callable[..., Any], events: list[Any], tmp_path: Path
) -> None:
    """Small requests cost more heads and compress less; records are the same."""
    path = write(tmp_path / "audit.log", events)
    whole, parts = preview(path), preview(path, limits=BatchLimits(max_records=2))
    large, small = whole.views[0].exporters[0], parts.views[0].exporters[0]
    assert (large.requests, small.requests) == (1, 60)
    assert large.events == small.events
    assert small.request_bytes > large.request_bytes > whole.views[0].sent_bytes
    assert small.wire_bytes > large.wire_bytes


def test_without_a_policy_everything_is_kept(
    preview: Callable[..., Any], write: Callable[..., Any], events: list[Any], tmp_path: Path
) -> None:
    """One row says so."""
    (view,) = preview(write(tmp_path / "audit.log", events), with_policy=False).views
    assert [(row.name, row.events) for row in view.rules] == [
        ("no policy", 180),
        ("not an event", 20),
    ]
    assert view.dropped == 0


def test_a_day_follows_from_the_times_in_the_log(
    preview: Callable[..., Any], write: Callable[..., Any], make: Callable[..., Any], tmp_path: Path
) -> None:
    """Not from when it is read; a log of one moment says nothing about a day."""
    first = make("create", stageTimestamp="2026-01-02T03:00:00.000000Z")
    last = make("create", stageTimestamp="2026-01-02T09:00:00.000000Z")
    report = preview(write(tmp_path / "audit.log", [last, first]))
    assert report.seconds == 6 * 3600
    assert report.per_day(report.events) == 8
    assert not report.short
    report = preview(write(tmp_path / "audit.log", [first]))
    assert report.per_day(1) is None
    assert report.short


def test_clients_cannot_make_the_table_grow(
    preview: Callable[..., Any], write: Callable[..., Any], make: Callable[..., Any], tmp_path: Path
) -> None:
    """Names by the thousand, and names without end."""
    rng = random.Random(1)  # noqa: S311 - repeatable, not secret
    users = [f"u{rng.getrandbits(64)}" for _ in range(500)] + ["x" * 5000]
    (view,) = preview(write(tmp_path / "audit.log", [make("create", u) for u in users])).views
    assert len(view.noisy) == TOP
    assert max(len(row.user) for row in view.noisy) < 300


def test_names_lose_their_secrets(
    preview: Callable[..., Any], write: Callable[..., Any], make: Callable[..., Any], tmp_path: Path
) -> None:
    """A token in a user name, a path or a verb is one."""
    token = (
        "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ."  # noqa: S105 - made up
        "eyJzdWIiOiJhYmNkZWZnaGlqa2xtIn0.c2lnbmF0dXJlMTIzNDU2"
    )
    uri = f"/healthz/{token}?access_token={token}"
    events = [make(token, token, resource="", requestURI=uri)]
    report = preview(write(tmp_path / "audit.log", events), with_policy=False)
    assert token[:12] not in str(report.as_json())


def test_kubelets_are_one_row(
    preview: Callable[..., Any], write: Callable[..., Any], make: Callable[..., Any], tmp_path: Path
) -> None:
    """A thousand nodes would hide what they cost together."""
    events = [make("create", f"system:node:worker-{n}") for n in range(9)]
    (view,) = preview(write(tmp_path / "audit.log", events)).views
    assert [(row.user, row.events) for row in view.noisy] == [("system:node:*", 9)]
