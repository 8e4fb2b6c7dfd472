"""Reads YAML that is no configuration of ours: tables of the package, and what others wrote."""

import re
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import yaml

# A value that is not what its tag says (`!!int ""`, `!!bool x`) ends PyYAML and ruamel.yaml with
# whatever comes first; a date of month 13 is a ValueError, and deep nesting a RecursionError.
BAD_VALUE = (ValueError, LookupError, TypeError, AttributeError)
REFUSED = (yaml.YAMLError, *BAD_VALUE, RecursionError)


_BRACKETS = re.compile(rb"[\[\]{}]")
_DEEPEST = 300  # brackets in one another; with some hundred more a RecursionError ends it


class YamlError(ValueError):
    """Some text is not YAML: `problem` says why, at `line`, where that is known."""

    def __init__(self, error: Exception) -> None:
        self.line, self.problem = line_of(error), getattr(error, "problem", None)
        super().__init__(self.problem or "a value in it, or how deep it is, is not taken")


def line_of(error: Exception) -> int | None:
    mark = getattr(error, "problem_mark", None)
    return mark.line + 1 if mark else None


def _is_deep(text: str | bytes) -> bool:
    depth = 0
    for bracket in _BRACKETS.findall(text if isinstance(text, bytes) else text.encode()):
        depth += 1 if bracket in b"[{" else -1
        if depth > _DEEPEST:
            return True
    return False


def parse_yaml(text: str | bytes, load: Callable[..., Any] = yaml.safe_load) -> Any:
    """Return what *load* reads of *text*, its only document. Raise YamlError."""
    if _is_deep(text):  # PyYAML takes a second to find that out
        raise YamlError(RecursionError())
    try:
        return load(text)
    except REFUSED as error:
        raise YamlError(error) from None


def parse_yaml_documents(text: str) -> list[Any]:
    """Return what each document of *text* says. Raise YamlError."""
    documents: list[Any] = parse_yaml(text, lambda text: list(yaml.safe_load_all(text)))
    return documents


def packaged_yaml(package: str, name: str) -> Any:
    """Read a table that comes with the package.

    libyaml's loader takes a fortieth of the time, where there is one.
    """
    text = files(package).joinpath(name).read_text(encoding="utf-8")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(text, Loader=loader)  # noqa: S506 - either is safe
