"""Finds the segment of each file of a log, and what is missing between them."""
