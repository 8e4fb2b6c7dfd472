"""Fills in what a shown block leaves to its reader: `<zone>` and the like."""

from typing import TypeVar

from k8s_audit_otlp.config.reading.expand import placeholder

Tree = TypeVar("Tree")


def filled(tree: Tree) -> Tree:
    """Put `example` in the place of every placeholder of a text, a list or a block."""
    if isinstance(tree, dict):
        return type(tree)((key, filled(value)) for key, value in tree.items())
    if isinstance(tree, list):
        return type(tree)(map(filled, tree))
    if isinstance(tree, str):
        return type(tree)(_filled(tree))
    return tree


def _filled(text: str) -> str:
    while left := placeholder(text):
        text = text.replace(left, "example")
    return text
