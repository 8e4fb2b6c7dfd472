"""AuditEvents become LogRecord bytes and requests; answers are read. Pure."""
