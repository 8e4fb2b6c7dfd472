"""What a test expects to be there, as what it is: where it is not, the test fails at that place."""

from typing import TypeVar

T = TypeVar("T")


def present(value: T | None) -> T:
    """Return *value*, which is not None."""
    assert value is not None
    return value
