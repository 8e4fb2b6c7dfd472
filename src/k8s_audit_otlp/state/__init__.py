"""What is known and settled, and how it survives a crash."""
