"""Every preset: what leaves for that back end keeps the limits that the preset names."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import ScopeLogs

from k8s_audit_otlp.agent.build import batch_limits
from k8s_audit_otlp.agent.exporter_mapping import ExporterMapping
from k8s_audit_otlp.config.exporters import OtlpHttp
from k8s_audit_otlp.config.load import load_tree
from k8s_audit_otlp.config.vendors.preset import VENDORS
from k8s_audit_otlp.config.vendors.show import block_of
from k8s_audit_otlp.exporter.batcher import Batcher
from k8s_audit_otlp.model import Block, EncodedBlock, Span
from k8s_audit_otlp.otlp.limits import UID
from tests.kit.backends.metadata_limit import OTHER_FIELDS, metadata_bytes
from tests.kit.pages import filled

EVENTS = Path(__file__).with_name("events.log").read_bytes()
TIMES = {
    "requestReceivedTimestamp": "2026-01-02T03:04:05.000006Z",
    "stageTimestamp": "2026-01-02T03:04:06.000001Z",
}
# Clients choose how long it is: everything at once.
HOSTILE = {
    "kind": "Event",
    "apiVersion": "audit.k8s.io/v1",
    "level": "RequestResponse",
    "auditID": "é" * 500,
    "stage": "ResponseComplete",
    "requestURI": "/" + "p" * 70_000 + "?" + "q" * 70_000,
    "verb": "v" * 70_000,
    "user": {"username": "u", "groups": ["g" * 5000] * 200},
    "sourceIPs": ["10.0.0.1"] * 300,
    "userAgent": "a" * 70_000,
    "objectRef": {"resource": "pods", "namespace": "n", "name": "é" * 40_000},
    "responseStatus": {"code": 200},
    "responseObject": {"kind": "Pod", "spec": "x" * 1_000_000},
    "annotations": {f"k8s.io/{'k' * 300}{n}": "w" * 9000 for n in range(200)},
    **TIMES,
}


REFERENCE = re.compile(r"\$\{env:(\w+)\}")
ENV = {
    name: "https://collectors.sumologic.com/receiver/v1/otlp/" + "x" * 84
    for vendor in VENDORS.values()
    for name in REFERENCE.findall(json.dumps(block_of(vendor)))
}


def exporter_of(vendor: str) -> Any:
    """Load the block that is shown for a vendor."""
    tree = filled(block_of(VENDORS[vendor]))
    [exporter] = load_tree(tree, "agent.yaml", ENV).config.exporters.values()
    return exporter


def mapped(exporter: OtlpHttp, data: bytes) -> EncodedBlock:
    block = Block(Span(1, 0, len(data)), "5eed5eed5eed5eed", "audit.log", data, 1)
    return ExporterMapping.of("otlp_http", exporter).encoder().encode_block(block)


def texts_of(value: AnyValue) -> list[Any]:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [item.string_value for item in value.array_value.values]
    return [value.string_value] if kind == "string_value" else []


@pytest.mark.parametrize("vendor", VENDORS)
def test_records_keep_the_limits_of_the_preset(vendor: str) -> None:
    """Ordinary events and a hostile one."""
    exporter = exporter_of(vendor)
    limits = exporter.limits.attributes
    encoded = mapped(exporter, EVENTS + json.dumps(HOSTILE).encode() + b"\n")
    largest = exporter.audit.max_record_bytes or 1 << 40
    assert all(len(record) <= largest for record in encoded.records)
    for message in ScopeLogs.FromString(b"".join(encoded.records)).log_records:
        names = [pair.key for pair in message.attributes]
        assert len(set(names)) == len(names) <= (limits.count or 1 << 40)
        assert UID in names
        assert not limits.reserved & set(names)
        assert not [name for name in names if limits.flat_names and "." in name and name != UID]
        assert max(len(name.encode()) for name in names) <= (limits.name_bytes or 1 << 40)
        metadata = metadata_bytes(message.attributes) - OTHER_FIELDS
        assert metadata <= (limits.total_bytes or 1 << 40)
        for pair in message.attributes:
            texts = texts_of(pair.value)
            assert len(texts) <= (limits.list_items or 1 << 40)
            assert all(len(text.encode()) <= (limits.value_bytes or 1 << 40) for text in texts)
            assert not (limits.lists_as_json and pair.value.HasField("array_value"))
    json.loads(message.body.string_value)  # the hostile one


@pytest.mark.parametrize("vendor", VENDORS)
def test_requests_keep_the_limits_of_the_preset(vendor: str) -> None:
    """Bytes and records of a request, whatever the queue wants."""
    exporter = exporter_of(vendor)
    records = [b"x" * 100] * 60_000 + [b"y" * 200_000] * 40
    ends = list(range(1, len(records) + 1))
    batcher = Batcher("k8s_audit", batch_limits(exporter))
    batcher.add(EncodedBlock(Span(1, 0, len(records)), records, ends, lines=len(records)))
    batches = list(iter(batcher.take, None))
    assert sum(len(batch.records) for batch in batches) == len(records)
    limits = exporter.limits
    for batch in batches:
        assert len(batch.records) <= (limits.request_records or 1 << 40)
        assert sum(map(len, batch.records)) <= (limits.request_bytes or 1 << 40)
