"""Events without their secrets: `Redactor(rules)(event, line)`."""

from k8s_audit_otlp.event.redact.redactor import Redacted, Redactor
from k8s_audit_otlp.event.redact.rules import RULES, OwnRule, RedactionRules

__all__ = ["RULES", "OwnRule", "Redacted", "RedactionRules", "Redactor"]
