"""A mapping from the configuration in, frozen RedactionRules out, or every mistake at once."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

# Built-in rules by the name under which they fire. Facts: kubernetes.io/docs/concepts/security/
# secrets-good-practices, k8s.io/api authentication/v1, RFC 6750 section 2.3, RFC 7519.
RULES = {
    "secret": "data and stringData of Secrets, in every shape and patch",
    "configmap": "data and binaryData of ConfigMaps",
    "last-applied": "copies of the object in annotations",
    "token": "tokens in TokenRequest and TokenReview",
    "env": "values of environment variables and probe headers",
    "args": "command lines in containers and exec requests, as `args` says",
    "patch-annotation": "what a mutating webhook put in, as its audit annotation repeats it",
    "key": "members of any body or annotation whose name says credential",
    "uri": "credentials in the query of requestURI",
    "text": "tokens, keys and passwords in free text, and values that error messages echo",
}
UNREADABLE = "unreadable-body"  # fires when a body had to be removed because it cannot be followed
BODIES = "bodies"  # fires when `bodies: drop` removed one


@dataclass(frozen=True, slots=True)
class OwnRule:
    """A rule of the operator's: where (`resource`), and one of `path`, `keys`, `pattern`."""

    name: str
    resource: str = "*"  # <resource>[.<group>], with * and ?
    path: tuple[str, ...] = ()  # member names, * for any member or element, ** for any depth
    keys: re.Pattern[str] | None = None
    pattern: re.Pattern[str] | None = None

    def covers(self, resource: str) -> bool:
        return self.resource == "*" or fnmatchcase(resource, self.resource)


@dataclass(frozen=True, slots=True)
class RedactionRules:
    off: frozenset[str] = frozenset()
    args: Literal["keep", "first", "redact"] = "first"
    bodies: Literal["keep", "drop"] = "keep"
    replace_with: Literal["mask", "hmac"] = "mask"
    key: bytes = field(default=b"", repr=False)
    pseudonymise: frozenset[str] = frozenset()  # of "users" and "addresses"
    own: tuple[OwnRule, ...] = ()

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], *, key: bytes = b"") -> "RedactionRules":
        """Build the rules from plain data; `key` is the content of `key_file`."""
        reader = _Reader(key)
        rules = reader.rules(mapping)
        if reader.mistakes or rules is None:
            raise ValueError("\n".join(reader.mistakes))
        return rules


_CHOICES: dict[str, tuple[str, ...]] = {
    "args": ("keep", "first", "redact"),
    "bodies": ("keep", "drop"),
    "replace_with": ("mask", "hmac"),
}
_OWN_MEMBERS = ("name", "resource", "path", "keys", "pattern")
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\*|\d+)\]")
MIN_KEY_BYTES = 16  # a shorter key is guessed from one known value


class _Reader:
    def __init__(self, key: bytes) -> None:
        self.key = key
        self.mistakes: list[str] = []

    def rules(self, mapping: Mapping[str, Any]) -> RedactionRules | None:
        known = {*_CHOICES, "rules", "pseudonymise", "own", "key_file"}
        for name in mapping:
            if name not in known:
                self.wrong(str(name), f"unknown; one of {', '.join(sorted(known))}")
        chosen = {name: self.choice(mapping, name) for name in _CHOICES}
        pseudonymise = self.names(mapping, "pseudonymise", ("users", "addresses"))
        if (chosen["replace_with"] == "hmac" or pseudonymise) and len(self.key) < MIN_KEY_BYTES:
            need = f"a key of at least {MIN_KEY_BYTES} bytes; write one to a file and name it here"
            self.wrong("key_file", f"hmac and pseudonymise need {need}")
        off, own = self.switches(mapping), self.own(mapping)
        if self.mistakes:
            return None
        values: dict[str, Any] = chosen
        return RedactionRules(
            off=off, key=self.key, pseudonymise=pseudonymise, own=tuple(own), **values
        )

    def wrong(self, where: str, what: str) -> None:
        self.mistakes.append(f"{where}: {what}")

    def choice(self, mapping: Mapping[str, Any], name: str) -> str:
        value = mapping.get(name, {"args": "first", "bodies": "keep", "replace_with": "mask"}[name])
        if value not in _CHOICES[name]:
            self.wrong(name, f"{value!r} is none of {', '.join(_CHOICES[name])}")
        return str(value)

    def names(
        self, mapping: Mapping[str, Any], name: str, allowed: tuple[str, ...]
    ) -> frozenset[str]:
        value = mapping.get(name) or []
        if not isinstance(value, list | tuple) or any(item not in allowed for item in value):
            self.wrong(name, f"{value!r} is no list of {', '.join(allowed)}")
            return frozenset()
        return frozenset(value)

    def switches(self, mapping: Mapping[str, Any]) -> frozenset[str]:
        switches = mapping.get("rules") or {}
        if not isinstance(switches, Mapping):
            self.wrong("rules", "a mapping of rule names to true or false")
            return frozenset()
        for name, value in switches.items():
            if name not in RULES:
                self.wrong(f"rules.{name}", f"unknown rule; one of {', '.join(RULES)}")
            elif not isinstance(value, bool):
                self.wrong(f"rules.{name}", f"{value!r} is not true or false")
        return frozenset(str(name) for name, value in switches.items() if value is False)

    def own(self, mapping: Mapping[str, Any]) -> list[OwnRule]:
        rules = mapping.get("own") or []
        if not isinstance(rules, list | tuple):
            self.wrong("own", "a list of rules")
            return []
        return [rule for i, item in enumerate(rules) if (rule := self.own_rule(f"own[{i}]", item))]

    def own_rule(self, where: str, item: Any) -> OwnRule | None:
        if not isinstance(item, Mapping):
            self.wrong(where, f"a mapping with {', '.join(_OWN_MEMBERS)}")
            return None
        for member, value in item.items():
            if member not in _OWN_MEMBERS:
                self.wrong(f"{where}.{member}", f"unknown; one of {', '.join(_OWN_MEMBERS)}")
            elif not isinstance(value, str):
                self.wrong(f"{where}.{member}", f"{value!r} is no string")
        values = {k: v for k, v in item.items() if isinstance(v, str)}
        name = values.get("name", "")
        if not _NAME.fullmatch(name) or name in RULES:
            self.wrong(f"{where}.name", f"{name!r} is no free name of a-z, 0-9, '-', '_', '.'")
        if sum(member in values for member in ("path", "keys", "pattern")) != 1:
            self.wrong(where, "exactly one of path, keys, pattern")
        return OwnRule(
            name=name,
            resource=values.get("resource", "*"),
            path=self.part(where, values, "path", _steps) or (),
            keys=self.part(where, values, "keys", re.compile),
            pattern=self.part(where, values, "pattern", re.compile),
        )

    def part(
        self, where: str, values: Mapping[str, str], name: str, read: Callable[[str], Any]
    ) -> Any:
        if name not in values:
            return None
        try:
            return read(values[name])
        except (ValueError, re.error) as error:
            self.wrong(f"{where}.{name}", str(error))
            return None


def _steps(path: str) -> tuple[str, ...]:
    """Read `$.spec.users[*].pin`, `spec.*.pin` or `$..pin` as steps."""
    rest = path.removeprefix("$").replace("..", ".**.").strip()
    steps, at = [], 0
    while at < len(rest):
        match = _STEP.match(rest, at)
        if not match:
            raise ValueError(f"{path!r} is no path; write one like $.spec.users[*].pin")
        steps.append(match[1] or match[2])
        at = match.end()
    if not steps:
        raise ValueError("an empty path")
    return tuple(steps)
