"""What is written of a configuration: a summary for people, a schema for editors."""
