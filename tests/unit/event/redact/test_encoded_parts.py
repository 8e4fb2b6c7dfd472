"""Texts with many encoded parts or names: each is judged, and many short ones cost no more."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8s_audit_otlp.event.redact.embedded import PACKED
from k8s_audit_otlp.event.secrets.prefilter_needles import IN_JSON
from k8s_audit_otlp.event.secrets.replacement import Replacement
from k8s_audit_otlp.event.secrets.text import EncodedParts, clean
from k8s_audit_otlp.event.secrets.uri import clean_uri

REPLACEMENT = Replacement(None)
HIDDEN = "password%3Dhunter2"


def address(text: str) -> str:
    return clean_uri(text, REPLACEMENT, args="first", credentials=True)


def free_text(text: str) -> str:
    return clean(text, REPLACEMENT)


ODD_MANY: list[tuple[Callable[[str], str], str, str]] = [
    (free_text, "a%3Db ", "/x "),
    (address, "/a%3Db", "/x"),
    (address, "&a=b%3Dc", "/x?y=1"),
]


@pytest.mark.parametrize(("cleaned", "part", "head"), ODD_MANY)
@pytest.mark.parametrize("levels", [1, 2, 4])
def test_a_secret_behind_a_thousand_encoded_parts_goes(
    cleaned: Callable[[str], str], part: str, head: str, levels: int
) -> None:
    secret = HIDDEN.replace("%", "%" + "25" * (levels - 1))
    new = cleaned(head + part * 1000 + part[0] + secret)
    assert "hunter2" not in new


@pytest.mark.parametrize(("cleaned", "part", "head"), ODD_MANY)
def test_a_thousand_encoded_parts_without_a_secret_stay(
    cleaned: Callable[[str], str], part: str, head: str
) -> None:
    text = head + part * 1000
    assert cleaned(text) == text


@pytest.mark.parametrize("length", [0, 1000, 100_000])
def test_no_more_parts_are_judged_alone_than_genuine_texts_have(length: int) -> None:
    """To judge one takes some ten microseconds, and may be asked for each few bytes."""
    judged: list[str] = []

    def tells(part: str) -> bool:
        judged.append(part)
        return False

    parts = EncodedParts("x" * length)
    for _ in range(length):
        parts.tell("a%3Db", tells)
    assert len(judged) <= 64 + length / 100


@pytest.mark.parametrize(("count", "left"), [(100, True), (10_000, False)])
def test_behind_more_names_than_genuine_texts_have_all_goes(count: int, *, left: bool) -> None:
    """To judge a name and its value takes microseconds, and may be asked for each few bytes."""
    text = "password: is wrong\n" * count + "and a zebra"
    assert free_text(text).endswith("zebra") is left


@settings(max_examples=1000)
@given(st.text("3AEJKWegiosyw", max_size=8) | st.from_regex(rf".?(?:eyJ|{IN_JSON}).?"))
def test_base64_of_json_is_found_as_it_begins(text: str) -> None:
    """By its second letter, but just where the first words of base64 are."""
    expected = re.search("eyJ|" + IN_JSON, text)
    assert (PACKED.search(text.encode()) is None) is (expected is None)
