"""Writes the JSON Schema (Draft 2020-12) of the whole file from the models. No I/O.

Keys that a Collector knows and that have no effect here are in it too, so that an editor does
not complain about a pasted block.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from k8s_audit_otlp.config.mistakes import Kind
from k8s_audit_otlp.config.reading.build import EXPORTERS, EXTENSIONS, RECEIVERS
from k8s_audit_otlp.config.reading.collector_keys import (
    ALIASES,
    IDLE_EXTENSIONS,
    IDLE_PROCESSORS,
    KEYS,
    is_set,
)
from k8s_audit_otlp.config.reading.model_errors import block_at, model_in
from k8s_audit_otlp.config.service import Service

Json: TypeAlias = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE: Json = {
    "description": "A value from the environment or a file.",
    "type": "string",
    "pattern": r"^\$\{.+\}$",
}
_NOT_TEXT = ("integer", "number", "boolean")
_SECTION_LINES = {
    "receivers": "The logs to read, by id: type[/name].",
    "exporters": "The back ends to send to, by id: type[/name].",
    "extensions": "Authenticators, by id: type[/name].",
    "processors": "Accepted from a pasted Collector file: batch and memory_limiter, no effect.",
}


class _Untitled(GenerateJsonSchema):
    """Leaves out titles, which only repeat the names."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        return False


def component_models() -> Mapping[str, Mapping[str, type[BaseModel]]]:
    """Return the model of every component type, by section."""
    return {"receivers": RECEIVERS, "exporters": EXPORTERS, "extensions": EXTENSIONS}


def json_schema() -> Json:
    sections = component_models()
    models: list[type[BaseModel]] = [Service]
    for section in sections.values():
        models.extend(section.values())
    _, defined = models_json_schema(
        [(model, "validation") for model in models], schema_generator=_Untitled
    )
    definitions: Json = {}
    for model in models:
        _take_block(model, defined["$defs"], definitions)
    for section in sections.values():
        for kind, model in section.items():
            _add_collector_keys(definitions, kind, model)
    _add_collector_keys(definitions, "service", Service)
    for definition in definitions.values():
        properties = definition["properties"]
        definition["properties"] = {name: _or_reference(one) for name, one in properties.items()}
    properties = {name: _section(name, models) for name, models in sections.items()}
    properties["processors"] = _idle_section("processors", IDLE_PROCESSORS)
    properties["service"] = {
        "$ref": "#/$defs/Service",
        "description": "The process: where its state is, how it stops.",
    }
    return {
        "$schema": DIALECT,
        "title": "k8s-audit-otlp configuration",
        "type": "object",
        "required": ["receivers", "exporters"],
        "additionalProperties": False,
        "properties": properties,
        "$defs": {**definitions, "Reference": _REFERENCE},
    }


def _take_block(model: type[BaseModel], defined: Json, taken: Json) -> None:
    """Take the definition of *model* and of every block in it.

    pydantic leaves a key's description out where it repeats that of its block, and defines the
    values' own classes, which no file ever spells.
    """
    definition = taken[model.__name__] = defined[model.__name__]
    for name, field in model.model_fields.items():
        key = definition["properties"][field.alias or name]
        key["description"] = field.description
        inner = model_in(field.annotation)
        if inner is not None and inner.__name__ not in taken:
            _take_block(inner, defined, taken)


def _section(section: str, models: Mapping[str, type[BaseModel]]) -> Json:
    spellings = {kind: [kind, *(a for a, k in ALIASES.items() if k == kind)] for kind in models}
    schema = _idle_section(section, IDLE_EXTENSIONS if section == "extensions" else frozenset())
    for kind, model in models.items():
        pattern = f"^({'|'.join(spellings[kind])})(/.+)?$"
        schema["patternProperties"][pattern] = {"$ref": f"#/$defs/{model.__name__}"}
    if section != "extensions":
        schema["minProperties"] = 1
    return schema


def _idle_section(section: str, idle: frozenset[str]) -> Json:
    patterns: Json = {}
    if idle:
        patterns[f"^({'|'.join(sorted(idle))})(/.+)?$"] = {"description": "No effect here."}
    return {
        "type": "object",
        "description": _SECTION_LINES[section],
        "patternProperties": patterns,
        "additionalProperties": False,
    }


def _add_collector_keys(definitions: Json, kind: str, model: type[BaseModel]) -> None:
    for rule in KEYS.get(kind, ()):
        block = block_at(model, rule.path[:-1])
        if block is None:
            continue
        properties = definitions[block.__name__]["properties"]
        name = rule.path[-1]
        if rule.remark is None and rule.when is is_set and name not in properties:
            properties[name] = {"description": f"Refused unless it is off: {rule.why}."}
        elif rule.remark is Kind.NO_EFFECT and name not in properties:
            properties[name] = {"description": f"No effect: {rule.why}."}
        elif rule.remark is Kind.DIFFERENT and name in properties:
            line = f" Differs from the Collector: {rule.why}."
            if not properties[name]["description"].endswith(line):
                properties[name]["description"] += line


def _or_reference(schema: Json) -> Json:
    """Let a value that is not text be written as a reference."""
    outer: Json = {k: schema[k] for k in ("description", "default") if k in schema}
    inner = {k: v for k, v in schema.items() if k not in outer}
    if "enum" in inner or "const" in inner or inner.get("type") in _NOT_TEXT:
        return {**outer, "anyOf": [inner, {"$ref": "#/$defs/Reference"}]}
    return schema
