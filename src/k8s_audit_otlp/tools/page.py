"""Writes pages of HTML that need nothing else: no script, no font, no picture that is loaded.

Templates escape whatever they are given; what a page shows is plain values here.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple


class Bar(NamedTuple):
    """A part of a whole; `label` says it in words, `kind` is one of the style's."""

    part: float
    whole: float
    label: str
    kind: str = "part"

    @property
    def width(self) -> float:
        """Percent of the whole."""
        return 100 * min(1.0, self.part / self.whole) if self.whole > 0 else 0.0


class PageRow(NamedTuple):
    """Cells of a table, and what is drawn in its last column."""

    cells: Sequence[str]
    bar: Bar | None = None
    faint: bool = False


class Table(NamedTuple):
    """The first `text` columns stand to the left, numbers to the right.

    `bars`: the class of a further column for bars, "bar" or "wide"; none where it is empty.
    """

    titles: Sequence[str]
    rows: Sequence[PageRow]
    text: int
    bars: str = ""


class List(NamedTuple):
    """Lines of a list; `more` is how many were left out."""

    lines: Sequence[str]
    more: int = 0


class Section(NamedTuple):
    """A heading and one thing below it."""

    title: str
    pairs: Iterable[tuple[str, str]] | None = None
    list: List | None = None


def render(template: str, **values: Any) -> str:
    """Fill a template of this folder; whatever it is given is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 - who wants it

    environment = Environment(
        loader=PackageLoader("k8s_audit_otlp.tools", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(values)
