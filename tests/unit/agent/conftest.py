"""A whole agent, its log and its back end; in this process, or as one of its own."""

from tests.kit.agent import fixture, wait_for
from tests.kit.agent_process import start

__all__ = ["fixture", "start", "wait_for"]
