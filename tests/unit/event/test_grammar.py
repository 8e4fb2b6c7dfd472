"""The page on redaction names the forms that are caught; the prefilter lets none by."""

import json
import os
import random
import re
from pathlib import Path
from string import ascii_letters, ascii_lowercase, ascii_uppercase, digits
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8s_audit_otlp.event.processor import EventProcessor
from k8s_audit_otlp.event.redact import RULES, Redactor
from k8s_audit_otlp.event.secrets.kept_database import KeptDatabase
from k8s_audit_otlp.event.secrets.matcher import PlainMatcher, Shape, matcher_of
from k8s_audit_otlp.event.secrets.prefilter import FORMS, SOUGHT, needles_in
from k8s_audit_otlp.event.secrets.replacement import Replacement
from k8s_audit_otlp.event.secrets.text import (
    _FORMS,
    _STEPS,
    clean,
    cleaned,
    without_encoded,
)
from k8s_audit_otlp.event.secrets.token_formats import TOKEN_FORMATS, TokenFormat
from k8s_audit_otlp.otlp.encode import Encoder
from tests.kit.strategies import blocks_of, line_of, read

PAGE = (Path(__file__).parents[3] / "otel-config" / "redaction.md").read_text()
VALUE = "hunter2Zq9Xw"
_WORDS = ("magnolia", "garnet")
_PLACE = re.compile(r"(?:(?<![A-Za-z0-9])|(?<=-p))X(?![A-Za-z0-9])")  # also in `-pX`
_LETTERS = {
    "both cases": ascii_letters,
    "capitals": ascii_uppercase,
    "small letters": ascii_lowercase,
    "digits": digits,
}
_QUICKEST = matcher_of(SOUGHT, KeptDatabase(Path(os.devnull), may_write=False))
_PLAIN = PlainMatcher(SOUGHT)


def examples(of: str) -> list[str]:
    blocks: list[str] = re.findall(rf"```text {of}\n(.*?)```", PAGE, re.DOTALL)
    [block] = blocks
    return block.splitlines()


def in_tables(headed: str) -> list[str]:
    """Return the examples of the columns that are headed so, with `⏎` for the end of a line."""
    found: list[str] = []
    heads: list[str] = []
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        heads = (heads or cells) if line.startswith("| ") else []
        if headed in heads and cells is not heads:
            found += re.findall(r"`([^`]+)`", cells[heads.index(headed)])
    return [example.replace(" ⏎ ", "\n").replace("\\|", "|") for example in found]


def filled(example: str) -> list[str]:
    """Put words of a dictionary in the place of `X`, and one that is drawn in that of `Z`."""
    drawn = re.sub(r"\bZ\b", VALUE, example)
    return list(dict.fromkeys(_PLACE.sub(word, drawn) for word in _WORDS))


def records_of(text: str) -> list[str]:
    """Return what becomes of members of a body, or of a text in a body and in a message."""
    if text.startswith('{"'):
        return [record_with(requestObject={"kind": "Widget", "spec": json.loads(text)})]
    return [record_of(text, "body"), record_of(text, "message")]


def record_of(text: str, place: str) -> str:
    places: dict[str, dict[str, Any]] = {
        "body": {"requestObject": {"kind": "Widget", "spec": {"note": text}}},
        "message": {"responseStatus": {"code": 400, "message": text}},
        "annotation": {"annotations": {"example.com/note": text}},
        "agent": {"userAgent": text},
    }
    return record_with(**places[place])


def record_with(**members: Any) -> str:
    processor = EventProcessor(None, Redactor())
    encoder = Encoder(transform=processor, clean=processor.clean_parts())
    [record] = read(encoder.encode_block(blocks_of([line_of(**members)])))
    return str(record)


@pytest.mark.parametrize("place", ["body", "message", "annotation", "agent"])
@pytest.mark.parametrize("text", examples("caught"))
def test_what_the_page_says_is_caught_is_caught(text: str, place: str) -> None:
    """Wherever a text can stand."""
    assert VALUE not in record_of(text, place)


@pytest.mark.parametrize("place", ["body", "message", "annotation", "agent"])
@pytest.mark.parametrize("text", examples("kept"))
def test_what_the_page_says_is_kept_is_kept(text: str, place: str) -> None:
    """Detections need names, references and what the apiserver says of them."""
    assert "k8s.audit.redacted" not in record_of(text, place)


@pytest.mark.parametrize("example", in_tables("taken out"))
def test_what_the_tables_say_is_taken_out_is(example: str) -> None:
    """Also words of a dictionary, where a table says so."""
    for text in filled(example):
        planted = [word for word in (*_WORDS, VALUE) if word in text and word not in example]
        for record in records_of(text):
            assert "k8s.audit.redacted" in record
            assert [word for word in planted if word in record] == []


@pytest.mark.parametrize("example", [*in_tables("not found"), *in_tables("stays")])
def test_what_the_tables_say_is_left_is(example: str) -> None:
    """A form that is found now is named as one that is found."""
    for text in filled(example):
        assert [r for r in records_of(text) if "k8s.audit.redacted" in r] == []


@pytest.mark.parametrize(
    "row", re.findall(r"^\| (\d+) \| ([a-z ]+) \| (\d+) \|$", PAGE, re.MULTILINE)
)
def test_as_many_drawn_words_are_left_as_the_page_says(row: tuple[str, str, str]) -> None:
    """Who reads it learns how far a form alone can be relied upon."""
    length, made_of, left = int(row[0]), row[1], int(row[2])
    letters = "".join(_LETTERS[kind] for kind in made_of.split(" and "))
    draw = random.Random(length)  # noqa: S311 - the same words in each run
    words = ["".join(draw.choices(letters, k=length)) for _ in range(1000)]
    kept = [word for word in words if word in clean(f"the value {word}", Replacement(None))]
    assert abs(len(kept) / 10 - left) <= 2


def test_the_page_names_every_rule() -> None:
    """Once, in its table."""
    named = re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.MULTILINE)
    assert named == list(RULES)


PARTS = st.sampled_from(
    [
        *("password", "Token", "api_key", "secret", "auth", "cookie", "pw", "name", "data", "kind"),
        *("=", ": ", ":", " = ", " ", "\n", "\n  ", '"', "'", "\\", "{", "}", "[", "|", ";", "&"),
        *("--", "-u ", "Bearer ", "Basic ", "://", "@", "/", "<", ">", "</", "eyJ", "ghp_", "AKIA"),
        *("map[", "got &", "Value:", "...|", "stringData", "Secret", "value", ",", "?", "%20"),
        *("hunter2Zq9Xw7L", "Zm9vOmJhcmJheg==", "0123456789ABCDEF", "word", "BEGIN PRIVATE KEY"),
        *(
            "path: /data/a",
            "op: add",
            "- ",
            "(",
            "mysql -p",
            "docker login -p ",
            "%3D",
            "ENV ",
            "thin:",
        ),
    ]
)


@settings(max_examples=500, deadline=None)
@given(st.lists(PARTS, max_size=12).map("".join) | st.text(max_size=60))
def test_what_the_cleaner_changes_the_gate_lets_through(text: str) -> None:
    """Both are made of one grammar: without the prefilter no more is replaced than with it."""
    mask = Replacement(None)
    ungated = without_encoded(cleaned(text, ~0, mask), mask)
    assert ungated == clean(text, mask) or ungated == text


@settings(max_examples=200, deadline=None)
@given(st.lists(PARTS, max_size=12).map("".join) | st.text(max_size=60))
def test_both_matchers_find_the_same(text: str) -> None:
    """Where Hyperscan has no wheel the prefilter is the same, only slower."""
    data = text.encode()
    assert _PLAIN(data) == _QUICKEST(data)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(PARTS, max_size=3).map("".join), max_size=8))
def test_what_is_before_the_first_line_with_a_form_holds_none(texts: list[str]) -> None:
    """As each line does that is looked at alone."""
    lines = [line for text in texts for line in text.encode().split(b"\n")]
    data = b"".join(line + b"\n" for line in lines)
    for matcher in (_PLAIN, _QUICKEST):
        place = matcher.first(data, FORMS)
        first = data.count(b"\n", 0, place - 1) if place >= 0 else len(lines)
        assert not any(matcher(line) & FORMS for line in lines[:first])
        assert place < 0 or matcher(data) & FORMS


@pytest.mark.parametrize("row", [row for row in TOKEN_FORMATS if not row.is_whole])
@settings(max_examples=5, deadline=None)
@given(st.data())
def test_the_gate_knows_how_a_token_begins(row: TokenFormat, data: st.DataObject) -> None:
    """Its words are made of the pattern that the cleaner looks for."""
    address, _, pattern = row.pattern.rpartition("(?<=")[2].rpartition("/)")
    token = address.replace("\\", "") + "/" * bool(address)
    token += data.draw(st.from_regex(re.sub(r"\(\?<!.*?\)", "", pattern), fullmatch=True))
    assert any(needle in token.lower() for needle in row.needles)


# Each is put together here, so that no scanner of this repository takes it for a token in use.
TOKENS = [
    *("SK" + "0f" * 16, "AC" + "0f" * 16 + ":" + "1e" * 16, "key" + "aB3" * 4 + "xY"),
    *("pat" + "aB3dE6g" * 2 + "." + "0f" * 32, "s." + "aB3dE6gH" * 3, "sl." + "aB3dE6gH9-" * 13),
    *("dp.pt." + "aB3dE6gH" * 5, "secret_" + "aB3dE6gH" * 5, "ntn_" + "aB3dE6gH" * 6),
    *("NRII-" + "aB3dE6gH" * 4, "CCIPAT_" + "aB3dE6gH" * 3 + "_" + "0f" * 20, "bkua_" + "0f" * 20),
    *("fo1_" + "aB3dE6gH" * 6, "AKCp8" + "aB3dE6gH" * 8, "HRKU-" + "aB3dE6gH" * 6),
    *("EZAK" + "aB3dE6gH" * 7, "duffel_live_" + "aB3dE6gH" * 5, "pplx-" + "aB3dE6gH" * 6),
    *("GR1348941" + "aB3dE6gH" * 3, "sqp_" + "0f" * 20, "ops_eyJ" + "aB3dE6gH" * 9),
    *("LTAI" + "aB3dE6gH" * 3, "AKID" + "aB3dE6gH" * 4, "oauth:" + "ab3de6" * 5),
    *("b3BlbnNzaC1rZXktdjE" + "aB3dE6gH" * 5, "MIIEpAIBAAKCAQEA" + "aB3dE6gH" * 5),
    *("oy2" + "ab3" * 14 + "x", "cio" + "aB3dE6gH" * 4, "1/" + "12345678" * 2 + ":" + "0f" * 16),
    *("access-sandbox-" + "0f0f-" * 7 + "0", "live_" + "0fe" * 11 + "0f", "aio_" + "aB3dE6g" * 4),
]


@pytest.mark.parametrize("place", ["body", "message", "annotation", "agent"])
def test_no_token_of_a_vendor_leaves(place: str) -> None:
    """Known by its prefix, wherever it stands; not as the end of a longer word."""
    assert [token for token in TOKENS if token[-16:] in record_of(f"see {token} ok", place)] == []
    assert "mysqp_" in record_of("mysqp_" + "0f" * 20, place)


_PIECES = [
    *("password", "pw", "token", "api_key", "login", "use", "-p", "://", "s/", "=", ":", ",", "\t"),
    *(
        "hunter2Zq9Xw",
        "a1b!",
        "magnolia",
        "lobster805cq",
        "\n",
        '"',
        "{",
        "is",
        "to",
        "**",
        "(",
        "?",
    ),
]


@given(st.lists(st.sampled_from(_PIECES), min_size=2, max_size=9).map("".join))
def test_steps_that_need_a_blank_change_no_text_without_one(text: str) -> None:
    """So they are not tried there; what the others do brings no blank in."""
    found, replacement = needles_in(text), Replacement(None)
    for without, steps in (_FORMS, _STEPS):
        assert steps.apply(text, found, replacement) == without.apply(text, found, replacement)


@pytest.mark.parametrize("shape", [sought for sought in SOUGHT if isinstance(sought, Shape)])
@settings(max_examples=50, deadline=None)
@given(st.data(), st.binary(max_size=20))
def test_what_shapes_are_looked_for_by_is_wherever_they_are(
    shape: Shape, data: st.DataObject, around: bytes
) -> None:
    text = around + data.draw(st.from_regex(shape.source, fullmatch=True)) + around
    assert re.search(shape.loosely, text)
    assert _PLAIN(text) == _QUICKEST(text)
    assert _QUICKEST(text) & 1 << SOUGHT.index(shape)
