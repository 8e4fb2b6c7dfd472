"""The page on redaction says which forms are caught and kept; the gate lets none of them by."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8s_audit_otlp.event.processor import EventProcessor
from k8s_audit_otlp.event.redact import RULES, Redactor
from k8s_audit_otlp.event.secrets.replacement import Replacement
from k8s_audit_otlp.event.secrets.text import clean, cleaned, without_encoded
from k8s_audit_otlp.otlp.encode import Encoder
from tests.kit.strategies import blocks_of, line_of, read

PAGE = (Path(__file__).parents[3] / "otel-config" / "redaction.md").read_text()
VALUE = "hunter2Zq9Xw7L"


def examples(of: str) -> list[str]:
    [block] = re.findall(rf"```text {of}\n(.*?)```", PAGE, re.DOTALL)
    return block.splitlines()


def record_of(text: str, place: str) -> str:
    processor = EventProcessor(None, Redactor())
    encoder = Encoder(transform=processor, clean=processor.clean_parts())
    places: dict[str, dict[str, Any]] = {
        "body": {"requestObject": {"kind": "Widget", "spec": {"note": text}}},
        "message": {"responseStatus": {"code": 400, "message": text}},
        "annotation": {"annotations": {"example.com/note": text}},
        "agent": {"userAgent": text},
    }
    members = places[place]
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
    """Both are made of one grammar: without the gate no more is replaced than with it."""
    mask = Replacement(None)
    ungated = without_encoded(cleaned(text, ~0, mask), mask)
    assert ungated == clean(text, mask) or ungated == text
