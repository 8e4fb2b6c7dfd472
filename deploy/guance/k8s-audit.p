# Pipeline for the source k8s-audit: numbers as numbers.
cast(responseCode, "int")
cast(k8s_audit_duration_ms, "float")
