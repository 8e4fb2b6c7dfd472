"""One line becomes AuditEvents: decode, policy, redact, shrink, severity. Pure."""
