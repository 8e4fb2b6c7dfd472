"""`python -m k8s_audit_otlp` is the command `k8s-audit-otlp`."""

from k8s_audit_otlp.cli import main

main()
