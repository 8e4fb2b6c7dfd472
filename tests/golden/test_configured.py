"""What is written under `audit` is what the records are like."""

import json
from typing import Any

from opentelemetry.proto.logs.v1.logs_pb2 import ScopeLogs

from k8s_audit_otlp.agent.exporter_mapping import ExporterMapping
from k8s_audit_otlp.config.load import load_tree
from k8s_audit_otlp.model import Block, Span

EVENT = {
    "kind": "Event",
    "auditID": "a",
    "verb": "get",
    "user": {"username": "u", "extra": {"example.com/team": ["blue"], "example.com/pet": ["cat"]}},
    "annotations": {"example.com/rule": "7", "k8s.io/deprecated": "true"},
}


def attributes_with(**audit: Any) -> set[str]:
    """Encode the event as an exporter with this `audit` block does."""
    tree = {
        "receivers": {"k8s_audit": {"include": "/nope"}},
        "exporters": {"otlp_http": {"endpoint": "http://a:1", "audit": audit}},
    }
    [exporter] = load_tree(tree, "agent.yaml", {}).config.exporters.values()
    data = json.dumps(EVENT).encode() + b"\n"
    block = Block(Span(1, 0, len(data)), "5eed5eed5eed5eed", "audit.log", data, 1)
    records = ExporterMapping.of("otlp_http", exporter).encoder().encode_block(block).records
    [message] = ScopeLogs.FromString(b"".join(records)).log_records
    return {pair.key for pair in message.attributes}


def test_the_allow_lists_are_keys() -> None:
    """Annotations and entries of user.extra become attributes where they are named."""
    some = {"k8s.audit.annotation.example.com/rule", "k8s.audit.user.extra.example.com/team"}
    others = {"k8s.audit.annotation.k8s.io/deprecated", "k8s.audit.user.extra.example.com/pet"}
    chosen = attributes_with(annotations=["example.com/*"], user_extra=["example.com/team"])
    assert some <= chosen
    assert not others & chosen
    assert not some & attributes_with()
    assert "k8s.audit.annotation.k8s.io/deprecated" in attributes_with()


def test_limits_are_keys() -> None:
    """A back end without a preset has limits as well."""
    found = attributes_with(limits={"names": "flat", "reserved_names": ["verb", "username"]})
    assert "k8s_audit_username" in found
    assert "k8s_audit_user_type" in found
    assert not {"verb", "username"} & found
