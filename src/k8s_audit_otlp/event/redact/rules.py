"""The redaction rules as frozen values; config/redaction.py makes them from a configuration."""

import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

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


_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\*|\d+)\]")


def path_steps(path: str) -> tuple[str, ...]:
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
