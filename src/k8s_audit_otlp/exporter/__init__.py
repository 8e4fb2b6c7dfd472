"""One consumer per back end: batch, send, retry, split, settle."""
