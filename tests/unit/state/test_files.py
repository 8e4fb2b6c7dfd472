"""What is kept on disk is whole, private and, where it must be, synced."""

import errno
import os
import stat
from pathlib import Path
from socket import AF_UNIX, socket

import pytest

from k8s_audit_otlp.state.checkpoint import CheckpointFile, StateError
from k8s_audit_otlp.state.files import (
    STATE_FILES,
    make_private_directory,
    open_private,
    read_file,
    replace_file,
)
from tests.kit.agent import Fixture, fixture

__all__ = ["fixture"]


class Disk:
    """Notes what is synced, and what was there under which name then."""

    def __init__(self) -> None:
        self.synced: list[str] = []

    def __call__(self, fd: int) -> None:
        self.synced.append(Path(f"/proc/self/fd/{fd}").readlink().name)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_content_is_synced_before_the_name_and_the_name_before_it_counts(tmp_path: Path) -> None:
    """After a power cut the name leads to the whole content, or to the old one."""
    disk = Disk()
    replace_file(tmp_path / "state.json", lambda file: file.write(b"new"), fsync=disk)
    assert disk.synced == ["state.tmp", tmp_path.name]
    assert (tmp_path / "state.json").read_bytes() == b"new"


def test_what_need_not_be_durable_costs_no_sync(tmp_path: Path) -> None:
    disk = Disk()
    replace_file(tmp_path / "a", lambda file: file.write(b"1"), durable=False, fsync=disk)
    assert disk.synced == []


@pytest.mark.parametrize(("public", "mode"), [(False, 0o600), (True, 0o644)])
def test_only_what_is_public_can_be_read_by_others(tmp_path: Path, public: bool, mode: int) -> None:
    replace_file(tmp_path / "file", lambda file: file.write(b"new"), public=public)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    def full(_fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "state.json"
    path.write_text("old")
    with pytest.raises(OSError, match="No space"):
        replace_file(path, lambda file: file.write(b"new"), fsync=full)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("flags", [os.O_RDWR, os.O_WRONLY | os.O_CREAT | os.O_APPEND])
def test_a_hard_link_is_never_written_through(tmp_path: Path, flags: int) -> None:
    """What has the other name, a backup that was made so, keeps its bytes and its mode."""
    other, path = tmp_path / "other", tmp_path / "positions"
    other.write_bytes(b"old")
    other.chmod(0o644)
    path.hardlink_to(other)
    fd = open_private(path, flags)
    os.write(fd, b"new!")
    os.close(fd)
    assert (other.read_bytes(), mode_of(other)) == (b"old", 0o644)
    assert path.read_bytes().endswith(b"new!")
    assert mode_of(path) == 0o600
    assert {*tmp_path.iterdir()} == {other, path}


@pytest.mark.parametrize("name", ["state.tmp", "state.json"])
def test_a_link_in_the_place_of_a_file_is_never_written_through(tmp_path: Path, name: str) -> None:
    """Who may write into the directory could have root overwrite any file."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / name).symlink_to(victim)
    replace_file(tmp_path / "state.json", lambda file: file.write(b"new"))
    assert victim.read_text() == "precious"
    assert not (tmp_path / "state.json").is_symlink()
    link = tmp_path / "link"
    link.symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        open_private(link, os.O_RDWR | os.O_CREAT)


def test_what_is_wider_than_its_owner_is_tightened(tmp_path: Path) -> None:
    """Names in an audit log are nobody else's business."""
    directory = tmp_path / "state"
    directory.mkdir()
    directory.chmod(0o755)
    make_private_directory(directory)
    assert mode_of(directory) == 0o700
    path = directory / "lock"
    path.write_text("")
    path.chmod(0o644)
    os.close(open_private(path, os.O_RDWR))
    assert mode_of(path) == 0o600
    replace_file(path, lambda file: file.write(b""))
    assert mode_of(path) == 0o600


def test_a_file_in_the_place_of_the_directory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(FileExistsError):
        make_private_directory(tmp_path / "state")


def test_a_fifo_in_the_place_of_a_file_is_an_error_and_waits_for_nobody(tmp_path: Path) -> None:
    fifo = tmp_path / "checkpoint.json"
    os.mkfifo(fifo, 0o600)
    path = tmp_path / "socket"
    with socket(AF_UNIX) as listener:
        listener.bind(str(path))
    for look in (
        lambda: read_file(path),
        lambda: open_private(path, os.O_RDWR | os.O_CREAT),
        lambda: read_file(fifo),
        lambda: open_private(fifo, os.O_RDWR | os.O_CREAT),
        lambda: open_private(fifo, os.O_RDONLY),
        lambda: read_file(Path("/dev/zero")),
    ):
        with pytest.raises(OSError, match="is no regular file; move it away"):
            look()


@pytest.mark.parametrize("name", ["checkpoint.json", "checkpoint.prev.json"])
def test_a_checkpoint_that_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    """No other user can read it either: it is in the way."""
    os.mkfifo(tmp_path / name)
    refused = f"{name}: cannot be read: is no regular file; move it away$"
    with pytest.raises(StateError, match=refused):
        CheckpointFile(tmp_path).load()
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    with pytest.raises(StateError, match=f"{name}: cannot be read: Is a directory; move it away$"):
        CheckpointFile(tmp_path).load()


def test_the_names_in_a_state_directory_are_known(fixture: Fixture) -> None:
    """A configuration may write none of them."""
    fixture.write(3)
    with fixture.running():
        there = {path.name for path in fixture.state.iterdir() if not path.is_dir()}
    fixture.once()
    there |= {path.name for path in fixture.state.iterdir() if not path.is_dir()}
    assert {"checkpoint.json", "positions", "lock"} <= there <= STATE_FILES
