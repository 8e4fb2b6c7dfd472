"""Reads the text of a file into checked blocks: every mistake at once, each with its place."""
