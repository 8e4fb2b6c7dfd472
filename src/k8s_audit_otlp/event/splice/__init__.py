"""Bytes of a JSON line as pieces, members and items, and what replaces some of them."""
