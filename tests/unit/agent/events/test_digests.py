"""What receipts commit to is what leaves, also where redaction changes it on the fast path."""

from hashlib import sha256

from opentelemetry.proto.logs.v1.logs_pb2 import ScopeLogs

from k8s_audit_otlp.agent.exporter_mapping import ExporterMapping
from k8s_audit_otlp.model import Block, Span
from k8s_audit_otlp.otlp.mapping import MappingOptions
from k8s_audit_otlp.state.content_hash import entries
from tests.kit.log.events import SECRET, EventSource


def test_the_digest_of_a_record_is_that_of_the_body_that_leaves() -> None:
    """Of plain events, of redacted ones, and of what is no event."""
    source = EventSource(1)
    data = b"".join(source.line() + b"\n" for _ in range(300)) + 2 * SECRET + b"no event\n"
    encoder = ExporterMapping(MappingOptions()).encoder(digests=True)
    encoded = encoder.encode_block(Block(Span(1, 0, len(data)), "5eed" * 4, "audit.log", data, 1))
    wanted = []
    for record in ScopeLogs.FromString(b"".join(encoded.records)).log_records:
        attributes = {pair.key: pair.value.string_value for pair in record.attributes}
        told = f"{attributes['log.record.uid']}\n{record.body.string_value}"
        wanted.append(sha256(told.encode()).digest()[:20])
    assert [entry[8:] for entry in entries(encoded.digests)] == wanted
    assert b"c2VzYW1l" not in b"".join(encoded.records)
