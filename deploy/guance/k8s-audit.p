# Pipeline for logs of the source k8s-audit.
# Every field that Guance's views ask for is there already: the agent sends it. This makes a tag of the static one, numbers of numbers,
# and gives events what the recipe's own Pipeline gives them. It reads no JSON, so notices, which are none, do not stop it.
if atype != nil {
    set_tag(atype)
}
cast(responseCode, "int")
cast(k8s_audit_duration_ms, "float")
cast(k8s_audit_segment_number, "int")
cast(k8s_audit_segment_bytes, "int")
cast(k8s_audit_segment_delivered, "int")
cast(k8s_audit_segment_dead_lettered, "int")
cast(k8s_audit_segment_refused, "int")
cast(k8s_audit_segment_gaps, "int")
cast(k8s_audit_gap_bytes, "int")
if kind == "Event" && verb == nil {
    add_key(verb, "")
}
