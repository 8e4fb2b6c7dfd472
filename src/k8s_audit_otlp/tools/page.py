"""Writes pages of HTML that need nothing else: no script, no font, no picture that is loaded.

Titles and pairs are escaped here; sections and the texts in charts by whoever passes them.
"""

from collections.abc import Iterable, Sequence
from html import escape

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"  # nothing is loaded, nothing runs
_STYLE = """
:root{color-scheme:light dark;--text:#1b1f24;--dim:#57606a;--line:#e4e8ec;--rule:#8c959f;
--all:#eef1f4;--part:#2f6f9f;--wire:#8a5a00;--log:#6e7781;--back:#fff}
@media screen and (prefers-color-scheme:dark){:root{--text:#e6e8ea;--dim:#9aa4ae;--line:#30363d;
--rule:#6e7781;--all:#262c33;--part:#5aa2d6;--wire:#d9a441;--log:#9aa4ae;--back:#14171a}}
body{font:15px/1.45 system-ui,sans-serif;color:var(--text);background:var(--back);
margin:2rem auto;max-width:70rem;
padding:0 1rem}
h1{font-size:1.6rem;margin:0 0 1rem}h2{font-size:1.2rem;margin:2.2rem 0 .3rem}
h3{font-size:1rem;margin:1.2rem 0 .3rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem;margin:0}
dt{color:var(--dim)}dd{margin:0;overflow-wrap:anywhere}
p{margin:.4rem 0;max-width:60rem}.note,footer,figcaption{color:var(--dim);font-size:.87rem}
footer{margin-top:2.5rem;border-top:1px solid var(--line);padding-top:.6rem}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;margin:.4rem 0;font-size:.9rem}
th,td{text-align:left;vertical-align:top;padding:.25rem .6rem .25rem 0;
border-bottom:1px solid var(--line);overflow-wrap:anywhere}
th{border-bottom:2px solid var(--rule);font-weight:600;overflow-wrap:normal}
td.n,th.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums;
overflow-wrap:normal}
tr.none td{color:var(--dim)}
td:nth-child(1),td:nth-child(3){min-width:8.5rem}td:nth-child(2){min-width:4rem}
td.n:nth-child(n){min-width:0}
td.bar{width:8rem;padding-top:.5rem}td.wide{width:55%;padding-top:.5rem}
svg.bar{display:block;width:100%;height:.8rem}svg.bar rect.all{fill:var(--all)}
svg.bar rect.part{fill:var(--part)}svg.bar rect.wire{fill:var(--wire)}
svg.bar rect.log{fill:var(--log)}
figure{margin:.5rem 0}svg.time{display:block;width:100%;height:8rem}
svg.time rect{fill:var(--part)}svg.time line{stroke:var(--rule)}
div.axis{display:flex;justify-content:space-between;font-size:.85rem;color:var(--dim)}
@media print{body{margin:0;max-width:none}h2{break-after:avoid}tr{break-inside:avoid}
svg rect{print-color-adjust:exact}}
""".replace("\n", "")


def document(title: str, sections: Iterable[str], footer: str, *, style: str = "") -> str:
    """Return a whole page of sections, which are HTML; *style* is added to that of all pages."""
    parts = [
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{escape(title)}</title>\n<style>{_STYLE}{style}</style></head><body>",
        f"<h1>{escape(title)}</h1>",
        *sections,
        f"<footer>{footer}</footer>",
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def pairs(rows: Iterable[tuple[str, str]]) -> str:
    """Write names and what is said of each."""
    cells = (f"<dt>{escape(name)}</dt><dd>{escape(said)}</dd>" for name, said in rows)
    return f"<dl>{''.join(cells)}</dl>"


def bar(part: float, whole: float, label: str, kind: str = "part") -> str:
    """Draw a part of a whole; *label* says it in words."""
    width = 100 * min(1.0, part / whole) if whole > 0 else 0.0
    return (
        f'<svg class="bar" role="img" aria-label="{label}" viewBox="0 0 100 8"'
        ' preserveAspectRatio="none"><rect class="all" width="100" height="8"/>'
        f'<rect class="{kind}" width="{width:.2f}" height="8"/></svg>'
    )


def columns(values: Sequence[float], titles: Sequence[str], label: str) -> str:
    """Draw one column per value, to the scale of the highest."""
    highest = max(values, default=0.0) or 1.0
    drawn = "".join(
        f'<rect x="{i + 0.05:.2f}" y="{100 - 100 * value / highest:.2f}" width="0.9"'
        f' height="{100 * value / highest:.2f}"><title>{title}</title></rect>'
        for i, (value, title) in enumerate(zip(values, titles, strict=True))
    )
    return (
        f'<svg class="time" role="img" aria-label="{label}" viewBox="0 0 {len(values)} 100"'
        f' preserveAspectRatio="none">{drawn}</svg>'
    )
