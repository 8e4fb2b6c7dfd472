"""Wires the stations together: start, commit, drain, stop."""
