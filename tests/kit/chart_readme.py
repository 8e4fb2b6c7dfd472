"""Makes the table of values in the chart's README: `python -m tests.kit.chart_readme`.

A value's meaning is the comment above it, or behind it.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parents[2] / "deploy" / "helm" / "k8s-audit-otlp"
BEGIN, END = "<!-- values: begin -->", "<!-- values: end -->"
_KEY = re.compile(r"^( *)([A-Za-z]\w*):(?: (.*))?$")
_BEHIND = re.compile(r"\s#\s(.*)$")


def rows(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield the path, the default as JSON and the meaning of each value that has no parts."""
    defaults = yaml.safe_load(text)
    above: list[str] = []
    path: list[str] = []
    inherited: dict[int, str] = {}
    for line in text.splitlines():
        if line.lstrip().startswith("# ") and not line.startswith("#  "):
            above.append(line.strip()[2:])
            continue
        found = _KEY.match(line)
        if found is None:
            above = above if line.startswith("#") else []
            continue
        depth = len(found[1]) // 2
        del path[depth:]
        path.append(found[2])
        behind = _BEHIND.search(found[3] or "")
        said = " ".join([*above, *([behind[1]] if behind else [])])
        above = []
        inherited = {level: words for level, words in inherited.items() if level < depth}
        value = at(defaults, path)
        if path[0] == "collector" and depth > 1:
            continue
        if isinstance(value, dict) and value and not (found[3] or "").lstrip().startswith("{"):
            inherited[depth] = said
            if path != ["collector", "config"]:
                continue
        first = " ".join(inherited.pop(level) for level in sorted(inherited) if inherited[level])
        yield ".".join(path), json.dumps(value, ensure_ascii=False), f"{first} {said}".strip()


def at(tree: Any, path: list[str]) -> Any:
    for name in path:
        tree = tree[name]
    return tree


def table() -> str:
    """Return the table as it stands between the README's marks."""
    cells = ["| value | default | meaning |", "|---|---|---|"]
    for path, default, meaning in rows((CHART / "values.yaml").read_text()):
        shown = "" if path == "collector.config" else f"`{default}`".replace("|", "\\|")
        cells.append(f"| `{path}` | {shown} | {meaning.replace('|', 'or').strip()} |")
    return "\n".join(cells)


def renewed(readme: str) -> str:
    head, _, rest = readme.partition(BEGIN)
    return f"{head}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    file = CHART / "README.md"
    file.write_text(renewed(file.read_text()))
