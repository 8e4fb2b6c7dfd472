"""A whole agent, its log and its back end; in this process, or as one of its own."""

from tests.kit.agent import fixture, start, wait_for

__all__ = ["fixture", "start", "wait_for"]
