"""Loads a configuration file: a Config with remarks, or an error with every mistake."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from k8s_audit_otlp.config.config import Config, ConfigFindings
from k8s_audit_otlp.config.mistakes import ConfigError, Mistake, Remark
from k8s_audit_otlp.config.reading.build import build
from k8s_audit_otlp.config.reading.document import ConfigDocument, read_document
from k8s_audit_otlp.config.reading.expand import Expansion, expand
from k8s_audit_otlp.config.reading.files import look, secrets_in
from k8s_audit_otlp.config.service import Service
from k8s_audit_otlp.state.files import WrongFileError

_JSON_LOGS = re.compile(r"""\bencoding["']?\s*:\s*["']?json\b""")  # in no YAML, or said twice
_WRITE = "write receivers: and exporters: in YAML"
_OTHERS = (  # what another file holds, what it is, and what to do
    (r'\A\s*\{"kind":"Event"', "an audit log", "give it with --path, where there is one"),
    (r"\A\s*<", "HTML, XML or of fluentd", _WRITE),
    (r"\A-----BEGIN ", "a file of certificates or keys", _WRITE),
    (r"^\s*\[\[?[\w. -]+\]\]?\s*$", "TOML or INI, as Vector and Fluent Bit read", _WRITE),
)
MAX_CONFIG_BYTES = 4 << 20  # a hundred exporters take 100 KB; a log given by mistake takes more


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration without mistakes, and what of it does not do what it seems to."""

    config: Config
    remarks: tuple[Remark, ...]
    files: tuple[str, ...] = ()  # that hold its values, but for secrets, which are read when used
    # Says a reference where a text says what that stands for.
    as_written: Callable[[str], str] = field(default=str, compare=False, repr=False)


def load(path: str | Path, env: Mapping[str, str], *, state_dir: str | None = None) -> Loaded:
    """Read the file at *path*. Raise ConfigError with everything that is wrong with it.

    *state_dir* takes the place of its `service::state_dir`.
    """
    text = text_of(_read(Path(path)), str(path))
    return load_text(text, str(path), env, state_dir=state_dir)


def load_text(
    text: str, source: str, env: Mapping[str, str], *, state_dir: str | None = None
) -> Loaded:
    """Read a configuration that is already text; *source* is its name in messages."""
    document = read_document(text)
    try:
        if not document.lines:  # no block of keys
            _refuse(text, document.mistakes, source)
        return _load(document, source, env, state_dir)
    except ConfigError as error:
        error.json_logs |= bool(document.mistakes and _JSON_LOGS.search(text))
        raise


def _refuse(text: str, mistakes: Sequence[Mistake], source: str) -> None:
    """Refuse another kind of file by its name, and else what is no YAML."""
    for pattern, what, hint in _OTHERS:
        if re.search(pattern, text, re.MULTILINE):
            raise ConfigError(source, [Mistake("", f"this is {what}, no configuration", hint)])
    if mistakes:
        raise ConfigError(source, mistakes)


def load_tree(tree: Any, source: str, env: Mapping[str, str]) -> Loaded:
    """Turn plain values into a configuration."""
    return _load(ConfigDocument(tree, {}, ()), source, env, None)


def _load(
    document: ConfigDocument, source: str, env: Mapping[str, str], state_dir: str | None
) -> Loaded:
    expansion = expand(document.tree, env)
    found = build(_with_state_dir(expansion.tree, state_dir))
    unresolved = [mistake.where for mistake in expansion.mistakes]
    found.mistakes = [one for one in found.mistakes if not _follows(one.where, unresolved)]
    found.mistakes[:0] = expansion.mistakes
    _settle_unread(expansion, found)
    if found.config is not None:
        look(found.config, found)
    said = expansion.as_written
    placed = [
        replace(one, line=document.line_of(one.where), what=said(one.what), hint=said(one.hint))
        for one in found.mistakes
    ]
    found.mistakes = [*document.mistakes, *placed]
    found.remarks = [replace(one, why=said(one.why)) for one in found.remarks]
    if found.mistakes or found.config is None:
        raise ConfigError(
            source,
            found.mistakes,
            json_logs=_value(expansion.tree, "service", "telemetry", "logs", "encoding") == "json",
            state_dir=_state_dir(expansion.tree, found.mistakes),
        )
    plain = expansion.with_files - set(secrets_in(found.config))
    files = sorted(file for value in plain for file in value.files)
    return Loaded(found.config, tuple(found.remarks), tuple(files), said)


def _value(tree: Any, *path: str) -> Any:
    for key in path:
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree


def _state_dir(tree: Any, mistakes: Iterable[Mistake]) -> str | None:
    """Return where positions are, whatever else is wrong; None where that is not plain."""
    if any(one.where in ("service", "service::state_dir") for one in mistakes):
        return None
    default = Service.model_fields["state_dir"].default
    found = _value(tree, "service", "state_dir") or default
    return found if isinstance(found, str) else None


def _with_state_dir(tree: Any, state_dir: str | None) -> Any:
    service = tree.get("service") if isinstance(tree, Mapping) else ""
    if state_dir is None or not isinstance(service, Mapping | None):
        return tree
    return {**tree, "service": {**(service or {}), "state_dir": state_dir}}


def _follows(place: str, unresolved: list[str]) -> bool:
    """Tell whether a complaint is about a value that is not known, or about a block that lacks it.

    `no token is given` is not true of a token whose variable is not set.
    """
    block = f"{place}::" if "::" in place else place
    return any(one == place or one.startswith(block) for one in unresolved)


def _settle_unread(expansion: Expansion, found: ConfigFindings) -> None:
    """Let a Secret wait for a file that can be there later; any other value is needed now."""
    waiting = set(secrets_in(found.config)) if found.config is not None else set()
    broken = {_component(mistake.where) for mistake in found.mistakes}
    for place, (secret, error) in expansion.unread.items():
        complaints = [one for one in found.mistakes if one.where == place]
        # of a component with mistakes it is not known which values are secrets
        waits = secret in waiting or _component(place) in broken
        never = isinstance(error, WrongFileError)
        if complaints or never or not waits:
            found.mistakes = [one for one in found.mistakes if one not in complaints]
            what = f"the file {error.filename} cannot be read ({error.strerror})"
            way = "name a file with the value alone" if never else "create it"
            found.mistakes.append(Mistake(place, what, f"{way}, or write the value here"))


def _component(place: str) -> tuple[str, ...]:
    return tuple(place.split("::")[:2])


def text_of(data: bytes, source: str) -> str:
    """Return the text of a configuration, whose first MAX_CONFIG_BYTES + 1 bytes are enough.

    Raise ConfigError where it is none.
    """
    if len(data) > MAX_CONFIG_BYTES:
        raise _unreadable(source, "is over 4 MiB", "give a configuration, not a log")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _unreadable(source, "is not UTF-8 text", "save it as UTF-8") from None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_CONFIG_BYTES + 1)
    except IsADirectoryError:
        raise _unreadable(str(path), "is a directory", f"write {path}/agent.yaml") from None
    except PermissionError as error:
        what = f"cannot be read ({error.strerror})"
        raise _unreadable(str(path), what, "let the agent's user read it") from None
    except OSError as error:
        absent = isinstance(error, FileNotFoundError)
        what = "there is no such file" if absent else f"cannot be read ({error.strerror})"
        raise _unreadable(str(path), what, "check the path given with --config") from None


def _unreadable(source: str, what: str, hint: str) -> ConfigError:
    return ConfigError(source, [Mistake("", what, hint)])
