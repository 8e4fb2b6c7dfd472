"""The spool: a log directory of our own for events that do not come as a file."""
