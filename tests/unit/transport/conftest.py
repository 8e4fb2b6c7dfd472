"""The fixtures of the servers that a transport talks to."""

from tests.kit.delivery import (
    authority,
    client_pair,
    pki,
    record,
    resource_scopes,
    server_pair,
    servers,
)

__all__ = ["authority", "client_pair", "pki", "record", "resource_scopes", "server_pair", "servers"]
