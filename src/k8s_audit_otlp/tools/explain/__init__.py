"""What an exporter would make of an event, and what of a whole log, before anything is sent."""
