"""Where events come from that are in no file: each source hands lines to a spool."""
