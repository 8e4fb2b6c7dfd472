"""The schema describes every key, and the reference is made from it."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from k8s_audit_otlp.config.durations import parse_duration, parse_size
from k8s_audit_otlp.config.load import load_tree
from k8s_audit_otlp.config.output.schema import json_schema
from k8s_audit_otlp.config.reading.collector_keys import KEYS
from tests.kit.pages import markdown

SCHEMA = json_schema()


def _keys() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for block, definition in SCHEMA["$defs"].items():
        for name, key in definition.get("properties", {}).items():
            yield block, name, key


@pytest.mark.parametrize(("block", "name", "key"), list(_keys()))
def test_every_key_has_a_one_line_description(block: str, name: str, key: dict[str, Any]) -> None:
    """Editors show it, and the reference is made of it."""
    assert re.fullmatch(r"[^\n|]+\.", key["description"]), (block, name)


def test_every_default_is_written_as_a_user_would() -> None:
    """Durations and sizes are text with a unit."""
    for _, _, key in _keys():
        if key.get("format") == "duration":
            assert parse_duration(key["default"]) >= 0
        if key.get("format") == "size" and "default" in key:
            assert parse_size(key["default"]) >= 0


def test_every_reference_in_the_schema_leads_somewhere() -> None:
    """No dangling and no unused definition."""
    used = set(re.findall(r"#/\$defs/(\w+)", str(SCHEMA)))
    assert used == set(SCHEMA["$defs"])


def _defaults(block: str) -> dict[str, Any]:
    """Return a block with every default written out."""
    written: dict[str, Any] = {}
    for name, key in SCHEMA["$defs"][block]["properties"].items():
        inner = key.get("$ref", "").removeprefix("#/$defs/")
        if inner and "default" in key:
            written[name] = _defaults(inner)
        elif "default" in key:
            written[name] = key["default"]
    return written


def test_every_default_written_out_is_accepted_and_changes_nothing() -> None:
    """A reference file with every key at its default means the same as the smallest file."""
    required = {
        "otlp_http": ("OtlpHttp", {"endpoint": "http://a:1"}),
        "otlp_grpc": ("OtlpGrpc", {"endpoint": "a:1"}),
        "otlp_file": ("OtlpFile", {"path": "-"}),
        "sdk": ("Sdk", {"exporter": "console"}),
    }
    small = {
        "receivers": {"k8s_audit": {"include": "/nope"}},
        "exporters": {kind: block for kind, (_, block) in required.items()},
    }
    full = {
        "receivers": {"k8s_audit": {**_defaults("K8sAudit"), "include": "/nope"}},
        "exporters": {
            kind: {**_defaults(name), **block} for kind, (name, block) in required.items()
        },
        "service": _defaults("Service"),
    }
    text = yaml.safe_dump(full)
    assert "flush_timeout: 200ms" in text
    assert load_tree(full, "full", {}) == load_tree(small, "small", {})


def test_the_schema_lists_collector_keys_without_effect() -> None:
    """An editor does not complain about a pasted block."""
    properties = SCHEMA["$defs"]["SendingQueue"]["properties"]
    assert properties["queue_size"]["description"].startswith("No effect: ")


def test_the_reference_has_every_key_once_per_block() -> None:
    """Shared blocks are written once and linked."""
    text = markdown()
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    for block, name, key in _keys():
        if not key["description"].startswith(("No effect: ", "Refused ")):
            assert any(re.search(rf"\b{name}(` \||(\[\])?::)", row) for row in rows), (block, name)
    assert text.count("| `initial_interval` |") == 1
    for anchor in re.findall(r"\(#block-(\w+)\)", text):
        assert f"### block `{anchor}`" in text
    assert all(row.count("|") == 5 for row in rows)


def test_the_reference_lists_every_key_that_is_not_honoured() -> None:
    """Under its own heading, with the reason."""
    table = markdown().partition("### Keys of a pasted Collector block")[2]
    for rules in KEYS.values():
        for rule in rules:
            assert f"| `{rule.key}` |" in table
            assert rule.why in table
