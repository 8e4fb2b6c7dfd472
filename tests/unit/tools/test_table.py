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


def test_numbers_of_blocks_stand_below_each_other_and_no_pair_is_torn() -> None:
    """So a narrow terminal can be read down as a table is."""
    rows: list[tuple[str, ...]] = [
        ("rule 1", "a b c d", "1,234,567", "12.5 GiB"),
        ("rule 22", "e", "7", "1 B"),
    ]
    lines = [line.rstrip() for line in drawn(rows, 31).splitlines()]
    assert lines == [
        "rule 1",
        "    what it matches: a b c d",
        "    events: 1,234,567",
        "    bytes: 12.5 GiB",
        "rule 22",
        "    what it matches: e",
        "    events: 7",
        "    bytes: 1 B",
    ]
    rows = [("a" * 20, "b" * 30, *row[2:]) for row in rows]
    at = [line.index("bytes") for line in drawn(rows, 48).splitlines() if "bytes" in line]
    assert at == [at[0]] * 2
    assert at[0] > len("    events: 7   ")


def test_columns_come_closer_before_a_name_is_parted() -> None:
    """As that of a backup of kube-apiserver, which is searched for as a whole."""
    name, numbers = "audit-2026-11-24T06-24-19.720.log.gz", ("1007.6 KiB", "8,475", "0", "8,475")
    table = FittingTable(("segment", "bytes", "events", "arrived", "missing", "receipt"))
    table.add_row(name, *numbers, "8,475")
    out = io.StringIO()
    Console(file=out, width=80, color_system=None).print(table)
    assert name in out.getvalue()


def test_a_block_leaves_no_hole_where_a_cell_is_empty() -> None:
    """What is not known has no title, and what stands behind it no gap before it."""
    text = drawn([("a", "b", "", "7"), ("c", "d", "9", "8")], 20)
    assert text.count("events") == 1
    assert "\n    bytes: 7" in text
