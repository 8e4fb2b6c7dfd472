"""Records as the SDK has them say what they say on the wire."""

import json

from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.proto.logs.v1.logs_pb2 import ScopeLogs
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from k8s_audit_otlp.model import Block, Span
from k8s_audit_otlp.otlp.encode import Encoder
from k8s_audit_otlp.otlp.resource import build_resource
from k8s_audit_otlp.transport.sdk_plugins import sdk_records


def test_the_sdk_sends_what_we_would_send() -> None:
    """Its own encoder writes the same records from what we hand it."""
    event = {
        "kind": "Event",
        "auditID": "a",
        "user": {"username": "u", "groups": ["a", "b"]},
        "responseStatus": {"code": 403},
        "requestReceivedTimestamp": "2026-01-02T03:04:05.000006Z",
        "stageTimestamp": "2026-01-02T03:04:06.000001Z",
    }
    data = json.dumps(event).encode()
    block = Block(Span(1, 0, len(data)), "0123456789abcdef", "audit.log", data, 1)
    records = Encoder().encode_block(block).records
    resource = build_resource({"k8s.node.name": "n"}, {})
    made = encode_logs(list(sdk_records(records, resource, InstrumentationScope("s", "1"))))
    [theirs] = made.resource_logs[0].scope_logs[0].log_records
    [ours] = ScopeLogs.FromString(b"".join(records)).log_records
    theirs.flags = 0
    key = lambda pair: pair.key  # noqa: E731 # used twice
    assert sorted(theirs.attributes, key=key) == sorted(ours.attributes, key=key)
    del theirs.attributes[:], ours.attributes[:]
    assert theirs == ours
