"""Transports (HTTP, gRPC, Kafka, file, SDK): send a request, return its answer as an Outcome."""
