"""Replaces the references of a tree by their values. Reads the files that they name."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from k8s_audit_otlp.config.mistakes import Mistake
from k8s_audit_otlp.config.reading.document import Path, where
from k8s_audit_otlp.config.reading.plain_yaml import YamlError, parse_yaml
from k8s_audit_otlp.config.references import (
    Expanded,
    UnresolvedError,
    has_reference,
    parse_template,
    references_in,
)
from k8s_audit_otlp.config.secret import Secret

_SHORTEST_HIDDEN = 4  # characters of what a reference stands for that are not said in a mistake
# as examples and `vendors show` write them: <zone>, REGISTRY/name, http://HOST:4318, YOUR_API_KEY,
# and as the files in deploy/ do: https://BACKEND:4318, CLUSTER, NODE
_PLACEHOLDER = re.compile(
    r"<[A-Za-z][\w .\-]*>"
    r"|\{\{.*?\}\}"  # of Helm, Ansible, Jinja
    r"|(?<![\w{:-])(?:REGISTRY(?=/)|HOST(?![\w-])|CHANGE_?ME(?![\w-])|YOUR[_-][A-Z_-]+)"
    r"|(?<![^/@])(?:BACKEND|CLUSTER|NODE)(?![^/:])"
)


@dataclass(slots=True)
class Expansion:
    """`unread` names the values whose files cannot be read now: a Secret may wait for them."""

    tree: Any = None
    mistakes: list[Mistake] = field(default_factory=list)
    unread: dict[str, tuple[Secret, OSError]] = field(default_factory=dict)
    with_files: set[Secret] = field(default_factory=set)  # the values that hold what files hold
    held: dict[str, str] = field(default_factory=dict)  # what a file or a variable has -> reference

    def as_written(self, text: str) -> str:
        """Return a text that says the reference where it said what that stands for."""
        for value in sorted(self.held, key=len, reverse=True):
            if value in text:
                reference = self.held[value].replace("\\", r"\\")
                text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", reference, text)
        return text


def placeholder(text: str) -> str:
    """Return what in *text* is still to be filled in, as `<zone>` or YOUR_KEY; '' if nothing is."""
    found = _PLACEHOLDER.search(text)
    return found[0] if found else ""


def expand(tree: Any, env: Mapping[str, str]) -> Expansion:
    """Replace every reference in the values of *tree*; keys are taken as they are."""
    expansion = Expansion()
    expansion.tree = _expand(tree, (), env, expansion)
    return expansion


def _expand(node: Any, path: Path, env: Mapping[str, str], found: Expansion) -> Any:
    if isinstance(node, dict):
        return {key: _expand(value, (*path, key), env, found) for key, value in node.items()}
    if isinstance(node, list):
        return [_expand(value, (*path, index), env, found) for index, value in enumerate(node)]
    if isinstance(node, str):
        if (left := placeholder(node)) and "redaction" not in path:  # whose patterns may hold <...>
            hint = "write your own value in its place"
            found.mistakes.append(Mistake(where(path), f"{left} is a placeholder", hint))
        elif has_reference(node):
            return _scalar(node, path, env, found)
    return node


def _scalar(text: str, path: Path, env: Mapping[str, str], found: Expansion) -> Any:
    try:
        secret = parse_template(text, env)
    except UnresolvedError as error:
        found.mistakes.append(Mistake(where(path), error.what, error.hint))
        return None
    if secret.files:
        found.with_files.add(secret)
    try:
        value = "".join(secret.resolved())
        for reference in references_in(text):
            read = "".join(parse_template(reference, env).resolved())
            if len(read) >= _SHORTEST_HIDDEN:
                found.held[read] = reference
    except OSError as error:
        found.unread[where(path)] = (secret, error)
        value = ""
    whole = text.startswith("${") and text.find("}") == len(text) - 1
    block = _block(value) if whole and not secret.files else None
    if block is None:
        return Expanded(value, text, secret)
    found.held |= {read: text for read in _texts(block) if len(read) >= _SHORTEST_HIDDEN}
    return block


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict | list):
        for each in node.values() if isinstance(node, dict) else node:
            yield from _texts(each)


def _block(value: str) -> Any:
    """Return the list or map that a variable holds; anything else stays the text it is."""
    if not value.lstrip().startswith(("[", "{")):
        return None
    try:
        parsed = parse_yaml(value)
    except YamlError:
        return None
    return parsed if isinstance(parsed, dict | list) else None
