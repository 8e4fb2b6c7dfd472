"""Explains pydantic's errors as Mistakes: where, what, and the hint. Values only.

A value is shown only where it is a number, a word from a list or a boolean; text that may be a
secret never is.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from k8s_audit_otlp.config.mistakes import Mistake, suggest
from k8s_audit_otlp.config.reading.collector_keys import known_keys
from k8s_audit_otlp.config.reading.document import Path, where
from k8s_audit_otlp.config.types import shown

_Words = tuple[str, str]
_NO_BLOCK: _Words = ("is not a block of keys", "write its keys indented below it")
_NO_LIST: _Words = ("is not a list", "write one as [a, b]")
_NO_TEXT: _Words = ("is not a text", "write one value, quoted if need be")

# https://docs.pydantic.dev/latest/errors/validation_errors/
_FIXED: Mapping[str, _Words] = {
    "dict_type": _NO_BLOCK,
    "model_type": _NO_BLOCK,
    "model_attributes_type": _NO_BLOCK,
    "mapping_type": _NO_BLOCK,
    "list_type": _NO_LIST,
    "tuple_type": _NO_LIST,
    "frozen_set_type": _NO_LIST,
    "string_type": _NO_TEXT,
}
_SHOWING: Mapping[str, Callable[[str, Mapping[str, Any]], _Words]] = {
    "literal_error": lambda value, ctx: (
        f"{value} is not known",
        f"write {str(ctx['expected']).replace(chr(39), '')}",
    ),
    "greater_than_equal": lambda value, ctx: (
        f"{value} is below {ctx['ge']:g}",
        f"write {ctx['ge']:g} or more",
    ),
    "less_than_equal": lambda value, ctx: (
        f"{value} is above {ctx['le']:g}",
        f"write {ctx['le']:g} or less",
    ),
}
_FAMILIES: Mapping[str, tuple[str, str]] = {
    "bool": ("is not true or false", "write true or false"),
    "int": ("is not a whole number", "write digits only"),
    "float": ("is not a number", "write one such as 1.5"),
}


def explain(
    error: ValidationError, model: type[BaseModel], kind: str, path: Path
) -> Iterator[Mistake]:
    """Yield a Mistake for each thing that pydantic found in the block at *path*."""
    for found in error.errors(include_url=False):
        inner = tuple(part for part in found["loc"] if part != "[key]")
        what, hint = _words(found, model, kind, inner)
        yield Mistake(where((*path, *inner)), what, hint)


def _words(found: Any, model: type[BaseModel], kind: str, inner: Path) -> _Words:
    name, ctx = str(found["type"]), found.get("ctx", {})
    if name == "mistake":
        return ctx["what"], ctx["hint"]
    if name == "extra_forbidden":
        return "unknown key", _place_of(str(inner[-1]), model, kind, inner[:-1])
    if name == "missing":
        return "is missing", f"add it: {_description(model, inner)}"
    if name in _SHOWING:
        return _SHOWING[name](shown(found["input"]), ctx)
    return _FIXED.get(name) or _wrong_type(name, found["input"])


def _wrong_type(name: str, value: object) -> _Words:
    what, hint = _FAMILIES.get(name.partition("_")[0], ("is not valid", "see the reference"))
    scalar = isinstance(value, str | int | float)
    return (f"{shown(value)} {what}" if scalar else what), hint


def block_at(model: type[BaseModel], path: Path) -> type[BaseModel] | None:
    """Return the model of the block at *path* below *model*."""
    here: type[BaseModel] | None = model
    for part in path:
        if isinstance(part, int):
            continue  # of a list of blocks
        if here is None:
            return None
        field = next((f for n, f in here.model_fields.items() if str(part) in {n, f.alias}), None)
        here = model_in(field.annotation) if field else None
    return here


def model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the block that a field of this type holds, if it holds one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for arg in get_args(annotation) if (m := model_in(arg))), None)


def has_key(model: type[BaseModel], path: Path) -> bool:
    """Tell whether the block of *model* knows a key at *path*."""
    block = block_at(model, path[:-1])
    return block is not None and path[-1] in keys_of(block)


def keys_of(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def _place_of(name: str, model: type[BaseModel], kind: str, parent: Path) -> str:
    """Say where an unknown key belongs: in a block beside it, or under another name."""
    block = block_at(model, parent)
    for key in sorted(keys_of(block)) if block else ():
        if has_key(model, (*parent, key, name)):
            return f"it belongs to {key}: write {key}: {{{name}: ...}}"
    return suggest(name, _siblings(model, kind, parent))


def _siblings(model: type[BaseModel], kind: str, parent: Path) -> set[str]:
    block = block_at(model, parent)
    names = tuple(str(part) for part in parent)
    return (keys_of(block) if block else set()) | known_keys(kind, names)


def _description(model: type[BaseModel], inner: Path) -> str:
    block = block_at(model, inner[:-1])
    fields = block.model_fields.items() if block else ()
    found = (f.description for n, f in fields if inner[-1] in {n, f.alias})
    return next(found, None) or "see the reference"
