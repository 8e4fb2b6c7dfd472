"""The redaction block and the files of an audit block are read as `run` reads them."""

import os
from pathlib import Path

import pytest

from k8s_audit_otlp.config.audit import Audit
from k8s_audit_otlp.config.audit_files import read_policy, read_rules
from k8s_audit_otlp.config.mistakes import ConfigError
from k8s_audit_otlp.config.redaction import Redaction
from k8s_audit_otlp.event.redact.rules import RULES, RedactionRules


def test_nothing_written_is_every_rule_on() -> None:
    """The defaults of the block and of the rules are the same."""
    assert Redaction().build(b"", "keep") == RedactionRules()


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_can_be_switched_off(rule: str) -> None:
    """By the name under which it fires."""
    block = Redaction.model_validate({"rules": {rule: False}})
    assert block.build(b"", "keep").off == {rule}


def test_the_key_is_read_from_its_file(tmp_path: Path) -> None:
    """Without its line end; one that is easily guessed is refused."""
    file = tmp_path / "key"
    audit = Audit.model_validate({"redaction": {"replace_with": "hmac", "key_file": str(file)}})
    file.write_bytes(b"0123456789abcdef\n")
    assert read_rules(audit).key == b"0123456789abcdef"
    file.write_bytes(b"short\n")
    with pytest.raises(ConfigError, match="holds 5 bytes"):
        read_rules(audit)


@pytest.mark.parametrize("text", ["", "kind: Pod\n", "rules: [{level: Some}]\n", "a: [\n"])
def test_a_policy_that_does_not_parse_is_refused(text: str, tmp_path: Path) -> None:
    """An empty one as well."""
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(ConfigError, match="policy"):
        read_policy(str(tmp_path / "p.yaml"))


def test_a_policy_has_a_file_or_the_name_of_one_that_is_shipped() -> None:
    """As in `explain`."""
    assert "kind: Policy" in read_policy("recipe").text


def test_a_pipe_in_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    """Nor is a device."""
    os.mkfifo(tmp_path / "fifo")
    for name in (str(tmp_path / "fifo"), "/dev/zero", str(tmp_path)):
        with pytest.raises(ConfigError, match="not a file"):
            read_policy(name)
