"""The queries that the pages print, by their mark `<!-- query: NAME -->`."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
_QUERY = re.compile(r"<!-- query: (\w+) -->\n```\w+\n(.*?)```", re.DOTALL)


def queries() -> dict[str, str]:
    """Return every query that the pages print and the tests run."""
    text = (ROOT / "README.md").read_text() + (ROOT / "otel-config/queries.md").read_text()
    return dict(_QUERY.findall(text))
