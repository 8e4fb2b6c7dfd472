"""Reads YAML text into plain values and the line of every key. No I/O.

Scalars follow YAML 1.2's core schema, as the Collector reads them: `on`, `yes` and times stay
text. A duplicate key is a mistake, because the last one would win in silence.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import yaml

from k8s_audit_otlp.config.mistakes import Mistake
from k8s_audit_otlp.config.reading.plain_yaml import BAD_VALUE, line_of

Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class ConfigDocument:
    """`tree` is what the file says; `lines` knows where each key or item of it stands."""

    tree: Any
    lines: dict[str, int]
    mistakes: tuple[Mistake, ...]

    def line_of(self, place: str) -> int | None:
        """Return the line of *place* or of the nearest block around it."""
        while place and place not in self.lines:
            place = place.rpartition("::")[0]
        return self.lines.get(place)


_OTHER_FILE = "name the file that is meant"
_DEEPEST = 100  # blocks in blocks; a configuration has ten


class _TooManyError(Exception):
    """More values than a configuration has: written, or made by aliases that multiply."""


class Yaml11Loader(yaml.SafeLoader):
    """A SafeLoader with a bound of values; `yes` is a boolean, as to Kubernetes."""

    most = 400_000  # a bomb of aliases has billions; a file of 4 MiB fewer
    nodes = depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.nodes += 1
        if self.nodes > 2 * self.most:  # a value and its key
            raise _TooManyError
        self.depth += 1
        if self.depth > _DEEPEST:
            raise RecursionError
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class Yaml12Loader(Yaml11Loader):
    """Resolves only what YAML 1.2 does."""

    most = 20_000  # a hundred exporters have some thousand


# https://yaml.org/spec/1.2.2/#103-core-schema
_CORE_SCHEMA = (
    ("tag:yaml.org,2002:bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("tag:yaml.org,2002:null", r"~|null|Null|NULL|", "~nN\0"),
    ("tag:yaml.org,2002:int", r"[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    (
        "tag:yaml.org,2002:float",
        r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?",
        "-+.0123456789",
    ),
    ("tag:yaml.org,2002:merge", r"<<", "<"),
)
Yaml12Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in _CORE_SCHEMA:
    # PyYAML looks an empty scalar up under the empty string.
    Yaml12Loader.add_implicit_resolver(
        _tag, re.compile(rf"(?:{_pattern})$"), ["" if one == "\0" else one for one in _first]
    )


def where(path: Path) -> str:
    """Write *path* as the Collector does: `exporters::otlp_http::timeout`."""
    return "::".join(str(part) for part in path)


def read_document(text: str, load: type[Yaml11Loader] = Yaml12Loader) -> ConfigDocument:
    """Return what *text* says; a syntax error is a mistake like any other."""
    lines: dict[str, int] = {}
    mistakes: list[Mistake] = []
    try:
        loader = load(text)
        node = loader.get_single_node()
        tree = _Builder(loader, lines, mistakes).value(node, ()) if node else {}
    except yaml.YAMLError as error:
        return ConfigDocument({}, {}, (_syntax_mistake(error),))
    except RecursionError:
        what = "brackets or blocks are nested too deeply"
        return ConfigDocument({}, {}, (Mistake("", what, _OTHER_FILE),))
    except _TooManyError:
        what = f"it has more than {load.most} values, written or by its aliases"
        return ConfigDocument({}, {}, (Mistake("", what, _OTHER_FILE),))
    return ConfigDocument(tree, lines, tuple(mistakes))


def _syntax_mistake(error: yaml.YAMLError) -> Mistake:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "a character that YAML does not allow"
    column = f" at column {mark.column + 1}" if mark else ""
    return Mistake("", f"not YAML: {problem}{column}", "correct the syntax there", line_of(error))


class _Builder:
    """Turns nodes into values and notes their lines on the way."""

    def __init__(
        self, loader: Yaml11Loader, lines: dict[str, int], mistakes: list[Mistake]
    ) -> None:
        self._loader = loader
        self._lines = lines
        self._mistakes = mistakes
        self._values = 0
        self._open: set[int] = set()  # nodes that are being built: an alias to one is a loop

    def value(self, node: yaml.Node, path: Path) -> Any:
        self._values += 1
        if self._values > self._loader.most:
            raise _TooManyError
        if id(node) in self._open:
            self._mistake(node, path, "an alias refers to the block it stands in", "remove it")
            return None
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                return [self._item(item, (*path, i)) for i, item in enumerate(node.value)]
            return self._scalar(node, path)
        finally:
            self._open.discard(id(node))

    def _item(self, node: yaml.Node, path: Path) -> Any:
        self._lines.setdefault(where(path), node.start_mark.line + 1)
        return self.value(node, path)

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        try:
            return self._loader.construct_object(node)
        except yaml.YAMLError:
            self._mistake(node, path, f"the tag {node.tag} is not known", "remove the tag")
            return None
        except BAD_VALUE:
            self._mistake(node, path, f"is not what the tag {node.tag} says", "remove the tag")
            return None

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        built: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                for part in self._merge_parts(value_node):
                    merged = {**self.value(part, path), **merged}
                continue
            key = self._key(key_node)
            if key in built:
                first = self._lines[where((*path, key))]
                self._mistake(
                    key_node,
                    (*path, key),
                    f"the key is there twice, first in line {first}",
                    "keep one of the two",
                )
            self._lines[where((*path, key))] = key_node.start_mark.line + 1
            built[key] = self.value(value_node, (*path, key))
        return {**merged, **built}

    def _merge_parts(self, node: yaml.Node) -> Iterator[yaml.Node]:
        parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
        yield from (part for part in parts if isinstance(part, yaml.MappingNode))

    def _key(self, node: yaml.Node) -> str:
        return node.value if isinstance(node, yaml.ScalarNode) else "?"

    def _mistake(self, node: yaml.Node, path: Path, what: str, hint: str) -> None:
        self._mistakes.append(Mistake(where(path), what, hint, node.start_mark.line + 1))
