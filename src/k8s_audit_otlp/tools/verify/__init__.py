"""Compares the log on disk with what arrived at a back end."""
