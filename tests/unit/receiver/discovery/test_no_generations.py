"""A log on a file system that tells no file from a later one of its inode number, as tmpfs."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from k8s_audit_otlp.receiver.log_file import open_log_file
from tests.kit.log.log_files import append, rotate

MEMORY = Path("/dev/shm")  # noqa: S108 - made for it, and taken away again


@pytest.fixture
def log_dir() -> Iterator[Path]:
    if not MEMORY.is_dir():
        pytest.skip(f"{MEMORY} is not there")
    with TemporaryDirectory(dir=MEMORY) as name:
        yield Path(name)


def test_a_backup_that_was_empty_at_a_stop_proves_nothing(
    receive: Any, live: Path, event: Any
) -> None:
    """It may be another file: nobody knows, so the doubt is told."""
    live.touch()
    if open_log_file(live, compressed=False).generation:
        pytest.skip("this one does tell")
    receiver = receive()
    assert receiver.drain() == []
    append(live, event(1))
    rotate(live, 1)
    second = receive(receiver)
    assert second.drain() == [event(1)]
    assert second.gaps == [("unseen", 0, 1)]
