"""Every check of an exporter, against real servers: certificates, proxies, wrong keys."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.telemetry.views import ExporterView
from k8s_audit_otlp.tools.doctor.findings import State
from tests.kit.backends.backend import Backend
from tests.kit.backends.grpc_backend import GrpcBackend
from tests.kit.backends.steps import PartialSuccess, Refuse, Throttle
from tests.unit.tools.doctor.exporter_fixtures import (
    KEY,
    TABLE,
    asked,
    closed_port,
    endpoint_of,
    secure,
)

__all__ = ["asked", "closed_port", "secure"]


def test_keys_that_are_there_are_ok_and_not_shown(asked: Callable[..., Any]) -> None:
    """Only their names are."""
    verdict = asked("exporter.credentials", f"endpoint: 'http://h', headers: {{x-key: {KEY}}}")
    assert verdict.state is State.OK
    assert "x-key" in verdict.why
    assert KEY not in str(verdict)


def test_a_key_that_is_empty_fails(asked: Callable[..., Any]) -> None:
    """An unset variable is the most common reason."""
    keys = "endpoint: 'http://h', headers: {authorization: 'Bearer ${env:TOKEN:-}'}"
    verdict = asked("exporter.credentials", keys)
    assert verdict.state is State.FAIL
    assert "authorization" in verdict.why


@pytest.mark.parametrize("name", ["username", "password"])
def test_a_password_for_brokers_that_is_empty_fails(asked: Callable[..., Any], name: str) -> None:
    """As a header is."""
    words = {"username": "agent", "password": KEY}
    auth = "brokers: ['h:1'], topic: t, auth: {{sasl: {{mechanism: PLAIN, {}}}}}"
    for word, state in (("${env:NONE:-}", State.FAIL), (words[name], State.OK)):
        sasl = ", ".join(f"{k}: '{v}'" for k, v in {**words, name: word}.items())
        verdict = asked("exporter.credentials", auth.format(sasl), kind="kafka")
        assert verdict.state is state
        assert f"auth::sasl::{name}" in verdict.why
        assert KEY not in str(verdict)


def test_a_token_file_that_is_missing_fails(asked: Callable[..., Any], tmp_path: Path) -> None:
    """The file is named."""
    extensions = f"{{bearertokenauth: {{filename: {tmp_path}/token}}}}"
    keys = "endpoint: 'http://h', auth: {authenticator: bearertokenauth}"
    verdict = asked("exporter.credentials", keys, extensions=extensions)
    assert verdict.state is State.FAIL
    assert f"{tmp_path}/token" in verdict.why
    (tmp_path / "token").write_text(KEY)
    assert asked("exporter.credentials", keys, extensions=extensions).state is State.OK


def test_a_header_that_the_vendor_wants_fails_when_missing(asked: Callable[..., Any]) -> None:
    """Datadog takes nothing without its key."""
    keys = "endpoint: 'https://otlp.datadoghq.com', audit: {vendor: datadog}"
    verdict = asked("exporter.credentials", keys)
    assert verdict.state is State.FAIL
    assert "dd-api-key" in verdict.why


@pytest.mark.parametrize(
    ("ahead", "state", "said"),
    [
        (0, State.OK, "agree"),
        (90, State.WARN, "ahead of"),
        (-90, State.WARN, "behind"),
        (3600, State.FAIL, "3600 s"),
    ],
)
def test_clocks_are_compared(
    asked: Callable[..., Any], backend: Backend, ahead: int, state: State, said: str
) -> None:
    """With the Date of the back end's own answer; the logs' path is not asked."""
    verdict = asked("exporter.clock", endpoint_of(backend), now=lambda: time.time() + ahead)
    assert verdict.state is state
    assert said in verdict.why or ahead == 3600
    assert backend.totals()["records"] == 0


def test_the_clock_is_asked_over_tls_as_well(
    asked: Callable[..., Any], secure: Callable[..., Any]
) -> None:
    """Through the same handshake as the records."""
    with secure("good") as keys:
        assert asked("exporter.clock", keys).state is State.OK


@pytest.mark.parametrize(
    ("hours", "state"), [(1, State.OK), (10, State.WARN), (20, State.FAIL), (None, State.OK)]
)
def test_what_waits_is_compared_with_what_is_taken(
    asked: Callable[..., Any], hours: int | None, state: State
) -> None:
    """18 hours here; what is older is accepted by some and never shown."""
    oldest = 0 if hours is None else round((time.time() - hours * 3600) * 1e9)
    keys = "endpoint: 'http://h', audit: {limits: {max_age: 18h}}"
    assert asked("exporter.age", keys, oldest_ns=oldest).state is state
    assert asked("exporter.age", "endpoint: 'http://h'", oldest_ns=oldest).state is State.OK


@pytest.mark.parametrize(
    ("running", "state", "says"),
    [
        (ExporterView("x", trouble="misconfigured", trouble_at=9, error="HTTP 401"), "fail", "401"),
        (ExporterView("x", trouble="retryable", trouble_at=9, error="HTTP 503"), "warn", "503"),
        (ExporterView("x", stalled="the dead letter is full", error="full"), "fail", "full"),
        (ExporterView("x", acknowledged_at=10, trouble_at=9, error="HTTP 503"), "ok", "10 s ago"),
        (ExporterView("x"), "ok", "no answer yet"),
    ],
)
def test_what_a_running_agent_is_told_is_repeated(
    asked: Callable[..., Any], running: ExporterView, state: str, says: str
) -> None:
    """Whatever the other checks find: the doctor is asked first."""
    verdict = asked("exporter.agent", "endpoint: 'http://h'", running=running, now=lambda: 20.0)
    assert verdict.state == state
    assert says in verdict.why


def test_nothing_is_sent_unless_asked(asked: Callable[..., Any], backend: Backend) -> None:
    """No empty request either: some back ends take it for a broken one."""
    for name in TABLE:
        asked(name, endpoint_of(backend))
    assert backend.totals()["records"] == 0
    assert asked("exporter.send", endpoint_of(backend)).state is State.SKIPPED


def test_a_test_record_that_is_accepted_is_ok(asked: Callable[..., Any], backend: Backend) -> None:
    """It is marked, so that it can be found and told from events."""
    assert asked("exporter.send", endpoint_of(backend), send=True).state is State.OK
    (record,) = backend.received.notices
    assert record.attributes["k8s.audit.agent.test"] is True
    assert record.event_name == "k8s.audit.agent.test"


@pytest.mark.parametrize(
    ("step", "state", "said", "hint"),
    [
        (Refuse(401), State.FAIL, "HTTP 401", "expired key"),
        (Refuse(403), State.FAIL, "HTTP 403", "expired key"),
        (Refuse(404), State.FAIL, "HTTP 404", "compare the URL"),
        (Refuse(404, b"no 403 here"), State.FAIL, "no 403 here", "compare the URL"),
        (Refuse(400), State.FAIL, "HTTP 400", "vendors"),
        (Throttle(429), State.WARN, "429", "ask again"),
        (PartialSuccess(1), State.FAIL, "refused", "vendors"),
    ],
)
def test_the_answer_is_shown_with_a_hint(
    asked: Callable[..., Any],
    backend: Backend,
    step: PartialSuccess | Throttle | Refuse,
    state: State,
    said: str,
    hint: str,
) -> None:
    """A wrong key, a wrong path, a throttled tenant: each needs something else."""
    backend.plan = [step]
    keys = f"{endpoint_of(backend)}, headers: {{x-key: {KEY}}}"
    verdict = asked("exporter.send", keys, send=True)
    assert verdict.state is state
    assert said in verdict.why
    assert hint in verdict.hint
    assert KEY not in str(verdict)


def test_datakit_without_its_otlp_input_is_recognised(
    asked: Callable[..., Any], backend: Backend
) -> None:
    """It answers 404, and the input has to be switched on."""
    backend.plan = [Refuse(404)]
    verdict = asked("exporter.send", f"endpoint: '{backend.url}/otel'", send=True)
    assert verdict.state is State.FAIL
    assert "ENV_DEFAULT_ENABLED_INPUTS" in verdict.hint


def test_a_back_end_that_is_away_fails(asked: Callable[..., Any], closed_port: int) -> None:
    """And points to the checks that say where."""
    verdict = asked("exporter.send", f"endpoint: 'http://127.0.0.1:{closed_port}'", send=True)
    assert verdict.state is State.FAIL
    assert "exporter.tcp" in verdict.hint


def test_grpc_is_checked_as_well(asked: Callable[..., Any]) -> None:
    """Its address is written in many ways."""
    with GrpcBackend() as grpc:
        keys = f"endpoint: '127.0.0.1:{grpc.port}', tls: {{insecure: true}}"
        assert asked("exporter.tcp", keys, kind="otlp_grpc").state is State.OK
        assert asked("exporter.send", keys, kind="otlp_grpc", send=True).state is State.OK


def test_an_exporter_to_a_file_needs_no_network(asked: Callable[..., Any], tmp_path: Path) -> None:
    """Its checks of the network do not apply, the record is written."""
    keys = f"path: {tmp_path}/out.jsonl"
    assert asked("exporter.dns", keys, kind="otlp_file") is None
    assert asked("exporter.send", keys, kind="otlp_file", send=True).state is State.OK
    assert "k8s.audit.agent.test" in (tmp_path / "out.jsonl").read_text()
