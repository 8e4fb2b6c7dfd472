"""Expands `${X}`, `${env:X:-default}`, `${file:/path}` and `$$`. Files are read on resolve.

Source: https://opentelemetry.io/docs/collector/configuration/#environment-variables. An unset
variable without a default is a mistake here (the Collector would send an empty token).
"""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

MAX_FILE_BYTES = 1 << 20  # a token, a certificate, a password; never a log given by mistake
_REFERENCE = re.compile(r"\$\$|\$\{([^{}]*)\}")
_SHELL = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _not_waiting(path: str, flags: int) -> int:
    """Open a file so that no read of it waits: one of the kernel (/proc/kmsg) would, for ever."""
    return os.open(path, flags | os.O_NONBLOCK)


class NoValueError(OSError):
    """What is there is no text of a file: it does not become a value by waiting for it."""


def read_regular(path: str, most: int) -> bytes:
    """Read a file of *most* bytes; a pipe or a device would be waited for without end.

    Raise NoValueError where it is none, or longer; OSError where it cannot be read.
    """
    if not stat.S_ISREG(Path(path).stat().st_mode):
        raise NoValueError(22, "not a file", path)
    with open(path, "rb", opener=_not_waiting) as file:
        data = file.read(most + 1) or b""  # None where a read would wait
    if len(data) > most:
        raise NoValueError(27, f"over {most >> 20} MiB", path)
    return data


@dataclass(frozen=True, slots=True)
class FileText:
    """The content of a file without its last line ends."""

    path: str

    def read(self) -> str:
        try:
            return read_regular(self.path, MAX_FILE_BYTES).decode().rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise NoValueError(84, "not UTF-8 text", self.path) from error


@dataclass(frozen=True, slots=True)
class Template:
    """Text with files in it. Variables are already in place: they cannot change."""

    parts: tuple[str | FileText, ...]

    def resolve(self) -> str:
        return "".join(self.resolved())

    def resolved(self) -> Iterator[str]:
        """Yield each part as it reads now."""
        for part in self.parts:
            yield part if isinstance(part, str) else part.read()

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(part.path for part in self.parts if isinstance(part, FileText))

    def __repr__(self) -> str:
        return f"<Template files={list(self.files)}>"


class Expanded(str):
    """A scalar that held a reference. Validators see the text; a Secret takes the template."""

    __slots__ = ("source", "template")

    source: str  # as written: may be printed where the value may not
    template: Template

    def __new__(cls, text: str, source: str, template: Template) -> Self:
        made = super().__new__(cls, text)
        made.source = source
        made.template = template
        return made


class UnresolvedError(ValueError):
    """A reference that leads nowhere: `what` and the hint."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(f"{what}; {hint}")
        self.what = what
        self.hint = hint


def has_reference(text: str) -> bool:
    return "$" in text


def parse_template(text: str, env: Mapping[str, str]) -> Template:
    """Return *text* as a template. Raise UnresolvedError where a reference cannot be understood."""
    parts: list[str | FileText] = []
    for part in _parts(text, env):
        if parts and isinstance(part, str) and isinstance(parts[-1], str):
            parts[-1] += part
        else:
            parts.append(part)
    return Template(tuple(parts))


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
    if found := _SHELL.search(text):
        hint = f"write ${{env:{found[1]}}}, or $$ for a dollar sign"
        raise UnresolvedError("a variable is written in the shell's way", hint)
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
        f"the variable {name} is not set", f"set it, or give a default: ${{env:{name}:-default}}"
    )
