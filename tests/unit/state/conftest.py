"""The file of positions that the tests write to."""

from pathlib import Path

import pytest

from k8s_audit_otlp.state.positions import PositionFile


@pytest.fixture
def file(tmp_path: Path) -> PositionFile:
    file = PositionFile(tmp_path)
    file.begin()
    return file
