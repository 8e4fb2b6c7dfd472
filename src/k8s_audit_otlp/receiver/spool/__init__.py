"""What does not come as a file becomes one: the writer of such a directory."""
