"""The JSON Schema in; the configuration reference as Markdown out. No I/O."""

import json
from collections.abc import Iterator
from typing import Any

from k8s_audit_otlp.config.collector_keys import ALIASES, KEYS
from k8s_audit_otlp.config.key_rules import Use
from k8s_audit_otlp.config.schema import component_models, json_schema

_HEAD = "| key | value | default | meaning |\n| --- | --- | --- | --- |"
_NO_EFFECT = "No effect: "


def markdown() -> str:
    """Return every key with its default and one line, block by block."""
    schema = json_schema()
    definitions = schema["$defs"]
    parts = []
    for section, models in component_models().items():
        for kind, model in models.items():
            aliases = "".join(f", alias `{a}`" for a, k in ALIASES.items() if k == kind)
            definition = definitions[model.__name__]
            parts.append(
                f"### {section}: `{kind}`{aliases}\n\n{definition['description']}\n\n"
                + _table(definition, definitions)
            )
    service = definitions["Service"]
    parts.append(f"### `service`\n\n{service['description']}\n\n" + _table(service, definitions))
    parts.append(_collector_keys())
    return "\n\n".join(parts) + "\n"


def _table(definition: dict[str, Any], definitions: dict[str, Any]) -> str:
    return "\n".join((_HEAD, *_rows(definition, definitions, "")))


def _rows(definition: dict[str, Any], definitions: dict[str, Any], prefix: str) -> Iterator[str]:
    required = definition.get("required", ())
    for name, key in definition["properties"].items():
        if key["description"].startswith(_NO_EFFECT):
            continue
        nested = _block_of(key)
        if nested is not None:
            inner = definitions[nested]
            yield from _rows(inner, definitions, f"{prefix}{name}::")
            continue
        default = "required" if name in required else _code(key.get("default"))
        value = _value(key, definitions)
        yield f"| `{prefix}{name}` | {value} | {default} | {key['description']} |"


def _block_of(key: dict[str, Any]) -> str | None:
    """Return the name of the block that *key* holds, if it holds one."""
    for option in (key, *key.get("anyOf", ())):
        name: str = option.get("$ref", "").removeprefix("#/$defs/")
        if name and name != "Reference":
            return name
    return None


def _code(default: Any) -> str:
    if default in (None, "", [], {}):
        return ""
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"


def _value(key: dict[str, Any], definitions: dict[str, Any]) -> str:
    options = [one for one in key.get("anyOf", [key]) if "$ref" not in one]
    words = [_words(one, definitions) for one in options if one.get("type") != "null"]
    return " or ".join(dict.fromkeys(words)) or "anything"


def _words(option: dict[str, Any], definitions: dict[str, Any]) -> str:
    if "enum" in option:
        return ", ".join(f"`{one}`" for one in option["enum"])
    if "const" in option:
        return f"`{option['const']}`"
    if option.get("format") == "duration":
        return "duration"
    if "anyOf" in option:
        return _value(option, definitions)
    kind = option.get("type", "anything")
    kinds = kind if isinstance(kind, list) else [kind]
    names = {"string": "text", "object": "map", "array": "list", "boolean": "true, false"}
    return " or ".join(names.get(str(one), str(one)) for one in kinds)


def _collector_keys() -> str:
    lines = [
        "### Keys of a pasted Collector block",
        "",
        "Every other key of such a block is honoured.",
        "",
        "| block | key | what becomes of it | why |",
        "| --- | --- | --- | --- |",
    ]
    for kind, rules in KEYS.items():
        for rule in rules:
            if rule.use is Use.HONOURED:
                continue
            why = f"{rule.why}; {rule.way_out}" if rule.way_out else rule.why
            lines.append(f"| `{kind}` | `{rule.key}` | {rule.use} | {why} |")
    return "\n".join(lines)
