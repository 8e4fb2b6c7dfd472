"""Back ends by name: what an exporter to each of them is set to."""
