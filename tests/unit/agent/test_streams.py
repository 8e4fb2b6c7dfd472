"""Back ends that order a stream by time: who begins anew has a stream of its own."""

import re
import shutil

import pytest
from click.testing import CliRunner

from k8s_audit_otlp.cli import main
from tests.kit.agent import Fixture
from tests.kit.backend import Backend

NAMESPACE = "service.namespace"
_EVENT = re.compile(r"[0-9a-f]{16}-")


def block(url: str, labels: str = f"{{{NAMESPACE}: notices}}") -> str:
    return f"{{endpoint: {url}, audit: {{notice_resource: {labels}}}}}"


def streams(backend: Backend) -> list[str]:
    """Return where events went, in the order of their first."""
    found = (
        str(record.resource.get(NAMESPACE, ""))
        for record in backend.received.records
        if _EVENT.match(str(record.attributes.get("log.record.uid", "")))
    )
    return list(dict.fromkeys(found))


@pytest.fixture
def loki(fixture: Fixture) -> Fixture:
    fixture.exporters = f"otlp_http: {block(fixture.backend.url)}"
    return fixture


def test_a_stream_lasts_as_long_as_the_state(loki: Fixture) -> None:
    """Restarts go on in it; an empty state directory sends old events beside newer ones."""
    for _ in range(3):
        loki.write(5)
        loki.once()
    shutil.rmtree(loki.state)
    loki.once()
    first, second = streams(loki.backend)
    assert first != second
    assert re.fullmatch(r"k8s-audit-[0-9a-f]{8}", first)
    assert loki.backend.received.uids.total() == 30


def test_an_exporter_whose_position_is_forgotten_begins_another(loki: Fixture) -> None:
    """It sends everything again."""
    loki.write(5)
    loki.once()
    loki.exporters = f"otlp_http/other: {{endpoint: {loki.backend.url}}}"
    loki.once()
    forget = ["state", "forget", "otlp_http", "--state-dir", str(loki.state)]
    done = CliRunner().invoke(main, forget)
    assert done.exit_code == 0, done.output
    loki.exporters = f"otlp_http: {block(loki.backend.url)}"
    loki.once()
    first, plain, second = streams(loki.backend)
    assert plain == ""
    assert first != second


def test_what_is_configured_is_kept_in_the_name(loki: Fixture) -> None:
    """Who finds the events by their namespace finds them by its beginning."""
    loki.receiver = "resource: {service.namespace: prod}"
    loki.write(5)
    loki.once()
    [name] = streams(loki.backend)
    assert re.fullmatch(r"prod-[0-9a-f]{8}", name)


def test_exporters_that_are_alike_keep_their_streams_apart(loki: Fixture) -> None:
    """One that has begun later, and one that wants no stream of its own."""
    loki.write(5)
    loki.once()
    with Backend() as second, Backend() as third:
        loki.exporters += (
            f", otlp_http/b: {block(second.url)}, otlp_http/c: {block(third.url, '{}')}"
        )
        loki.write(5)
        loki.once()
        assert len({*streams(loki.backend), *streams(second), *streams(third)}) == 3
        assert streams(third) == [""]
