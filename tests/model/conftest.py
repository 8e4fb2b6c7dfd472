"""The machine that runs the receiver's stories."""

import pytest

from tests.model.machine import ReceiverMachine


@pytest.fixture(scope="session")
def receiver_machine() -> type[ReceiverMachine]:
    """Return the class of the machine; it makes and removes its own directory."""
    return ReceiverMachine
