"""Protobuf that is written by hand is what the official library reads."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ScopeLogs

from k8s_audit_otlp.otlp import wire
from k8s_audit_otlp.otlp.record import encode_record, uid_of
from k8s_audit_otlp.otlp.resource import export_request
from tests.kit.delivery import body_of

values = st.one_of(
    st.text(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.lists(st.text(), max_size=4),
)


def value_of(value: AnyValue) -> Any:
    kind: Any = value.WhichOneof("value")
    found = getattr(value, kind)
    return [value_of(each) for each in found.values] if kind == "array_value" else found


@given(st.dictionaries(st.text(), values, max_size=6))
def test_attributes_read_back_with_their_types(attributes: Any) -> None:
    """Whatever the value, the official messages give it back."""
    record = LogRecord.FromString(wire.attributes(attributes))
    got = {pair.key: value_of(pair.value) for pair in record.attributes}
    assert got == attributes
    assert [type(v) for v in got.values()] == [type(v) for v in attributes.values()]


@given(st.integers(-(2**63), 2**63 - 1))
def test_integers_have_the_bytes_of_the_official_library(number: int) -> None:
    """A reader in Go refuses a varint of more than 64 bits, which others cut silently."""
    official = KeyValue(key="k", value=AnyValue(int_value=number)).SerializeToString()
    assert wire.attribute("k", number).endswith(official)


@given(st.text(), st.text(max_size=300))
def test_a_head_and_its_value_are_an_attribute(key: Any, value: Any) -> None:
    """What is joined from two pieces equals what is encoded in one."""
    text = value.encode()
    assert wire.string_head(key.encode(), len(text)) + text == wire.attribute(key, value)
    assert LogRecord.FromString(wire.body_head(len(text)) + text).body.string_value == value


@given(st.text(), st.text(max_size=300), st.dictionaries(st.text(), values, max_size=4), st.text())
def test_own_records_read_back(name: str, body: str, attributes: Any, uid: Any) -> None:
    """A notice is a record like any other, and names itself."""
    attributes = {**attributes, "log.record.uid": uid}
    encoded = encode_record(2**63, 7, 13, name, body, attributes)
    [record] = ScopeLogs.FromString(encoded).log_records
    assert (record.time_unix_nano, record.observed_time_unix_nano) == (2**63, 7)
    assert (record.severity_number, record.severity_text, record.event_name) == (13, "WARN", name)
    assert (uid_of(encoded), body_of(encoded)) == (uid, body)
    assert wire.time_of(encoded) == 2**63


def test_what_is_not_there_reads_back_as_nothing() -> None:
    """A record without uid, body or time is no trouble."""
    bare = wire.record_head(0)
    assert (uid_of(bare), body_of(bare), wire.time_of(bare)) == ("", "", 0)


@given(st.lists(st.text(max_size=200), max_size=5))
def test_a_request_holds_all_records_in_order(bodies: Any) -> None:
    """One resource, one scope, and the records as they came."""
    records = [encode_record(1, 2, 9, "n", body, {}) for body in bodies]
    resource = wire.delimited(wire.RESOURCE, wire.key_value(wire.RESOURCE_ATTRIBUTE, "a", "b"))
    scope = wire.delimited(wire.SCOPE, wire.text(wire.SCOPE_NAME, "s"))
    request = ExportLogsServiceRequest.FromString(export_request(resource, scope, records))
    [of_resource] = request.resource_logs
    [of_scope] = of_resource.scope_logs
    assert [record.body.string_value for record in of_scope.log_records] == bodies
    assert of_resource.resource.attributes[0].value.string_value == "b"
    assert of_scope.scope.name == "s"


def test_a_record_that_begins_without_a_time_has_none() -> None:
    """Else what stands first would be taken for one, and the record for too old."""
    bare = LogRecord(severity_text="INFO and nothing else", event_name="k8s.audit.event")
    assert wire.time_of(ScopeLogs(log_records=[bare]).SerializeToString()) == 0
    timed = LogRecord(time_unix_nano=5, severity_text="INFO")
    assert wire.time_of(ScopeLogs(log_records=[timed]).SerializeToString()) == 5
