"""Bytes to a back end, what it answered as an Outcome back: HTTP, gRPC, files, the SDK."""
