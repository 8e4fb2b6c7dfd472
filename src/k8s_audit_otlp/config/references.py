"""Reads `${X}`, `${env:X:-default}`, `${file:/path}` and `$$` in the text of a value. No I/O.

Source: https://opentelemetry.io/docs/collector/configuration/#environment-variables. An unset
variable without a default is a mistake here (the Collector would send an empty token).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Self

from k8s_audit_otlp.config.secret import FileText, Secret

_REFERENCE = re.compile(r"\$\$|\$\{([^{}]*)\}")
# of a shell, of Kubernetes in `args`, of Windows
_OTHERS = re.compile(r"\$([A-Za-z_]\w*)|\$\(([A-Za-z_]\w*)\)|^%([A-Za-z_]\w*)%$", re.ASCII)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Expanded(str):
    """A scalar that held a reference, as validators see it, and what it stands for."""

    __slots__ = ("secret", "source")

    source: str  # as written: may be printed where the value may not
    secret: Secret

    def __new__(cls, text: str, source: str, secret: Secret) -> Self:
        made = super().__new__(cls, text)
        made.source, made.secret = source, secret
        return made


class UnresolvedError(ValueError):
    """A reference that leads nowhere: `what` and the hint."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(f"{what}; {hint}")
        self.what = what
        self.hint = hint


def references_in(text: str) -> list[str]:
    """Return the references of a template as written, each once."""
    return list(dict.fromkeys(match[0] for match in _REFERENCE.finditer(text) if match[1]))


def has_reference(text: str) -> bool:
    return "$" in text or text.startswith("%")


def parse_template(text: str, env: Mapping[str, str]) -> Secret:
    """Return what *text* stands for.

    Raise UnresolvedError where a reference cannot be understood.
    """
    parts: list[str | FileText] = []
    for part in _parts(text, env):
        if parts and isinstance(part, str) and isinstance(parts[-1], str):
            parts[-1] += part
        else:
            parts.append(part)
    return Secret(tuple(parts))


def _parts(text: str, env: Mapping[str, str]) -> Iterator[str | FileText]:
    end = 0
    for match in _REFERENCE.finditer(text):
        yield _plain(text[end : match.start()])
        yield "$" if match[0] == "$$" else _referenced(match[1], env)
        end = match.end()
    rest = text[end:]
    if "${" in rest:
        raise UnresolvedError("a ${ is not closed", "close it with } or write $${ for the text")
    yield _plain(rest)


def _plain(text: str) -> str:
    """Return text without a reference; one in the shell's way would go out as it stands."""
    if found := _OTHERS.search(text):
        plainly = ", or $$ for a dollar sign" if found[0][0] == "$" else ""
        hint = f"write ${{env:{found[found.lastindex or 0]}}}{plainly}"
        raise UnresolvedError(f"{found[0]} is how others write a variable", hint)
    return text


def _referenced(inner: str, env: Mapping[str, str]) -> str | FileText:
    scheme, colon, rest = inner.partition(":")
    if colon and scheme == "file":
        return FileText(rest)
    if colon and scheme == "env":
        return _variable(rest, env)
    if colon and not rest.startswith("-"):
        raise UnresolvedError(
            f"${{{scheme}:...}} is not supported", "use ${env:NAME} or ${file:/path}"
        )
    return _variable(inner, env)


def _variable(inner: str, env: Mapping[str, str]) -> str:
    name, has_default, default = inner.partition(":-")
    if not _NAME.fullmatch(name):
        raise UnresolvedError(
            f"{name!r} is no name of a variable", "use letters, digits and _: ${env:API_KEY}"
        )
    if name in env:
        return env[name]
    if has_default:
        return default
    raise UnresolvedError(
        f"the variable {name} is not set",
        f"set it, or give a public default: ${{env:{name}:-default}}",
    )
