"""The listener for probes, scrapes and the page: a small HTTP server, and what it answers."""
