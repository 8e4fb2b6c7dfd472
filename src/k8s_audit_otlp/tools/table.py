"""A table that stays readable at any width: where the columns do not fit, each row is a block."""

from collections.abc import Sequence
from typing import NamedTuple

from rich.box import SIMPLE
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from k8s_audit_otlp.telemetry.terminal_safe import visible
from k8s_audit_otlp.tools import page

_LEAST_TEXT = 20  # columns that a column of text may be folded to
_BETWEEN = 3  # columns between two columns
_INDENT = 4  # columns before what stands beneath a first cell


class _Row(NamedTuple):
    cells: Sequence[str]
    style: str


class FittingTable:
    """Rows under titles; the first *left* columns are text that may fold, the others numbers.

    Below the width that the numbers need, a row becomes its first cell and, indented beneath it,
    the others behind their titles: the texts, then the numbers, which stand below each other.
    """

    def __init__(self, titles: Sequence[str], left: int = 1, *, caption: str = "") -> None:
        self._titles = titles
        self._left = left
        self._rows: list[_Row] = []
        self.caption = caption

    def add_row(self, *cells: str, style: str = "") -> None:
        self._rows.append(_Row([visible(cell) for cell in cells], style))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._least_width() <= options.max_width:
            yield self._table(options.max_width)
        else:
            widths = [self._widest(place) for place in range(len(self._titles))]
            for row in self._rows:
                yield from self._block(row, widths, options.max_width - _INDENT)
        if self.caption:
            yield Text(self.caption, style="italic")

    def _least_width(self) -> int:
        total = 0
        for place, title in enumerate(self._titles):
            width = max(len(title), self._widest(place))
            total += min(width, _LEAST_TEXT) if place < self._left else width
        return total + _BETWEEN * len(self._titles)

    def _widest(self, place: int) -> int:
        return max((Text(row.cells[place]).cell_len for row in self._rows), default=0)

    def _table(self, room: int) -> Table:
        widths = (max(len(title), self._widest(n)) for n, title in enumerate(self._titles))
        roomy = sum(widths) + _BETWEEN * len(self._titles) <= room
        table = Table(box=SIMPLE, pad_edge=False, padding=(0, 1 if roomy else 0))
        for place, title in enumerate(self._titles):
            is_text = place < self._left
            justify: JustifyMethod = "left" if is_text else "right"
            table.add_column(title, justify=justify, overflow="fold", no_wrap=not is_text)
        for row in self._rows:
            table.add_row(*map(Text, row.cells), style=row.style)
        return table

    def _block(self, row: _Row, widths: Sequence[int], room: int) -> RenderResult:
        yield Text(row.cells[0], style=row.style or "bold")
        said = [f"{title}: {cell}" for title, cell in zip(self._titles, row.cells, strict=True)]
        texts = [said[place] for place in range(1, self._left) if row.cells[place]]
        numbers = [
            said[place].ljust(len(title) + 2 + widths[place])
            for place, title in enumerate(self._titles)
            if place >= self._left and row.cells[place]
        ]
        lines = [*_filled(texts, room), *_filled(numbers, room)]
        shown = "\n".join(line.rstrip() for line in lines)
        yield Padding(Text(shown, style=row.style), (0, 0, 0, _INDENT))


def fitted(table: page.Table) -> FittingTable:
    """Return a page's table for a terminal, without its bars."""
    fitting = FittingTable(table.titles, table.text)
    for row in table.rows:
        fitting.add_row(*row.cells, style="dim" if row.faint else "")
    return fitting


def _filled(pieces: Sequence[str], room: int) -> list[str]:
    """Set pieces side by side, as many as a line has room for."""
    lines: list[str] = []
    for piece in pieces:
        wider = f"{lines[-1]}{' ' * _BETWEEN}{piece}" if lines else piece
        if lines and Text(wider.rstrip()).cell_len <= room:
            lines[-1] = wider
        else:
            lines.append(piece)
    return lines
