"""What others chose commands no terminal, wherever it is shown."""

import io
import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from k8s_audit_otlp.cli.exit_codes import say
from k8s_audit_otlp.cli.terminal import echo
from k8s_audit_otlp.telemetry.logs import set_up_logs
from k8s_audit_otlp.telemetry.terminal_safe import visible, visible_json
from k8s_audit_otlp.tools.table import FittingTable

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\x7f\u202egpj\u2028\r\b"


@given(st.text(st.characters(codec=None, exclude_categories=[])))
def test_any_text_becomes_printable_and_json_stays_the_same(text: str) -> None:
    """Half of a pair, which a name of a file may hold, too."""
    assert visible(text).isprintable()
    if text.isprintable():
        assert visible(text) == text
    for indent in (None, 2):
        said = json.dumps({"user": text, "n": [text]}, ensure_ascii=False, indent=indent)
        shown = visible_json(said)
        assert json.loads(shown) == {"user": text, "n": [text]}
        assert shown.replace("\n", "").isprintable()


def table() -> str:
    out = io.StringIO()
    rows = FittingTable(("user", "events"))
    rows.add_row(HOSTILE, "1")
    Console(file=out, width=200).print(rows)
    return out.getvalue()


@pytest.mark.parametrize("encoding", ["console", "json"])
@pytest.mark.parametrize("where", ["message", "field", "exception"])
def test_a_line_of_the_log_is_one_line_without_commands(encoding: str, where: str) -> None:
    """So nobody forges the next one either."""
    stream, root = io.StringIO(), logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        set_up_logs("info", "json" if encoding == "json" else "console", stream)
        error = ValueError(HOSTILE) if where == "exception" else None
        more = {"fields": {"event": "gap", "log": HOSTILE if where == "field" else ""}}
        text = f"{HOSTILE}\nforged" if where == "message" else "so"
        root.warning("%s", text, exc_info=error, extra=more)
        for handler in root.handlers:
            handler.close()
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    written = stream.getvalue()
    assert written.replace("\n", "").isprintable()
    assert (written.count("\n") == 1) is (where != "exception" or encoding == "json")
    if encoding == "json":
        json.loads(written)


def test_messages_and_tables_hold_no_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """Each on the lines that it has."""
    echo(f"who  {HOSTILE}\nnext")
    say(HOSTILE)
    said = capsys.readouterr()
    for text in (said.out, said.err, table()):
        assert text.replace("\n", "").isprintable()
        assert "\\x1b" in text
