"""The machine, loaded from beside the tests."""

import importlib.util
import sys
from pathlib import Path

import pytest


def _load(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def receiver_machine():
    """Return the class of the machine; it makes and removes its own directory."""
    _load("world")
    return _load("machine").ReceiverMachine
