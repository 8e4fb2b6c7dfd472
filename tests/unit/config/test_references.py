"""References are replaced as the Collector does, except that an unset variable is a mistake."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.config.references import UnresolvedError, parse_template
from k8s_audit_otlp.config.secret import MAX_FILE_BYTES

ENV = {"A": "apple", "EMPTY": "", "NEST": "${A}"}
GOOD = [
    ("plain", "plain"),
    ("${A}", "apple"),
    ("${env:A}", "apple"),
    ("x${A}y${env:A}z", "xappleyapplez"),
    ("${env:EMPTY}", ""),
    ("${env:NO:-fallback}", "fallback"),
    ("${env:NO:-}", ""),
    ("${env:NO:-http://h:1/p}", "http://h:1/p"),
    ("${NO:-d}", "d"),
    ("$$", "$"),
    ("$${A}", "${A}"),
    ("costs $5 or $$A", "costs $5 or $A"),
    ("${NEST}", "${A}"),
]
BAD = [
    (
        "${NO}",
        "the variable NO is not set; set it, or give a public default: ${env:NO:-default}",
    ),
    (
        "${env:NO}",
        "the variable NO is not set; set it, or give a public default: ${env:NO:-default}",
    ),
    ("${yaml:x}", "${yaml:...} is not supported; use ${env:NAME} or ${file:/path}"),
    ("${A", "a ${ is not closed; close it with } or write $${ for the text"),
    ("${a b}", "'a b' is no name of a variable; use letters, digits and _: ${env:API_KEY}"),
]


@pytest.mark.parametrize(("text", "value"), GOOD)
def test_a_reference_is_replaced_by_its_value(text: str, value: str) -> None:
    """Values are not looked into again."""
    assert parse_template(text, ENV).resolve() == value


@pytest.mark.parametrize(("text", "message"), BAD)
def test_a_reference_that_leads_nowhere_is_a_mistake(text: str, message: str) -> None:
    """It says what is wrong and the hint."""
    with pytest.raises(UnresolvedError) as caught:
        parse_template(text, ENV)
    assert str(caught.value) == message


def test_a_file_is_read_again_whenever_the_value_is_needed(tmp_path: Path) -> None:
    """A token that was renewed on disk is used at once."""
    token = tmp_path / "token"
    token.write_text("one\n")
    template = parse_template(f"Bearer ${{file:{token}}}", {})
    assert template.resolve() == "Bearer one"
    token.write_text("two\r\n")
    assert template.resolve() == "Bearer two"
    assert template.files == (str(token),)


def test_a_file_that_is_no_token_is_an_os_error(tmp_path: Path) -> None:
    """Neither a log given by mistake nor bytes that are no text get into a header."""
    big, binary = tmp_path / "big", tmp_path / "binary"
    big.write_bytes(b"x" * (MAX_FILE_BYTES + 1))
    binary.write_bytes(b"\xff\xfe")
    for path in (big, binary, tmp_path / "missing", tmp_path):
        with pytest.raises(OSError, match=path.name):
            parse_template(f"${{file:{path}}}", {}).resolve()


@given(st.text())
def test_dollars_doubled_are_the_text_itself(text: str) -> None:
    """Escaping is the inverse of reading."""
    assert parse_template(text.replace("$", "$$"), {}).resolve() == text


def _understood_or_hint(text: str) -> object:
    try:
        return parse_template(text, ENV)
    except UnresolvedError as error:
        return error.hint


@given(st.text(alphabet="${}:-envfileAB /x"))
def test_any_text_is_a_template_or_unresolved(text: str) -> None:
    """Nothing else ever comes out of parsing."""
    assert _understood_or_hint(text)


@pytest.mark.parametrize("text", ["Bearer $API_KEY", "Bearer $(API_KEY)", "%API_KEY%"])
def test_a_variable_as_others_write_it_is_refused(text: str) -> None:
    """It would go out as it stands: as an API key, say."""
    with pytest.raises(UnresolvedError, match=r"\$\{env:API_KEY\}"):
        parse_template(text, {"API_KEY": "x"})


def test_signs_that_are_no_variable_stay() -> None:
    """Ends of patterns, prices, and what is encoded for a URL."""
    for text in ("a$", "$5", "$(", "100%", "%20a%20b", "50%A%"):
        assert parse_template(text, {}).resolve() == text
