"""Replaces the references of a tree by their values. Reads the files that they name."""

import re
from collections.abc import Mapping
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
)
from k8s_audit_otlp.config.secret import FileText, Secret

_SHORTEST_HIDDEN = 4  # characters of a file that are not said in a mistake
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
    from_files: dict[str, str] = field(default_factory=dict)  # text -> the reference to it

    def without_files(self, text: str) -> str:
        """Return a text that says the reference where it said what the file holds."""
        for held in sorted(self.from_files, key=len, reverse=True):
            text = text.replace(held, self.from_files[held])
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
        parts = [*secret.resolved()]
        value = "".join(parts)
        for part, read in zip(secret.parts, parts, strict=True):
            if isinstance(part, FileText) and len(read) >= _SHORTEST_HIDDEN:
                found.from_files[read] = f"${{file:{part.path}}}"
    except OSError as error:
        found.unread[where(path)] = (secret, error)
        value = ""
    whole = text.startswith("${") and text.find("}") == len(text) - 1
    block = _block(value) if whole and not secret.files else None
    return Expanded(value, text, secret) if block is None else block


def _block(value: str) -> Any:
    """Return the list or map that a variable holds; anything else stays the text it is."""
    if not value.lstrip().startswith(("[", "{")):
        return None
    try:
        parsed = parse_yaml(value)
    except YamlError:
        return None
    return parsed if isinstance(parsed, dict | list) else None
