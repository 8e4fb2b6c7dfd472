"""The page stands alone, is well formed, and shows text of the log as text."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.config.audit_files import PolicyText
from k8s_audit_otlp.tools.explain.preview import Preview
from k8s_audit_otlp.tools.explain.show import html_of
from k8s_audit_otlp.tools.explain.source import LogFiles
from k8s_audit_otlp.tools.explain.targets import without_config

VOID = {"meta"}
HOSTILE = "<script>alert(1)</script>\" onload='x' &amp;\x00\u202e"


class Page(HTMLParser):
    """Collects what a page consists of; a tag that is not closed in order is a mistake."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[Any] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[Any]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture
def page(make: Callable[..., Any], write: Callable[..., Any], policy: Path, tmp_path: Path) -> str:
    events = [make("create", HOSTILE), make("get", resource="secrets"), make(HOSTILE[:20])] * 3
    path = write(tmp_path / "audit.log", events)
    targets = without_config([PolicyText(policy.read_text(), "p<b>.yaml")])
    preview = Preview(targets, b"", b"")
    for block in LogFiles.of(path).blocks(1, lambda _: None, 0):
        preview.take("", block)
    return html_of(preview.report([str(path)], ["<i>damage</i>"]))


def test_it_is_well_formed_and_has_charts_with_numbers(page: str) -> None:
    """A bar for each row, labelled with the number that it shows."""
    found = Page(page)
    assert found.tags.count("table") == 4
    labels = [value for name, value in found.attributes if name == "aria-label"]
    assert len(labels) == found.tags.count("svg") > 5
    assert all(re.search(r"\d", label) for label in labels)


def test_it_needs_nothing_from_elsewhere(page: str) -> None:
    """No script, no link, no address; the browser is told to load nothing."""
    found = Page(page)
    assert not {"script", "link", "img", "iframe", "a", "object", "image", "use"} & set(found.tags)
    names = {name for name, _ in found.attributes}
    assert not {"src", "href", "xlink:href", "style"} & names
    assert not [name for name in names if name.startswith("on")]
    assert "://" not in page
    assert "url(" not in page
    assert "@import" not in page
    assert "default-src 'none'" in page


def test_text_of_the_log_stays_text(page: str) -> None:
    """Also where it would end an attribute, and where it would turn the line around."""
    assert "<script" not in page
    assert "<i>" not in page
    assert "<b>" not in page
    assert "\u202e" not in page
    assert "\x00" not in page
    assert "<script>alert(1)</script>" in "".join(Page(page).text)
