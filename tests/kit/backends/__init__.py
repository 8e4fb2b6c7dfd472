"""Back ends that are real on the wire, and what stands between: steps, certificates, servers."""
