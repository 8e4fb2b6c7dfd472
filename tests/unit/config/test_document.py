"""YAML is read as the Collector reads it, and every key knows its line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.config.reading.document import read_document

SCALARS = [
    ("yes", "yes"),
    ("on", "on"),
    ("true", True),
    ("False", False),
    ("~", None),
    ("", None),
    ("null", None),
    ("12", 12),
    ("-3", -3),
    ("010", "010"),
    ("1.5", 1.5),
    ("1:30", "1:30"),
    ("2026-01-31T00:00:00Z", "2026-01-31T00:00:00Z"),
    ("'12'", "12"),
    ("0x10", "0x10"),
    ("${env:X}", "${env:X}"),
]


@pytest.mark.parametrize(("text", "value"), SCALARS)
def test_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    """Words such as yes, times and base-60 numbers stay text."""
    assert read_document(f"a: {text}").tree == {"a": value}


def test_every_key_knows_its_line() -> None:
    """A place that is not in the file has the line of the block around it."""
    document = read_document("a:\n  b: 1\n  c:\n    - x\n    - y\n")
    assert document.line_of("a::c::1") == 5
    assert document.line_of("a::b") == 2
    assert document.line_of("a::c::9::z") == 3
    assert document.line_of("nowhere") is None


def test_a_duplicate_key_is_a_mistake() -> None:
    """The last one would win in silence."""
    (mistake,) = read_document("a:\n  b: 1\n  b: 2\n").mistakes
    assert str(mistake) == "a::b: the key is there twice, first in line 2; keep one of the two"
    assert mistake.line == 3


def test_anchors_and_merges_work_and_an_own_key_wins() -> None:
    """Blocks can be shared as in any YAML."""
    text = "base: &base {x: 1, y: 2}\nother:\n  <<: *base\n  y: 3\n"
    assert read_document(text).tree["other"] == {"x": 1, "y": 3}


@pytest.mark.parametrize(
    "text", ["a: [1", "a: b: c", "\tx: 1", "a: &x [*x]", "a: !!python/x 1", "\0"]
)
def test_what_is_no_yaml_is_one_mistake(text: str) -> None:
    """Syntax errors, loops and foreign tags are mistakes, not crashes."""
    (mistake,) = read_document(text).mistakes
    assert mistake.hint


def test_an_empty_file_is_an_empty_block() -> None:
    """What is missing is said later, section by section."""
    assert read_document("# nothing\n").tree == {}


@given(st.text(alphabet="ab:{}[]&*!<-'\"\n #|>?%@`,1.~\t"))
def test_any_text_is_a_document_or_a_mistake(text: str) -> None:
    """Nothing is ever raised."""
    for mistake in read_document(text).mistakes:
        assert mistake.hint


def test_a_bomb_is_refused_at_once() -> None:
    """Aliases that multiply, brackets without end, and more keys or anchors than one writes."""
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
    )
    many = ("".join(line % n for n in range(21_000)) for line in ("a%d: 1\n", "- &a%d x\n"))
    for text in (bomb, "[" * 20_000, "a: " + "{b: " * 20_000, *many):
        (mistake,) = read_document(text).mistakes
        assert "20000 values" in mistake.what or "too deeply" in mistake.what
