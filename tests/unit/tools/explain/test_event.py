"""One event is explained station by station, and never with its secrets."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.config.audit_files import PolicyText
from k8s_audit_otlp.event.redact import RedactionRules
from k8s_audit_otlp.tools.explain.event import Explained, Explainer, lines_of
from k8s_audit_otlp.tools.explain.show_event import lines_of_event
from k8s_audit_otlp.tools.explain.targets import without_config

PASSWORD = "c2VjcmV0LXZhbHVlLTEyMzQ1"  # noqa: S105 - planted


@pytest.fixture
def explain(policy: Path) -> Callable[..., Any]:
    """Explain a line under the policy of the tests, with a mapping changed as told."""

    def run(line: bytes, *, with_policy: Any = True, **changes: Any) -> Any:
        policies = [PolicyText(policy.read_text(), "p.yaml")] if with_policy else []
        (target,) = without_config(policies)
        target = replace(target, mapping=replace(target.mapping, **changes))
        return Explainer(target, "event.json", 0).explain(line)

    return run


def shown(found: Explained) -> str:
    """Everything that a person or a program would see."""
    return "\n".join(lines_of_event(found, "x", "p.yaml")) + json.dumps(asdict(found))


@pytest.mark.parametrize(
    ("verb", "changes", "rule", "action", "why"),
    [
        ("watch", {"user": "system:kube-proxy"}, "rule 1", "drops", "level"),
        ("get", {"resource": "secrets"}, "rule 2", "lowers", ""),
        ("create", {}, "rule 3", "keeps", ""),
        ("create", {"responseStatus": {"code": 409}}, "rule 3", "drops", "code"),
        ("create", {"stage": "RequestReceived"}, "rule 3", "drops", "stage"),
        ("get", {"resource": ""}, "rule 4", "drops", "level"),
        ("get", {}, "no rule", "drops", "level"),
    ],
)
def test_the_rule_that_decides_is_named(
    explain: Callable[..., Any],
    make: Callable[..., Any],
    line: Callable[..., Any],
    verb: str,
    changes: dict[str, Any],
    rule: str,
    action: str,
    why: str,
) -> None:
    """With what it does and why; a record is there exactly for what is kept."""
    (found,) = explain(line(make(verb, **changes)))
    assert found.policy.rule.name == rule
    assert (found.policy.action, found.policy.why) == (action, why)
    assert (found.record is None) == (action == "drops")
    assert rule in shown(found)


def test_the_size_of_a_text_that_is_no_event_is_its_own(explain: Callable[..., Any]) -> None:
    """Not that of the words that stand for it."""
    (found,) = explain(b"hello " * 50, with_policy=False)
    assert found.size.event_bytes == 299  # without the blank at its end
    assert "[unparsable, 299 bytes removed]" in json.dumps(found.record)


def test_what_is_redacted_is_named_and_not_shown(
    explain: Callable[..., Any], secret: dict[str, Any], line: Callable[..., Any]
) -> None:
    """The record is the one that leaves."""
    (found,) = explain(line(secret), with_policy=False)
    assert found.redaction.rules == ("secret",)
    assert found.redaction.sent_though_hidden_here == ()
    assert PASSWORD not in shown(found)
    assert "REDACTED" in json.dumps(found.record)
    assert "password" in json.dumps(found.record)


@pytest.mark.parametrize(
    "changes", [{"bodies": "raw"}, {"rules": RedactionRules(off=frozenset({"secret", "key"}))}]
)
def test_a_secret_that_is_sent_is_hidden_here_all_the_same(
    explain: Callable[..., Any],
    secret: dict[str, Any],
    line: Callable[..., Any],
    changes: dict[str, Any],
) -> None:
    """And it is said that the exporter gets it."""
    (found,) = explain(line(secret), with_policy=False, **changes)
    assert PASSWORD not in shown(found)
    assert "secret" in found.redaction.sent_though_hidden_here
    assert "THE EXPORTER GETS MORE" in shown(found)


def test_what_shrinking_takes_is_named(
    explain: Callable[..., Any], make: Callable[..., Any], line: Callable[..., Any]
) -> None:
    """With the sizes before and after."""
    body = {"kind": "List", "items": [{"n": n} for n in range(5000)]}
    (found,) = explain(line(make("create", responseObject=body)), max_record_bytes=8192)
    assert found.size.removed == ("responseObject",)
    assert found.size.record_bytes <= 8192 < found.size.event_bytes
    assert "without responseObject" in shown(found)
    (small,) = explain(line(make("create")), max_record_bytes=8192)
    assert small.size.removed == ()
    assert "nothing has to go" in shown(small)


def test_a_list_of_events_is_explained_one_by_one(
    explain: Callable[..., Any], make: Callable[..., Any], line: Callable[..., Any]
) -> None:
    """Each with its own rule and record."""
    items = [make("create"), make("get"), make("get", resource="secrets")]
    found = explain(line({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": items}))
    assert [each.policy.rule.name for each in found] == ["rule 3", "no rule", "rule 2"]
    assert [each.record is None for each in found] == [False, True, False]


def test_what_is_no_event_is_said_to_be_none(explain: Callable[..., Any]) -> None:
    """And its text is not shown."""
    (found,) = explain(b"password=hunter2-hunter2 and so on")
    assert found.fault == "not JSON"
    assert "hunter2" not in shown(found)


def test_text_of_clients_cannot_drive_the_terminal(
    explain: Callable[..., Any], make: Callable[..., Any], line: Callable[..., Any]
) -> None:
    """Escape sequences and direction marks are shown as what they are."""
    text = "\n".join(lines_of_event(explain(line(make("create", "\x1b[2J\u202e")))[0], "x", "p"))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\x1b[2J" in text


def test_an_event_may_be_spread_over_lines_or_be_one_of_many(
    make: Callable[..., Any], line: Callable[..., Any]
) -> None:
    """As kubectl and jq print it, or as the log has it."""
    one, other = make("create"), make("get")
    spread = json.dumps(one, indent=2).encode()
    assert [json.loads(each) for each in lines_of(spread)] == [one]
    several = b"\n".join([line(one), b"", line(other), b""])
    assert lines_of(several) == [line(one), line(other)]
    assert lines_of(b" \n") == []
