"""Each record lies in the stream of its hour, whatever the order in which they come."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.sdk.resources import Resource

from k8s_audit_otlp.otlp.hourly_scopes import HourlyScopes, request_of
from k8s_audit_otlp.otlp.record import encode_record
from k8s_audit_otlp.otlp.resource import encode_scope

NAMESPACE = "service.namespace"
HOUR_NS = 3600 * 10**9
SCOPE = encode_scope("k8s-audit-otlp", "1")
times = st.one_of(
    st.integers(0, 2**63 - 1), st.integers(0, 5).map(lambda n: 1_767_225_600 * 10**9 + n * HOUR_NS)
)


def scopes(**attributes: str) -> HourlyScopes:
    return HourlyScopes({"k8s_audit": Resource({"a": "b", **attributes})}, SCOPE, NAMESPACE)


def parted(hourly: HourlyScopes, taken: list[int]) -> list[tuple[str, int]]:
    """Return the stream and the time of each record of a request."""
    records = [encode_record(time, 0, 9, "e", "{}", {}) for time in taken]
    request = ExportLogsServiceRequest.FromString(request_of(hourly, "k8s_audit", records))
    found = []
    for part in request.resource_logs:
        named = {a.key: a.value.string_value for a in part.resource.attributes}
        assert named["a"] == "b"
        for scope in part.scope_logs:
            assert scope.scope.name == "k8s-audit-otlp"
            found += [(named[NAMESPACE], record.time_unix_nano) for record in scope.log_records]
    return found


@given(st.lists(times, min_size=1, max_size=30))
def test_a_stream_holds_events_of_one_hour(taken: list[int]) -> None:
    """None of them can be an hour behind another; none is left out, and the order in one stays."""
    found = parted(scopes(), taken)
    hours = list(dict.fromkeys(time // HOUR_NS for time in taken))
    assert [time for _, time in found] == sorted(
        taken, key=lambda time: hours.index(time // HOUR_NS)
    )
    for stream, time in found:
        hour = datetime.fromtimestamp(time // HOUR_NS * 3600, UTC)
        assert stream == f"k8s-audit-{hour:%Y-%m-%dT%H}"


def test_what_is_configured_is_kept_in_the_name() -> None:
    """Who finds the events by their namespace finds them by its beginning."""
    named = scopes(**{NAMESPACE: "prod"})
    assert parted(named, [1_767_323_045 * 10**9]) == [("prod-2026-01-02T03", 1_767_323_045 * 10**9)]


def test_records_of_one_hour_have_one_resource() -> None:
    """A request is hardly longer than without."""
    records = [encode_record(n * 10**9, 0, 9, "e", "{}", {}) for n in range(100)]
    hourly = scopes()
    plain = request_of({"k8s_audit": hourly["k8s_audit"]}, "k8s_audit", records)
    assert len(request_of(hourly, "k8s_audit", records)) - len(plain) < 80


def test_hours_that_alternate_have_one_resource_each() -> None:
    """At the full hour events of both stand side by side, and the request is hardly longer."""
    records = [encode_record(n % 2 * HOUR_NS + n, 0, 9, "e", "{}", {}) for n in range(100)]
    request = ExportLogsServiceRequest.FromString(request_of(scopes(), "k8s_audit", records))
    assert len(request.resource_logs) == 2
