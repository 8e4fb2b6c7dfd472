"""The event comes out of every frame as the apiserver wrote it."""

import base64
import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.event.decode import decode
from k8s_audit_otlp.event.formats import FORMATS, detect, is_audit, unwrap
from k8s_audit_otlp.event.frames import Framed
from k8s_audit_otlp.event.gke import TRANSLATED

EVENT = b'{"kind":"Event","auditID":"a","verb":"get","requestURI":"/a\\u00e9 \\"b\\""}'
TEXT = EVENT.decode()
TIME = "2026-01-02T03:04:05.678901234Z"


def dumped(value: object) -> bytes:
    return json.dumps(value).encode()


def zipped(value: object) -> str:
    return base64.b64encode(gzip.compress(dumped(value))).decode()


SUBSCRIPTION = {
    "messageType": "DATA_MESSAGE",
    "logEvents": [{"id": "1", "timestamp": 1, "message": TEXT}, {"id": "2", "message": "I0102 x"}],
}
AZURE = {"category": "kube-audit", "properties": {"log": TEXT, "stream": "stdout", "pod": "p"}}
# As `gcloud pubsub subscriptions pull --format json` and the answer of its REST API have it
PULLED = {"ackId": "x", "message": {"data": base64.b64encode(EVENT).decode(), "messageId": "1"}}
CASES = [
    ("cri", f"{TIME} stdout F {TEXT}".encode(), [TEXT]),
    ("cri", f"{TIME} stderr F I0102 text".encode(), ["I0102 text"]),
    ("docker", dumped({"log": TEXT + "\n", "stream": "stdout", "time": TIME}), [TEXT + "\n"]),
    ("journald", dumped({"MESSAGE": TEXT, "_PID": "1"}), [TEXT]),
    ("journald", dumped({"MESSAGE": list(EVENT)}), [TEXT]),
    ("cloudwatch", dumped({"message": TEXT, "timestamp": 1}), [TEXT]),
    ("cloudwatch", dumped({"@message": TEXT, "@timestamp": "1"}), [TEXT]),
    ("cloudwatch", dumped(SUBSCRIPTION), [TEXT, "I0102 x"]),
    ("cloudwatch", dumped({"messageType": "CONTROL_MESSAGE", "logEvents": []}), []),
    ("cloudwatch", f"2026-01-02T03:04:05.678Z {TEXT}".encode(), [TEXT]),
    ("azure", dumped({"records": [AZURE, AZURE]}), [TEXT, TEXT]),
    ("azure", dumped(AZURE), [TEXT]),
    ("azure", dumped({**AZURE, "properties": json.dumps({"log": TEXT})}), [TEXT]),
    ("firehose", dumped({"records": [{"data": zipped(SUBSCRIPTION)}]}), [TEXT, "I0102 x"]),
    ("firehose", dumped({"Records": [{"kinesis": {"data": zipped({"message": TEXT})}}]}), [TEXT]),
    ("firehose", dumped({"receivedMessages": [PULLED, PULLED]}), [TEXT, TEXT]),
    ("firehose", dumped([PULLED]), [TEXT]),
    ("azure", dumped([AZURE, 7, AZURE]), [TEXT, TEXT]),
    ("azure", dumped(AZURE) + b",", [TEXT]),
    ("docker", b" " + dumped({"log": TEXT, "stream": "stdout", "logtag": "F"}) + b",\r", [TEXT]),
    ("cri", f"{TIME} stdout F {TEXT},".encode(), [TEXT + ","]),
    ("azure", dumped({"records": [{"Category": "kube-audit", "log_s": TEXT}]}), [TEXT]),
    ("azure", dumped({"Records": [{**AZURE, "category": "kube-audit-admin"}]}), [TEXT]),
    ("docker", dumped({"log": TEXT, "kubernetes": {"pod_name": "p"}}), [TEXT]),
    ("docker", dumped({"log": TEXT, "stream": "stdout", "logtag": "F"}), [TEXT]),
    ("docker", dumped({"log": f"{TIME} stdout F {TEXT}"}), [TEXT]),
    ("journald", dumped({"MESSAGE": ["I0102 x", TEXT]}), ["I0102 x", TEXT]),
    ("journald", dumped({"MESSAGE": [list(EVENT), list(b"x")]}), [TEXT, "x"]),
    ("cloudwatch", b'{"message":' + EVENT + b"}", [TEXT]),
    ("rancher", dumped({"auditLog": TEXT}), [TEXT]),
    ("cloudwatch", dumped({"events": SUBSCRIPTION["logEvents"]}), [TEXT, "I0102 x"]),
    ("firehose", zipped(SUBSCRIPTION).encode(), [TEXT, "I0102 x"]),
    ("firehose", base64.b64encode(gzip.compress(EVENT)), [TEXT]),
    ("member", dumped({"event": {"original": TEXT}}), [TEXT]),
    ("member", dumped({"_source": {"log": {"original": 1}, "audit": json.loads(EVENT)}}), None),
    ("audit", EVENT, [TEXT]),
    ("audit", b"plain text", ["plain text"]),
    ("audit", dumped({"auditID": "a", "message": "an event that nobody has framed"}), None),
]


@pytest.mark.parametrize(("name", "line", "texts"), CASES)
def test_a_frame_is_known_and_taken_off(name: str, line: bytes, texts: list[str] | None) -> None:
    """`auto` finds the format by the line alone; the texts come out byte for byte."""
    assert detect(line) == name
    if texts is not None:
        found = unwrap(line, name)
        assert [one.text.decode() for one in found] == texts
        assert not any(one.more for one in found)


@pytest.mark.parametrize(
    "line",
    [
        b'rest of a torn line "x" ' + EVENT,  # a record must say that something was there
        b'"verb":"get"} ' + EVENT,
        b'words {"a":1}',
        b'{"a":1} {"b":2}',
        b'{"kind":"Event","requestObject":{"kind":"Event","auditID":"not its own"}}',
        b'{"level":"Metadata","kind":"Event","requestObject":' + EVENT + b"}",
        b'{"kind":"EventList","items":[' + EVENT + b"]}",
    ],
)
def test_what_is_no_frame_is_left_to_who_reads_lines(line: bytes) -> None:
    """Nothing of it is taken off, and no body for an event."""
    assert detect(line) == "audit"


def test_of_an_object_with_two_copies_one_is_taken() -> None:
    assert [one.text for one in unwrap(dumped({"a": TEXT, "b": TEXT}), "member")] == [EVENT]


ODD: list[object] = [
    {"category": "guard", "time": "x"},
    {"category": "guard", "data": "abcd"},
    {"category": "guard", "data": {"a": 1}, "log": [1], "stream": 7},
    {"category": "guard", "properties": "plain text"},
    {"category": "guard", "properties": [1]},
    {"category": 3, "properties": {"log": 4}},
    "a text",
    None,
]


@pytest.mark.parametrize("odd", ODD, ids=repr)
@pytest.mark.parametrize("first", [True, False])
def test_a_record_of_another_kind_costs_no_event_of_its_batch(odd: object, *, first: bool) -> None:
    """An Event Hub takes logs of every category, in one batch."""
    records = [odd, AZURE] if first else [AZURE, odd]
    line = dumped({"records": records})
    assert detect(line) == "azure"
    found = unwrap(line, "azure")
    assert EVENT in [one.text for one in found]
    assert len({one.at for one in found}) == len(found)


def test_a_broken_record_costs_no_event_of_its_neighbours() -> None:
    """Of a subscription, and of what Firehose has packed."""
    line = dumped({"logEvents": [7, {"message": TEXT}, {"message": None}]})
    assert EVENT in [one.text for one in unwrap(line, detect(line))]
    broken = base64.b64encode(b"\x1f\x8b and no gzip").decode()
    line = dumped({"records": [{"data": broken}, {"data": zipped(SUBSCRIPTION)}, {"data": "?"}]})
    assert EVENT in [one.text for one in unwrap(line, detect(line))]


def test_events_of_one_packed_record_have_places_of_their_own() -> None:
    """A place makes a uid: two events with one would be one to whoever counts them."""
    many = {"logEvents": [{"message": TEXT.replace('"a"', f'"a{n}"')} for n in range(50)]}
    line = dumped({"records": [{"data": zipped(many)}, {"data": zipped(many)}]})
    found = unwrap(line, "firehose")
    assert len({one.at for one in found}) == len(found) == 100
    assert all(0 <= one.at < len(line) for one in found)


@pytest.mark.parametrize("before", [b"\xef\xbb\xbf", b"  \t"])
@pytest.mark.parametrize("line", [line for name, line, _ in CASES if name != "audit"])
def test_a_byte_order_mark_before_a_frame_is_passed_over(before: bytes, line: bytes) -> None:
    """What has gone through a tool of Windows begins with one; places count it."""
    name = detect(line)
    assert detect(before + line) == name
    moved = [one._replace(at=one.at + len(before)) for one in unwrap(line, name)]
    assert unwrap(before + line, name) == moved


def test_objects_in_a_frame_are_left_as_they_are_written() -> None:
    """Spaces and escapes included: the body of the record is the event's own text."""
    line = b'{"records":[{"properties":{"log": {"auditID" : "\\u0061"}}}]}'
    assert unwrap(line, "azure") == [Framed(b'{"auditID" : "\\u0061"}', 12, b"||", more=None)]
    assert unwrap(b'{"auditLog":{"auditID" : "x"}}', "rancher")[0].text == b'{"auditID" : "x"}'


def test_pieces_say_that_they_go_on() -> None:
    """A container runtime cuts long lines; each stream is cut by itself."""
    line = f"{TIME} stdout P {TEXT[:20]}".encode()
    assert unwrap(line, "cri") == [Framed(EVENT[:20], 0, b"stdout", more=True)]
    line = dumped({"log": TEXT[:20], "stream": "stderr", "time": TIME})
    assert unwrap(line, "docker") == [Framed(EVENT[:20], 0, b"stderr", more=True)]


@pytest.mark.parametrize("last", ["true", "false"])
def test_the_driver_for_fluentd_says_which_piece_is_the_last(last: str) -> None:
    """Its texts have no line breaks; the id tells the lines of a container apart."""
    line = dumped(
        {
            "log": TEXT[9:],
            "source": "stdout",
            "container_id": "c",
            "partial_message": "true",
            "partial_id": "p",
            "partial_last": last,
        }
    )
    (one,) = unwrap(line, detect(line))
    assert one == Framed(EVENT[9:], 0, b'"c""p"', more=last == "false")


def test_googles_format_is_translated_and_says_so() -> None:
    """What it does not have is not made up."""
    entry = {
        "insertId": "id1",
        "timestamp": "2026-01-02T03:04:05.678901Z",
        "labels": {"authorization.k8s.io/decision": "allow"},
        "protoPayload": {
            "methodName": "io.k8s.core.v1.pods.exec.create",
            "resourceName": "core/v1/namespaces/shop/pods/web/exec",
            "authenticationInfo": {"principalEmail": "ada@example.com"},
            "requestMetadata": {"callerIp": "192.0.2.7", "callerSuppliedUserAgent": "kubectl"},
            "status": {"code": 7, "message": "forbidden"},
            "request": {"a": 1},
        },
    }
    line = dumped(entry)
    assert detect(line) == "gke"
    event = decode(unwrap(line, "gke")[0].text)
    assert (event.audit_id, event.verb, event.source_ips) == ("id1", "create", ("192.0.2.7",))
    assert event.user
    assert event.user.username == "ada@example.com"
    assert event.object_ref
    assert (event.object_ref.namespace, event.object_ref.resource) == ("shop", "pods")
    assert (event.object_ref.name, event.object_ref.subresource) == ("web", "exec")
    assert event.response_status
    assert event.response_status.code == 403
    assert json.loads(bytes(event.request_object)) == {"a": 1}
    assert event.annotations
    assert event.annotations["k8s-audit-otlp/translated-from"] == "protoPayload"


@pytest.mark.parametrize(
    ("text", "known"),
    [
        (EVENT, True),
        (EVENT[:40], True),
        (b'  {"level":"Metadata","auditID":"x"}', True),
        (b'{"level":"info","msg":"started"}', False),
        (b"I0102 03:04:05 server.go] started", False),
        (b"", False),
    ],
)
def test_an_event_is_told_from_other_lines_of_a_container(text: bytes, *, known: bool) -> None:
    """A torn event is one too: the record says what could not be read."""
    assert is_audit(text) == known


@given(line=st.binary(max_size=200), name=st.sampled_from([*FORMATS, "audit"]))
def test_no_line_is_too_strange(line: bytes, name: str) -> None:
    """Nothing raises, whatever is tried as whatever."""
    assert detect(line) in {*FORMATS, "audit"}
    unwrap(line, name)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["log", "records", "Records", "data", "kinesis", "properties", "message", "logEvents",
             "MESSAGE", "auditLog", "protoPayload", "category", "messageType", "stream"]
        ),
        inner,
        max_size=3,
    ),
    max_leaves=8,
)  # fmt: skip


@given(value=JSON, name=st.sampled_from([*FORMATS, "auto"]))
def test_no_frame_is_too_strange(value: object, name: str) -> None:
    """Members of any type and depth."""
    line = dumped(value)
    unwrap(line, detect(line) if name == "auto" else name)


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize("batch", [False, True])
def test_the_columns_of_azures_table_are_an_event_that_says_so(
    *, as_text: bool, batch: bool
) -> None:
    """A table that is exported holds no event as it was written; some exports write texts."""
    event = {
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Request", "auditID": "a",
        "stage": "ResponseComplete", "requestURI": "/api", "verb": "create",
        "user": {"username": "me"}, "sourceIPs": ["192.0.2.1"], "userAgent": "kubectl",
        "objectRef": {"resource": "pods"}, "responseStatus": {"code": 201},
        "requestObject": "skipped-too-big-size-object",
        "requestReceivedTimestamp": TIME, "stageTimestamp": TIME,
        "annotations": {"x": "y", TRANSLATED: "AKSAudit"},
    }  # fmt: skip
    names = {"auditID": "AuditId", "requestURI": "RequestUri", "sourceIPs": "SourceIps",
             "requestReceivedTimestamp": "RequestReceivedTime",
             "stageTimestamp": "StageReceivedTime"}  # fmt: skip
    row: dict[str, object] = {"Type": "AKSAudit", "PodName": "p", "ResponseObject": None}
    for name, value in event.items():
        written = {"x": "y"} if name == "annotations" else value
        if as_text and isinstance(written, dict | list):
            written = json.dumps(written)
        row[names.get(name, name[0].upper() + name[1:])] = written
    line = dumped({"records": [row, {"Type": "other"}]} if batch else row)
    assert detect(line) == "azure"
    assert json.loads(unwrap(line, "azure")[0].text) == event
