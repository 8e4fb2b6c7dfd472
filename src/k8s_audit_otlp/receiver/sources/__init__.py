"""Webhook, Kafka, CloudWatch: sources that write the lines they receive to a spool."""
