"""Reads the files that an `audit` block names: its policy, and the key of its redaction.

`run`, `validate`, `explain` and the SDK's receiver read them here, so that they agree.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from k8s_audit_otlp.apiserver import profiles
from k8s_audit_otlp.config.audit import Audit
from k8s_audit_otlp.config.mistakes import ConfigError, Mistake
from k8s_audit_otlp.config.reading.policy_file import parse_policy
from k8s_audit_otlp.config.redaction import MIN_KEY_BYTES
from k8s_audit_otlp.event.redact.rules import RedactionRules
from k8s_audit_otlp.state.files import read_regular

MAX_FILE_BYTES = 4 << 20  # the largest policy in use has some 100 KB; a log given by mistake more


@dataclass(frozen=True, slots=True)
class PolicyText:
    """A policy that parses; `file` is what messages call it."""

    text: str
    file: str


def read_policy(name: str, key: str = "policy") -> PolicyText:
    """Read a policy file, or a policy that comes with the package when there is no such file."""
    known = profiles.names()
    if name in known and not Path(name).exists():
        text = profiles.text_of(name)
    else:
        hint = f"give a policy file, or one of {', '.join(known)}"
        try:
            text = read_bytes(name, key, hint).decode("utf-8-sig")
        except UnicodeDecodeError:
            raise ConfigError.at(key, f"{name} is not UTF-8 text", hint) from None
    try:
        parse_policy(text, name)
    except ConfigError as error:
        told = [(one.in_file(name).removesuffix(f"; {one.hint}"), one) for one in error.mistakes]
        raise ConfigError("", [Mistake(key, what, one.hint) for what, one in told]) from None
    return PolicyText(text, name)


def read_rules(audit: Audit) -> RedactionRules:
    """Return the redaction of an exporter whose bodies are not `raw`."""
    place, secret = "redaction::key_file", b""
    if path := audit.redaction.key_file:
        secret = read_bytes(path, place, "create it, or let the agent read it").strip()
        if len(secret) < MIN_KEY_BYTES:
            what = f"{path} holds {len(secret)} bytes"
            raise ConfigError.at(place, what, f"write {MIN_KEY_BYTES} random bytes or more")
    bodies: Literal["keep", "drop"] = "drop" if audit.bodies == "drop" else "keep"
    return audit.redaction.build(secret, bodies)


def read_bytes(name: str, key: str, hint: str) -> bytes:
    try:
        return read_regular(name, MAX_FILE_BYTES)
    except OSError as error:
        raise ConfigError.at(key, f"{name} cannot be read ({error.strerror})", hint) from None
