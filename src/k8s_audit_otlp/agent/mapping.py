"""An exporter's configuration in, its whole effective mapping out: what its records depend on.

Two exporters whose mappings are equal share encoded blocks, so everything that makes a difference
to a record must be in the value. Policy and key files are read here, once, at the start.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from k8s_audit_otlp.config.exporters import Exporter
from k8s_audit_otlp.event.policy import Policy
from k8s_audit_otlp.event.policy_yaml import PolicyError
from k8s_audit_otlp.event.processor import EventProcessor, Shrinker
from k8s_audit_otlp.event.redact import RedactionRules, Redactor
from k8s_audit_otlp.otlp.encode import Encoder
from k8s_audit_otlp.otlp.mapping import MappingOptions


class ConfigurationError(Exception):
    """The configuration does not fit what is on disk; the message says where and the way out."""


@dataclass(frozen=True, slots=True)
class ExporterMapping:
    """Plain texts and numbers, so that equal ones are equal and a change of a file is one."""

    options: MappingOptions
    policy: str = ""  # the text of the policy file
    policy_file: str = field(default="", compare=False)
    redaction: str = "{}"  # the rules as JSON
    key: bytes = field(default=b"", repr=False)
    bodies: Literal["keep", "drop", "raw"] = "keep"
    max_record_bytes: int = 0

    @classmethod
    def of(cls, name: str, exporter: Exporter) -> "ExporterMapping":
        """Read an exporter's `audit` block and the files that it names.

        Raises:
            ConfigurationError: a file cannot be read or says nothing usable.

        """
        audit = exporter.audit
        where = f"exporters::{name}::audit"
        redaction = dict(audit.redaction)
        key_file = redaction.pop("key_file", None)
        mapping = cls(
            MappingOptions(
                profile=audit.profile,
                prefix=audit.attribute_prefix,
                annotations=audit.annotations,
                user_extra=audit.user_extra,
                limits=exporter.limits.attributes,
            ),
            _read(f"{where}::policy", audit.policy).decode() if audit.policy else "",
            audit.policy or "",
            json.dumps(redaction, sort_keys=True),
            _read(f"{where}::redaction::key_file", str(key_file)).strip() if key_file else b"",
            audit.bodies,
            audit.max_record_bytes or 0,
        )
        mapping.check(where)
        return mapping

    def check(self, where: str) -> None:
        """Raise ConfigurationError with every mistake in the policy or the redaction rules."""
        try:
            self._parsed_policy()
        except PolicyError as error:
            raise ConfigurationError(f"{where}::policy: {error}") from None
        try:
            self._rules()
        except ValueError as error:
            lines = "\n".join(f"{where}::redaction::{line}" for line in str(error).splitlines())
            raise ConfigurationError(lines) from None

    def _parsed_policy(self) -> Policy | None:
        return Policy.parse(self.policy, self.policy_file) if self.policy else None

    def _rules(self) -> RedactionRules:
        rules: Mapping[str, Any] = json.loads(self.redaction)
        if self.bodies == "drop":
            rules = {**rules, "bodies": "drop"}
        return RedactionRules.from_mapping(rules, key=self.key)

    def treatment(self) -> EventProcessor | None:
        """Return what happens to an event before it is encoded, None for nothing at all."""
        policy = self._parsed_policy()
        redactor = None if self.bodies == "raw" else Redactor(self._rules())
        if policy is None and redactor is None:
            return None
        return EventProcessor(policy, redactor, prefix=self.options.prefix)

    def encoder(self) -> Encoder:
        treatment = self.treatment()
        return Encoder(
            self.options,
            transform=treatment,
            quiet=treatment.quiet_parts() if treatment else None,
            shrink=Shrinker(prefix=self.options.prefix) if self.max_record_bytes else None,
            max_record_bytes=self.max_record_bytes,
        )


def _read(where: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"{where}: {path} cannot be read ({error.strerror}); "
            "create the file, let the agent read it, or leave the key out"
        ) from None
