"""A whole agent, its log and its back end."""

from tests.kit.agent import fixture, wait_for

__all__ = ["fixture", "wait_for"]
