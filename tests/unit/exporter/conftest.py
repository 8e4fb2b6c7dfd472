"""The fixtures of a delivery."""

from tests.kit.agent import wait_for
from tests.kit.delivery import (
    bench,
    bench_of,
    record,
    resource_scopes,
    servers,
)

__all__ = ["bench", "bench_of", "record", "resource_scopes", "servers", "wait_for"]
