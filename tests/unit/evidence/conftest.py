"""A whole agent, its log and its back end."""

from tests.kit.agent import scene, wait_for

__all__ = ["scene", "wait_for"]
