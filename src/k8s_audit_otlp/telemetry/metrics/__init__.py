"""Numbers about the agent: what is measured, one table of it, and where it is told."""
