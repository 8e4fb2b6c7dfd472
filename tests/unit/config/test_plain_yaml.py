"""Text that others wrote as YAML is read, or is none for one error."""

import pytest

from k8s_audit_otlp.apiserver.manifest import patch
from k8s_audit_otlp.apiserver.observed import observe
from k8s_audit_otlp.apiserver.settings import RefusalError
from k8s_audit_otlp.config.reading.document import read_document
from k8s_audit_otlp.config.reading.plain_yaml import YamlError, parse_yaml, parse_yaml_documents
from k8s_audit_otlp.tools.doctor.collector_checks import CollectorFacts

MISFITS = [
    '!!int ""', "!!int 0x", '!!float ""', "!!float x", "!!bool x", "!!timestamp x", "2026-13-40",
    "!!binary é", "!!set x", "!!omap [a]", "[" * 9999,
]  # fmt: skip


def test_each_document_is_read() -> None:
    """One or several."""
    assert parse_yaml(b"a: [1]") == {"a": [1]}
    assert parse_yaml_documents("a: 1\n---\n- b\n") == [{"a": 1}, ["b"]]


def test_where_it_is_no_yaml_is_said() -> None:
    """By the line, where the parser knows it."""
    with pytest.raises(YamlError, match="expected") as caught:
        parse_yaml("a: 1\nb: [1\nc: 2\n")
    assert caught.value.line == 3


@pytest.mark.parametrize("text", ["[" * 20_000, b"a: " + b"{a: " * 20_000])
def test_what_is_nested_without_end_is_not_read(text: str | bytes) -> None:
    """The parser would take a second to find it out."""
    with pytest.raises(YamlError, match="how deep it is"):
        parse_yaml(text, pytest.fail)
    assert parse_yaml("[" * 100 + "]" * 100)


@pytest.mark.parametrize("value", MISFITS)
def test_a_value_that_is_not_what_its_tag_says_is_one_error(value: str) -> None:
    """And never a crash of who reads it."""
    text = f"a: {value}\n"
    for parse in (parse_yaml, parse_yaml_documents):
        with pytest.raises(YamlError):
            parse(text)
    with pytest.raises(RefusalError, match="not one YAML document"):
        observe(text)
    with pytest.raises(RefusalError):
        patch(text, {})
    assert CollectorFacts.read(text).trouble.startswith("it is no YAML: ")


@pytest.mark.parametrize("value", ['!!int ""', '!!float ""', "!!float x", "!!bool x"])
def test_in_a_configuration_it_is_a_mistake_with_its_line(value: str) -> None:
    """One that `validate` prints like any other."""
    (mistake,) = read_document(f"receivers:\n  a: {value}\n").mistakes
    assert str(mistake).startswith("receivers::a: is not what the tag tag:yaml.org,2002:")
    assert mistake.line == 2
