"""A table loses nothing at any width."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from k8s_audit_otlp.tools.table import FittingTable

TITLES = ("rule", "what it matches", "events", "bytes")
CELL = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=60)


def drawn(rows: list[tuple[str, ...]], width: int) -> str:
    table = FittingTable(TITLES, 2)
    for row in rows:
        table.add_row(*row)
    out = io.StringIO()
    Console(file=out, width=width, height=24, color_system=None).print(table)
    return out.getvalue()


@given(st.lists(st.tuples(CELL, CELL, CELL, CELL), min_size=1, max_size=4), st.integers(80, 200))
def test_every_character_is_there_and_no_line_is_too_wide(
    rows: list[tuple[str, ...]], width: int
) -> None:
    """Folded or as blocks."""
    text = drawn(rows, width)
    left = "".join(text.split())
    for row in rows:
        for cell in row:
            for character in cell:
                assert character in left
    assert all(len(line) <= width for line in text.splitlines())


@pytest.mark.parametrize(("width", "is_table"), [(40, False), (80, True), (200, True)])
def test_a_row_becomes_a_block_only_where_its_columns_do_not_fit(
    width: int, *, is_table: bool
) -> None:
    """Its titles then stand before the cells."""
    text = drawn([("rule 1", "a" * 30, "1,234,567", "12.5 GiB")], width)
    assert ("events: 1,234,567" not in text) is is_table
    assert "1,234,567" in text
