"""The fixtures of a delivery and of the servers that it talks to."""

from tests.kit.delivery import (
    authority,
    bench,
    bench_of,
    client_pair,
    pki,
    record,
    resource_scopes,
    server_pair,
    servers,
)

__all__ = [
    "authority",
    "bench",
    "bench_of",
    "client_pair",
    "pki",
    "record",
    "resource_scopes",
    "server_pair",
    "servers",
]
