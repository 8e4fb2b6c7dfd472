"""The effective mapping of an exporter: everything that its records depend on.

Two exporters whose mappings are equal share encoded blocks, so everything that makes a difference
to a record must be in the value. Policy and key files are read here, once, at the start.
"""

import re
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Literal

import msgspec

from k8s_audit_otlp import __version__
from k8s_audit_otlp.config.audit_files import PolicyText, read_policy, read_rules
from k8s_audit_otlp.config.exporters import Exporter
from k8s_audit_otlp.config.mistakes import ConfigError
from k8s_audit_otlp.config.reading.policy_file import parse_policy
from k8s_audit_otlp.event.policy import Policy
from k8s_audit_otlp.event.processor import EventProcessor, Shrinker
from k8s_audit_otlp.event.redact import RedactionRules, Redactor
from k8s_audit_otlp.otlp.encode import Encoder
from k8s_audit_otlp.otlp.mapping import MappingOptions


@dataclass(frozen=True, slots=True)
class ExporterMapping:
    """Plain texts and numbers, so that equal ones are equal and a change of a file is one."""

    options: MappingOptions
    policy: str = ""  # the text of the policy file
    policy_file: str = field(default="", compare=False)
    rules: RedactionRules = field(default_factory=RedactionRules)
    bodies: Literal["keep", "drop", "raw"] = "keep"
    max_record_bytes: int = 0
    part: str = ""  # of the log: what a replay sends, as each has a receipt of its own

    @classmethod
    def of(cls, name: str, exporter: Exporter, part: str = "") -> "ExporterMapping":
        """Read an exporter's `audit` block and the files that it names.

        Raise ConfigError where a file cannot be read or says nothing usable.
        """
        audit = exporter.audit
        try:
            policy = read_policy(audit.policy) if audit.policy else PolicyText("", "")
            rules = read_rules(audit)
        except ConfigError as error:
            raise error.below(f"exporters::{name}::audit") from None
        return cls(
            MappingOptions(
                profile=audit.profile,
                prefix=audit.attribute_prefix,
                annotations=audit.annotations,
                user_extra=audit.user_extra,
                limits=exporter.limits.attributes,
            ),
            policy.text,
            policy.file,
            rules,
            audit.bodies,
            audit.max_record_bytes or 0,
            part,
        )

    @property
    def digest(self) -> str:
        """Name it in 8 hex digits: equal mappings of one version of this program are called alike.

        Who checks evidence tells by it what was sent in several forms under one uid. It says no
        more of a key for pseudonyms than these do.
        """
        own = replace(self, policy_file="")
        said = msgspec.json.encode(own, order="deterministic", enc_hook=_pattern)
        return sha256(b"%b\n%b" % (__version__.encode(), said)).hexdigest()[:8]

    def parsed_policy(self) -> Policy | None:
        return parse_policy(self.policy, self.policy_file) if self.policy else None

    def event_processor(self) -> EventProcessor | None:
        """Return what happens to an event before it is encoded, None for nothing at all."""
        policy = self.parsed_policy()
        redactor = None if self.bodies == "raw" else Redactor(self.rules)
        if policy is None and redactor is None:
            return None
        return EventProcessor(policy, redactor, prefix=self.options.prefix)

    def encoder(self, *, digests: bool = False, kind: type[Encoder] = Encoder) -> Encoder:
        """Return what encodes blocks; *digests*: and makes what receipts are made of."""
        processor = self.event_processor()
        return kind(
            self.options,
            transform=processor,
            clean=processor.clean_parts() if processor else None,
            shrink=Shrinker(prefix=self.options.prefix) if self.max_record_bytes else None,
            max_record_bytes=self.max_record_bytes,
            digests=digests,
        )


def _pattern(value: re.Pattern[str]) -> tuple[str, int]:
    return value.pattern, value.flags
