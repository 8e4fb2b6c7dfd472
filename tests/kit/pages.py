"""What the pages print: tables that are made anew, queries, blocks with their gaps filled in."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from k8s_audit_otlp.config.output.schema import component_models, json_schema
from k8s_audit_otlp.config.reading.collector_keys import ALIASES, KEYS
from k8s_audit_otlp.config.reading.expand import placeholder
from k8s_audit_otlp.otlp.mapping import MappingOptions, rows_in

_Json: TypeAlias = dict[str, Any]
_HEAD = "| key | value | default | meaning |\n| --- | --- | --- | --- |"
_FOREIGN = ("No effect: ", "Refused ")  # keys that only a Collector honours


def markdown() -> str:
    """Return every key with its default and one line, block by block; shared blocks once."""
    schema = json_schema()
    definitions = schema["$defs"]
    heads = {
        model.__name__: f"{section}: `{kind}`{_aliases(kind)}"
        for section, models in component_models().items()
        for kind, model in models.items()
    }
    heads["Service"] = "`service`"
    shared = _shared(heads, definitions)
    parts = [
        _part(f"### {head}", definitions[name], definitions, shared) for name, head in heads.items()
    ]
    parts += [
        _part(f"### block `{key}`", definitions[name], definitions, shared)
        for name, key in shared.items()
    ]
    parts.append(_collector_keys())
    return "\n\n".join(parts) + "\n"


def _aliases(kind: str) -> str:
    return "".join(f", alias `{alias}`" for alias, real in ALIASES.items() if real == kind)


def _shared(heads: Iterable[str], definitions: _Json) -> dict[str, str]:
    """Return the blocks that several components have: name of the model -> key."""
    uses: Counter[tuple[str, str]] = Counter()
    for name in heads:
        for key, value in definitions[name]["properties"].items():
            if block := _block_of(value):
                uses[block, key] += 1
    return {block: key for (block, key), count in uses.items() if count > 1}


def _part(head: str, definition: _Json, definitions: _Json, shared: Mapping[str, str]) -> str:
    rows = sorted(_rows(definition, definitions, shared, ""), key=lambda row: "(#block-" in row)
    return "\n".join((head, "", definition["description"], "", _HEAD, *rows))


def _rows(
    definition: _Json, definitions: _Json, shared: Mapping[str, str], prefix: str
) -> Iterator[str]:
    required = definition.get("required", ())
    for name, key in definition["properties"].items():
        meaning = key["description"]
        if meaning.startswith(_FOREIGN):
            continue
        block = _block_of(key)
        if block in shared:
            yield f"| `{prefix}{name}` | [block](#block-{name}) | | {meaning} |"
        elif (each := _block_of(_each(key))) is not None:
            below = f"{name}[]" if "items" in key else f"{name}::ID"
            yield from _rows(definitions[each], definitions, shared, f"{prefix}{below}::")
        elif block is not None:
            yield from _rows(definitions[block], definitions, shared, f"{prefix}{name}::")
        else:
            default = "required" if name in required else _code(key.get("default"))
            yield f"| `{prefix}{name}` | {_value(key)} | {default} | {meaning} |"


def _each(key: _Json) -> _Json:
    """Return the schema of every value of a map or list; that of anything is `true`."""
    each = key.get("additionalProperties", key.get("items"))
    return each if isinstance(each, dict) else {}


def _block_of(key: _Json) -> str | None:
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


def _value(key: _Json) -> str:
    options = [one for one in key.get("anyOf", [key]) if "$ref" not in one]
    words = [_words(one) for one in options if one.get("type") != "null"]
    return " or ".join(dict.fromkeys(words)) or "anything"


def _words(option: _Json) -> str:
    if "enum" in option:
        return ", ".join(dict.fromkeys(f"`{one}`" for one in option["enum"]))
    if "const" in option:
        return f"`{option['const']}`"
    if option.get("format") in {"duration", "size"}:
        return str(option["format"])
    if "anyOf" in option:
        return _value(option)
    kind = option.get("type", "anything")
    kinds = kind if isinstance(kind, list) else [kind]
    names = {"string": "text", "object": "map", "array": "list", "boolean": "true, false"}
    return " or ".join(names.get(str(one), str(one)) for one in kinds)


def _collector_keys() -> str:
    blocks: dict[tuple[str, str, str], list[str]] = {}
    for kind, rules in KEYS.items():
        for rule in rules:
            why = f"{rule.why}; {rule.hint}" if rule.hint else rule.why
            blocks.setdefault((rule.key, rule.remark or "refused", why), []).append(f"`{kind}`")
    return "\n".join(
        (
            "### Keys of a pasted Collector block",
            "",
            "Every other key of such a block is honoured. Some are refused only for some values.",
            "",
            "| key | of | what becomes of it | why |",
            "| --- | --- | --- | --- |",
            *(
                f"| `{key}` | {', '.join(kinds)} | {use} | {why} |"
                for (key, use, why), kinds in blocks.items()
            ),
        )
    )


def attributes_page(options: MappingOptions) -> str:
    lines = ["| attribute | type | from | remark |", "|---|---|---|---|"]
    for row in rows_in(options):
        key = row.key_with(options.prefix)
        lines.append(f"| `{key}` | {row.type} | `{row.source}` | {row.note} |")
    return "\n".join(lines) + "\n"


ROOT = Path(__file__).parents[2]
_QUERY = re.compile(r"<!-- query: (\w+) -->\n```\w+\n(.*?)```", re.DOTALL)


def queries() -> dict[str, str]:
    """Return every query that the pages print and the tests run."""
    text = (ROOT / "README.md").read_text() + (ROOT / "otel-config/queries.md").read_text()
    return dict(_QUERY.findall(text))


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
