"""What a back end took is counted and kept as asked."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs

from tests.kit.backends.received import Received, count_records, leave_out


def test_records_are_kept_with_their_resource(export_request: Callable[..., Any]) -> None:
    """Body, attributes, times, severity and resource can be read back."""
    received = Received()
    received.add_body(export_request("a"))
    (record,) = received.records
    assert record.uid == "a"
    assert record.body == '{"auditID":"id-a"}'
    assert record.attributes == {"log.record.uid": "a", "auditID": "id-a"}
    assert record.resource == {"service.name": "k8s-audit"}
    assert (record.time_ns, record.severity_text) == (42, "INFO")


@pytest.mark.parametrize("keep", ["records", "uids"])
def test_repeats_are_counted_apart(export_request: Callable[..., Any], keep: Any) -> None:
    """A uid that came twice is one unique event and one duplicate."""
    received = Received(keep)
    received.add_body(export_request("a", "b"))
    received.add_body(export_request("b"))
    assert received.uids == {"a": 1, "b": 2}
    assert received.audit_ids == {"id-a": 1, "id-b": 1}
    assert received.duplicates == 1
    assert received.totals()["records"] == 3
    assert len(received.records) == (3 if keep == "records" else 0)


@pytest.mark.parametrize("keep", ["records", "uids"])
def test_notices_are_not_events(export_request: Callable[..., Any], keep: Any) -> None:
    """Gaps and receipts are kept whole and do not count as audit events."""
    received = Received(keep)
    received.add_body(export_request("a"))
    received.add_body(export_request("n", event_name="k8s.audit.gap"))
    assert received.uids == {"a": 1}
    assert [notice.uid for notice in received.notices] == ["n"]
    assert received.totals()["by_event_name"] == {"k8s.audit.event": 1, "k8s.audit.gap": 1}


def test_nothing_but_a_number_is_kept_when_asked(export_request: Callable[..., Any]) -> None:
    """The mode for benchmarks counts records and forgets them."""
    received = Received("nothing")
    assert received.add_body(export_request("a", "b", "c")) == 3
    assert received.totals()["records"] == 3
    assert not received.uids


@given(st.lists(st.lists(st.integers(0, 40), max_size=3), max_size=3), st.binary(max_size=300))
def test_counting_on_the_wire_agrees_with_the_official_parser(shape: Any, body: bytes) -> None:
    """Whatever the nesting and the sizes, the walk finds as many records as were written."""
    request = ExportLogsServiceRequest(
        resource_logs=[
            ResourceLogs(
                schema_url="url",
                scope_logs=[
                    ScopeLogs(log_records=[LogRecord(body=AnyValue(bytes_value=body))] * number)
                    for number in numbers
                ],
            )
            for numbers in shape
        ]
    )
    assert count_records(request.SerializeToString()) == sum(sum(numbers) for numbers in shape)


def test_chosen_records_are_left_out(export_request: Callable[..., Any]) -> None:
    """What remains is a request without those records."""
    received = Received()
    body = leave_out(
        export_request("a", "b", "c"), lambda index, record: index == 0 or b"c" in record
    )
    received.add_body(body)
    assert set(received.uids) <= {"b"}


def test_a_body_that_is_no_request_is_a_value_error() -> None:
    """Bytes that protobuf refuses are reported, not swallowed."""
    with pytest.raises(ValueError, match="no ExportLogsServiceRequest"):
        Received().add_body(b"\xff\xff\xff")


def test_waiting_in_vain_says_how_far_it_got(export_request: Callable[..., Any]) -> None:
    """The error of a wait names both numbers."""
    received = Received()
    received.add_body(export_request("a"))
    with pytest.raises(TimeoutError, match="1 of 2 events"):
        received.wait_for(2, timeout=0.01)


def test_uids_are_on_file_before_anyone_is_answered(
    export_request: Callable[..., Any], tmp_path: Path
) -> None:
    """Each event is a line of uid and auditID, written when it is taken."""
    received = Received("uids", tmp_path / "uids")
    received.add_body(export_request("a", "b"))
    assert (tmp_path / "uids").read_text() == "a\t'id-a'\nb\t'id-b'\n"
    received.close()
