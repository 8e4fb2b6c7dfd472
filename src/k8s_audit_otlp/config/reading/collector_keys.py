"""What becomes of the keys and components of a pasted Collector file. No I/O.

The rules are rows of `collector_keys.yaml`, which says what they mean.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from k8s_audit_otlp.config.durations import duration_ns
from k8s_audit_otlp.config.mistakes import Kind
from k8s_audit_otlp.config.reading.plain_yaml import packaged_yaml

# How a row says what becomes of a key beside being honoured: a remark, or None for a mistake.
_WORDS: Final = {"no_effect": Kind.NO_EFFECT, "different": Kind.DIFFERENT, "refused": None}


def always(_: Any) -> bool:
    return True


def is_set(value: Any) -> bool:
    """Tell a key that asks for something from one written out with its empty default."""
    if isinstance(value, Mapping) and "enabled" in value:
        return str(value["enabled"]).lower() == "true"
    return bool(value) and str(value).lower() not in {"false", "0", "0s"}


def _is_positive(value: Any) -> bool:
    try:
        return duration_ns(str(value)) > 0
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class KeyRule:
    """One key of a block; `key` joins nested keys with `::`. One without a remark is refused."""

    key: str
    remark: Kind | None
    why: str = ""
    hint: str = ""
    when: Callable[[Any], bool] = always

    @property
    def path(self) -> tuple[str, ...]:
        return tuple(self.key.split("::"))


Rules: TypeAlias = tuple[KeyRule, ...]
_Rows: TypeAlias = list[dict[str, Any]]


def _rules(rows: _Rows, shared: Mapping[str, _Rows]) -> Iterator[KeyRule]:
    for row in rows:
        if "all_of" in row:
            for rule in _rules(shared[row["all_of"]], shared):
                below = f"{row['below']}::" if "below" in row else ""
                yield replace(rule, key=below + rule.key)
            continue
        word, remark = next(pair for pair in _WORDS.items() if pair[0] in row)
        keys = row[word]
        for key in keys if isinstance(keys, list) else [keys]:
            yield KeyRule(key, remark, row["why"], row.get("hint", ""), _condition(row))


def _condition(row: Mapping[str, Any]) -> Callable[[Any], bool]:
    if row.get("when") == "positive":
        return _is_positive
    values = row.get("values") or ([row["when"]] if "when" in row else [])
    if values:
        return lambda value: str(value).lower() in values
    if "unless" in row:
        return lambda value: str(value) != row["unless"]
    return is_set if "refused" in row else always


def _by_name(hints: Mapping[str, list[str]]) -> dict[str, str]:
    return {name: hint for hint, names in hints.items() for name in names}


_TABLE: Final = packaged_yaml(__package__, "collector_keys.yaml")
KEYS: Final[Mapping[str, Rules]] = {
    kind: tuple(_rules(rows, _TABLE["shared"])) for kind, rows in _TABLE["blocks"].items()
}
ALIASES: Final[Mapping[str, str]] = _TABLE["aliases"]
IDLE_EXTENSIONS: Final = frozenset(_TABLE["idle_extensions"])
IDLE_PROCESSORS: Final = frozenset(_TABLE["idle_processors"])
FOREIGN_RECEIVERS: Final = _by_name(_TABLE["foreign_receivers"])
FOREIGN_PROCESSORS: Final = _by_name(_TABLE["foreign_processors"])
FOREIGN_EXPORTERS: Final = {
    **_by_name(_TABLE["foreign_exporters"]),
    **{
        name: f"write otlp_http with audit: {{vendor: {preset}}}; see vendors show {preset}"
        for name, preset in _TABLE["presets_of_exporters"].items()
    },
}


def table_of(section: str, kind: str) -> str:
    """Return under which name the rules of a component are: some names stand for two."""
    receiver = f"{kind} receiver"
    return receiver if section == "receivers" and receiver in KEYS else kind


def rules_met(kind: str, block: Mapping[str, Any]) -> Iterator[KeyRule]:
    """Yield the rule that decides about each key of *block* that has one.

    A rule with a condition comes before one without. What is written out empty has no effect.
    """
    rules, decided = KEYS.get(kind, ()), set[str]()
    for rule in sorted(rules, key=lambda rule: rule.when is always):
        found, value = _look_up(block, rule.path)
        if not found or value is None or rule.key in decided:
            continue
        if not rule.when(value):
            if rule.when is not is_set:
                continue
            rule = replace(rule, remark=Kind.NO_EFFECT, why="it is off")  # noqa: PLW2901
        decided.add(rule.key)
        yield rule


def _look_up(block: Any, path: tuple[str, ...]) -> tuple[bool, Any]:
    for part in path:
        if not isinstance(block, Mapping) or part not in block:
            return False, None
        block = block[part]
    return True, block


def known_keys(kind: str, parent: tuple[str, ...]) -> set[str]:
    """Return the keys that a Collector knows directly under *parent*, for suggestions."""
    depth = len(parent)
    return {
        rule.path[depth]
        for rule in KEYS.get(kind, ())
        if len(rule.path) > depth and rule.path[:depth] == parent
    }
