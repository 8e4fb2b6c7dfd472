"""Rules are found by number and line, and read as a person would say them."""

from pathlib import Path

from k8s_audit_otlp.config.reading.policy_file import parse_policy
from k8s_audit_otlp.tools.explain.rules import rule_texts


def test_every_rule_has_its_line_and_its_words(policy: Path) -> None:
    """In the order of the file."""
    text = policy.read_text()
    rules = rule_texts(parse_policy(text, "p"), text)
    assert [(r.name, r.level, r.line, r.text) for r in rules.values()] == [
        ("rule 1", "None", 5, "users system:kube-proxy"),
        ("rule 2", "Metadata", 7, "secrets (core)"),
        ("rule 3", "RequestResponse", 11, "verbs create · not with code 409"),
        ("rule 4", "None", 14, "paths /healthz*"),
    ]
