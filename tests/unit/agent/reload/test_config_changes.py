"""What is said of the difference between two configurations."""

import json
from pathlib import Path

import pytest

from k8s_audit_otlp.agent.config_changes import changes, effects
from k8s_audit_otlp.agent.exporter_mapping import ExporterMapping
from k8s_audit_otlp.config.load import load_text


def test_an_exporter_with_another_name_is_told_with_the_way_to_keep_its_position() -> None:
    """Renamed by hand it would begin anew."""
    text = "receivers: {{k8s_audit: {{include: [/a.log]}}}}\nexporters: {{otlp_http/{}: {{endpoint: 'http://h'}}}}"
    old, new = (load_text(text.format(name), "test", {}).config for name in ("a", "b"))
    (said,) = changes(old, new)
    assert "state rename otlp_http/a otlp_http/b" in said
    assert "or where one of this name was" in said, "it may be the name that it had before"
    assert changes(old, old) == []


def test_which_log_is_read_from_now_on_is_told_and_what_another_address_means() -> None:
    """A hub that is added gets no history; the address itself is for no other back end to know."""
    text = "receivers: {{k8s_audit: {{include: [{}]}}}}\nexporters: {{otlp_http: {{endpoint: 'http://{}'}}}}"
    logs, hosts = ("/a.log, /b.log", "/b.log, /c.log"), ("one", "two")
    old, new = (
        load_text(text.format(*of), "test", {}).config for of in zip(logs, hosts, strict=True)
    )
    stays = "positions stay, so what another back end acknowledged is not sent again"
    assert changes(old, new) == [
        "receivers::k8s_audit::include: /c.log is added",
        "receivers::k8s_audit::include: /a.log is removed",
        f"exporters::otlp_http::endpoint is changed; {stays}",
    ]


POLICY = "{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: Metadata}]}"
SECRET = {
    "kind": "Event",
    "level": "RequestResponse",
    "auditID": "a",
    "stage": "ResponseComplete",
    "verb": "create",
    "objectRef": {"resource": "secrets", "namespace": "n", "name": "s", "apiVersion": "v1"},
    "responseObject": {"kind": "Secret", "apiVersion": "v1", "data": {"key": "c2VzYW1lLW9wZW4="}},
}
PLAIN = {**SECRET, "objectRef": {"resource": "pods"}, "responseObject": {"kind": "Pod"}}


@pytest.mark.parametrize(
    ("audit", "leaves"),
    [
        ("bodies: raw, unsafe: true", True),
        ("redaction: {rules: {secret: false, key: false, text: false}}", True),
        ("bodies: drop", False),
        ("policy: POLICY", False),
        ("profile: plain", False),
        ("redaction: {replace_with: hmac, key_file: KEY}", False),
    ],
)
def test_a_change_after_which_secrets_leave_says_so(
    audit: str, leaves: bool, tmp_path: Path
) -> None:
    """A switch for a test that stays, a rule that is taken out; not where bodies go as well."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    (tmp_path / "key").write_bytes(b"k" * 32)
    block = "receivers: {{k8s_audit: {{include: [/a.log]}}}}\nexporters: {{otlp_file: {}}}"
    changed = audit.replace("POLICY", str(policy)).replace("KEY", str(tmp_path / "key"))
    texts = [block.format(f"{{path: /o.json, audit: {{{of}}}}}") for of in ("", changed)]
    exporters = [load_text(text, "test", {}).config.exporters["otlp_file"] for text in texts]
    old, new = ({"e": ExporterMapping.of("e", exporter)} for exporter in exporters)
    (said,) = effects(old, new, [json.dumps(event).encode() for event in (SECRET, PLAIN)])
    assert said.endswith("; secrets can leave in 1 of these events") is leaves
    assert ("secrets can leave" in said) is leaves


@pytest.mark.parametrize(
    ("more", "told"),
    [("replace_with: hmac, ", True), ("pseudonymise: [users], ", True), ("", False)],
)
def test_another_key_in_the_same_file_is_told(more: str, told: bool, tmp_path: Path) -> None:
    """Nothing else of what leaves differs, and a search for a pseudonym finds nothing any more.

    A key that makes no pseudonyms changes nothing.
    """
    (key := tmp_path / "key").write_bytes(b"a" * 32)
    block = "receivers: {{k8s_audit: {{include: [/a.log]}}}}\nexporters: {{otlp_file: {}}}"
    text = block.format(f"{{path: /o.json, audit: {{redaction: {{{more}key_file: {key}}}}}}}")
    exporter = load_text(text, "test", {}).config.exporters["otlp_file"]
    old = ExporterMapping.of("e", exporter)
    key.write_bytes(b"b" * 32)
    new = ExporterMapping.of("e", exporter)
    (said,) = effects({"e": old}, {"e": new}, [json.dumps(SECRET).encode()])
    assert ("equal values get other pseudonyms than before" in said) is told
