"""Draws numbers as inline SVG. Text is escaped by whoever passes it."""

from collections.abc import Sequence

STYLE = """
:root{color-scheme:light}
body{font:15px/1.45 system-ui,sans-serif;color:#1b1f24;margin:2rem auto;max-width:70rem;
padding:0 1rem}
h1{font-size:1.6rem;margin:0 0 1rem}h2{font-size:1.2rem;margin:2.2rem 0 .3rem}
h3{font-size:1rem;margin:1.2rem 0 .3rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem;margin:0}
dt{color:#57606a}dd{margin:0;overflow-wrap:anywhere}
p{margin:.4rem 0;max-width:60rem}.note,footer,figcaption{color:#57606a;font-size:.87rem}
footer{margin-top:2.5rem;border-top:1px solid #d0d7de;padding-top:.6rem}
table{border-collapse:collapse;width:100%;margin:.4rem 0;font-size:.9rem}
th,td{text-align:left;vertical-align:top;padding:.25rem .6rem .25rem 0;
border-bottom:1px solid #e4e8ec;overflow-wrap:anywhere}
th{border-bottom:2px solid #8c959f;font-weight:600;overflow-wrap:normal}
td.n,th.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums;
overflow-wrap:normal}
tr.none td{color:#6e7781}
td:nth-child(1),td:nth-child(3){min-width:8.5rem}td:nth-child(2){min-width:4rem}
td.n:nth-child(n){min-width:0}
td.bar{width:8rem;padding-top:.5rem}td.wide{width:55%;padding-top:.5rem}
svg.bar{display:block;width:100%;height:.8rem}svg.bar rect.all{fill:#eef1f4}
svg.bar rect.part{fill:#2f6f9f}svg.bar rect.wire{fill:#8a5a00}svg.bar rect.log{fill:#6e7781}
figure{margin:.5rem 0}svg.time{display:block;width:100%;height:8rem}
svg.time rect{fill:#2f6f9f}svg.time line{stroke:#8c959f}
div.axis{display:flex;justify-content:space-between;font-size:.85rem;color:#57606a}
@media print{body{margin:0;max-width:none}h2{break-after:avoid}tr{break-inside:avoid}
svg rect{print-color-adjust:exact}}
""".replace("\n", "")


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
