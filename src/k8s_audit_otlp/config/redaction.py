"""The `audit::redaction` block: which secrets are replaced, and by what."""

import re
from typing import Any, Literal, cast

from pydantic import Field, create_model, field_validator, model_validator

from k8s_audit_otlp.config.blocks import ConfigBlock, key
from k8s_audit_otlp.config.types import mistake
from k8s_audit_otlp.event.redact.rules import RULES, OwnRule, RedactionRules, path_steps

MIN_KEY_BYTES = 16  # a shorter key is guessed from one known value
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")


class _Switches(ConfigBlock):
    """The built-in rules; each is on unless it is set to false."""


Switches: type[ConfigBlock] = create_model(
    "Switches",
    __base__=_Switches,
    __doc__=_Switches.__doc__,
    **cast(
        "dict[str, Any]",
        {
            name.replace("-", "_"): (bool, key(True, f"Replace {text}.", alias=name))
            for name, text in RULES.items()
        },
    ),
)


class OwnRuleBlock(ConfigBlock):
    """A rule of the operator's: where, and exactly one of path, keys and pattern."""

    name: str = Field(description="Name under which it is counted: a-z, 0-9, '-', '_', '.'.")
    resource: str = key("*", "Resource that it covers, <resource>[.<group>] with * and ?.")
    path: str | None = key(None, "Members to replace: $.spec.users[*].pin, $..pin.")
    keys: str | None = key(None, "Expression: members whose name it matches are replaced.")
    pattern: str | None = key(None, "Expression: text that it matches is replaced.")

    @field_validator("name")
    @classmethod
    def _is_free(cls, name: str) -> str:
        if not _NAME.fullmatch(name) or name in RULES:
            raise mistake(f"{name!r} is no free name", "write one of a-z, 0-9, '-', '_', '.'")
        return name

    @field_validator("keys", "pattern")
    @classmethod
    def _compiles(cls, expression: str | None) -> str | None:
        try:
            re.compile(expression or "")
        except re.error as error:
            raise mistake(f"no regular expression: {error}", "write Python's syntax") from None
        return expression

    @field_validator("path")
    @classmethod
    def _has_steps(cls, path: str | None) -> str | None:
        try:
            return path if path is None or path_steps(path) else None
        except ValueError:
            raise mistake(f"{path!r} is no path", "write one like $.spec.users[*].pin") from None

    @model_validator(mode="after")
    def _says_one_thing(self) -> "OwnRuleBlock":
        said = [name for name in ("path", "keys", "pattern") if getattr(self, name)]
        if len(said) != 1:
            raise mistake(
                f"{' and '.join(said) or 'nothing'} is set", "write one of path, keys, pattern"
            )
        return self

    def rule(self) -> OwnRule:
        return OwnRule(
            self.name,
            self.resource,
            path_steps(self.path) if self.path else (),
            re.compile(self.keys) if self.keys else None,
            re.compile(self.pattern) if self.pattern else None,
        )


class Redaction(ConfigBlock):
    """Which secrets are replaced before anything leaves, and by what."""

    args: Literal["keep", "first", "redact"] = key(
        "first",
        "Command lines of exec requests and containers: keep them, keep the program alone, or"
        " replace the whole.",
    )
    replace_with: Literal["mask", "hmac"] = key(
        "mask", "Replace a value by REDACTED, or by a keyed hash so that equals stay equal."
    )
    key_file: str | None = key(
        None, f"File with the key of hmac and pseudonymise, {MIN_KEY_BYTES} bytes or more."
    )
    pseudonymise: tuple[Literal["users", "addresses"], ...] = key(
        (), "Replace names of users, or client addresses, by a keyed hash."
    )
    rules: Switches = key({}, "The built-in rules, to switch one off.")  # type: ignore[valid-type]
    own: tuple[OwnRuleBlock, ...] = key((), "Further rules.")

    @model_validator(mode="before")
    @classmethod
    def _bodies_stand_above(cls, data: Any) -> Any:
        if isinstance(data, dict) and "bodies" in data:
            raise mistake("bodies is no key of redaction", "write it one level up: audit::bodies")
        return data

    @model_validator(mode="after")
    def _has_a_key(self) -> "Redaction":
        if (self.replace_with == "hmac" or self.pseudonymise) and not self.key_file:
            wanted = "hmac" if self.replace_with == "hmac" else "pseudonymise"
            hint = f"write {MIN_KEY_BYTES} random bytes or more to a file and name it as key_file"
            raise mistake(f"{wanted} needs a key", hint)
        return self

    def build(self, key: bytes, bodies: Literal["keep", "drop"]) -> RedactionRules:
        """Return the rules; *key* is the content of `key_file`, empty without one."""
        fields = type(self.rules).model_fields  # type: ignore[attr-defined]
        off = (f.alias or name for name, f in fields.items() if not getattr(self.rules, name))
        return RedactionRules(
            frozenset(off),
            self.args,
            bodies,
            self.replace_with,
            key,
            frozenset(self.pseudonymise),
            tuple(one.rule() for one in self.own),
        )
