"""Says what may be shown of events: no secret, whatever the mapping sends.

An exporter may be allowed to receive secrets (`bodies: raw`, rules that are off, `args: keep`).
What is shown went through all rules nevertheless.
"""

from dataclasses import dataclass, replace
from typing import Literal

from k8s_audit_otlp.agent.mapping import ExporterMapping
from k8s_audit_otlp.event.redact import Redactor


@dataclass(frozen=True, slots=True)
class Strict:
    """A mapping with all rules on, and its redactor."""

    mapping: ExporterMapping
    redactor: Redactor


def strict(mapping: ExporterMapping) -> Strict:
    """Switch every built-in rule on; how values are replaced, and own rules, stay."""
    args = "first" if mapping.rules.args == "keep" else mapping.rules.args
    bodies: Literal["keep", "drop"] = "drop" if mapping.bodies == "drop" else "keep"
    rules = replace(mapping.rules, off=frozenset(), args=args, bodies=bodies)
    return Strict(replace(mapping, rules=rules, bodies=bodies), Redactor(rules))
