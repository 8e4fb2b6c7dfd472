"""The fixtures of a delivery."""

from tests.kit.agent import wait_for
from tests.kit.delivery import harness, harness_of, record, resource_scopes, servers

__all__ = ["harness", "harness_of", "record", "resource_scopes", "servers", "wait_for"]
