"""A mapping in, what may be shown of its events out: no secret, whatever the mapping sends.

An exporter may be allowed to receive secrets (`bodies: raw`, rules that are off, `args: keep`).
What is shown went through all rules nevertheless.
"""

import json
from dataclasses import dataclass, replace
from typing import Any, Literal

from k8s_audit_otlp.agent.mapping import ExporterMapping
from k8s_audit_otlp.event.redact import RedactionRules, Redactor


@dataclass(frozen=True, slots=True)
class Strict:
    """A mapping with all rules on, and its redactor."""

    mapping: ExporterMapping
    redactor: Redactor


def strict(mapping: ExporterMapping) -> Strict:
    """Switch every built-in rule on; how values are replaced, and own rules, stay."""
    rules: dict[str, Any] = json.loads(mapping.redaction)
    rules.pop("rules", None)
    if rules.get("args") == "keep":
        del rules["args"]
    bodies: Literal["keep", "drop"] = "drop" if mapping.bodies == "drop" else "keep"
    changed = replace(mapping, redaction=json.dumps(rules, sort_keys=True), bodies=bodies)
    whole = {**rules, "bodies": bodies}
    return Strict(changed, Redactor(RedactionRules.from_mapping(whole, key=mapping.key)))
