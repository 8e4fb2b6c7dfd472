"""Private files that survive a crash: replaced whole, synced where asked, no link followed.

Everything that the agent keeps on disk is written here: files 0600 in a directory 0700, but for
what is public. What is wider is tightened, and a symbolic link in the place of a file is never
written through.
"""

import errno
import os
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path
from shutil import copyfileobj
from typing import BinaryIO

Fsync = Callable[[int], None]  # an edge, so that a test sees whether and in which order it is asked

_REPLACED = ("checkpoint.json", "checkpoint.prev.json", "status.json")
_BEING_WRITTEN = ".tmp"  # instead of its suffix: what is about to take the place of a file
# What lies in the state directory itself, where nothing else may be written under such a name.
STATE_FILES = frozenset(
    {"lock", "positions", "tap.sock"}.union(
        _REPLACED, (Path(name).with_suffix(_BEING_WRITTEN).name for name in _REPLACED)
    )
)
_PRIVATE_FILE, _PRIVATE_DIRECTORY, _PUBLIC_FILE = 0o600, 0o700, 0o644
_SHARED = 0o077  # what nobody else may have


def make_private_directory(directory: Path) -> None:
    """Make *directory* for its owner alone; tighten one that is there and ours.

    Raise OSError where it cannot be made, or is no directory.
    """
    directory.mkdir(mode=_PRIVATE_DIRECTORY, parents=True, exist_ok=True)
    mode = directory.stat().st_mode
    if mode & _SHARED and os.access(directory, os.W_OK):
        directory.chmod(mode & ~_SHARED & 0o7777)


def open_private(path: Path, flags: int) -> int:
    """Open a file for its owner alone, and return its descriptor.

    One that has a second name, a hard link of whoever, is copied first: what has the other name
    stays as it is.

    Raise OSError: ELOOP where *path* is a symbolic link, EINVAL where it is a FIFO or a device:
    nothing waits for its other end.
    """
    fd = _without_waiting(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        info = os.fstat(fd)
        mode, writes = info.st_mode, flags & (os.O_WRONLY | os.O_RDWR)
        _check_regular(path, mode)
        if writes and info.st_nlink > 1:
            with path.open("rb") as file:
                replace_file(path, partial(copyfileobj, file))
        elif writes and mode & _SHARED:
            os.fchmod(fd, mode & ~_SHARED & 0o7777)
    except OSError:
        os.close(fd)
        raise
    if writes and info.st_nlink > 1:
        os.close(fd)
        return open_private(path, flags)
    return fd


def read_file(path: Path) -> bytes:
    """Return what is in a file.

    Raise OSError: EINVAL where *path* is a FIFO or a device.
    """
    with open(path, "rb", opener=_without_waiting) as file:
        _check_regular(path, os.fstat(file.fileno()).st_mode)
        return file.read()


class WrongFileError(OSError):
    """What is there does not become what is needed by waiting for it."""


def read_regular(path: str | Path, most: int) -> bytes:
    """Read a file of *most* bytes; a pipe or a device would be waited for without end.

    Raise WrongFileError where it is none, or longer; OSError where it cannot be read.
    """
    if not stat.S_ISREG(Path(path).stat().st_mode):
        raise WrongFileError(errno.EINVAL, "not a file", path)
    with open(path, "rb", opener=_without_waiting) as file:
        data = file.read(most + 1) or b""  # None where a read would wait, as one of the kernel's
    if len(data) > most:
        raise WrongFileError(errno.EFBIG, f"over {most >> 20} MiB", path)
    return data


def _without_waiting(path: str | Path, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_NONBLOCK, _PRIVATE_FILE)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket
            raise _not_regular(path) from None
        raise


def _check_regular(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise _not_regular(path)


def _not_regular(path: str | Path) -> OSError:
    return OSError(errno.EINVAL, "is no regular file; move it away", str(path))


def replace_file(
    path: Path,
    write: Callable[[BinaryIO], object],
    *,
    durable: bool = True,
    public: bool = False,
    fsync: Fsync = os.fsync,
) -> None:
    """Put what *write* writes in the place of *path*: at any moment the old or the new is there.

    *durable*: content and name are on the disk when this returns. *public*: everybody may read it.

    Raise OSError where the disk is full, read-only or gone; the old file is untouched.
    """
    temporary = path.with_suffix(_BEING_WRITTEN)
    temporary.unlink(missing_ok=True)  # of a process that died; or a link that somebody laid
    fd = open_private(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        with os.fdopen(fd, "wb") as file:
            write(file)
            file.flush()
            if public:
                os.fchmod(file.fileno(), _PUBLIC_FILE)
            if durable:
                fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_directory(path.parent, fsync=fsync)


def sync_directory(directory: Path, *, fsync: Fsync = os.fsync) -> None:
    """Bring the names in *directory* to the disk: a new or renamed file is not safe before."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fsync(fd)
    finally:
        os.close(fd)
