"""A manifest on disk, replaced so that kubelet never sees half a file or a second apiserver.

kubelet runs every file of the manifests directory whose name has no leading dot.
"""

import os
import shutil
import tempfile
from datetime import datetime
from pathlib import Path

from k8s_audit_otlp.apiserver.settings import RefusalError
from k8s_audit_otlp.state.files import WrongFileError, read_regular, sync_directory

MAX_BYTES = 4 << 20  # a manifest or policy has some KB; a log given by mistake more


def read(path: Path) -> str:
    """Read a text file or say why it cannot be read."""
    try:
        return read_regular(path, MAX_BYTES).decode("utf-8")  # with the ends of lines that it has
    except WrongFileError as error:
        raise RefusalError(f"{path}: {error.strerror}; is it the right file?") from error
    except OSError as error:
        raise RefusalError(f"{path}: {error.strerror}; run this on the node, as root") from error
    except UnicodeDecodeError as error:
        raise RefusalError(f"{path}: not UTF-8 text ({error}); is it the right file?") from error


def check_backup_dir(backup_dir: Path, manifest: Path) -> None:
    """Refuse a backup that kubelet would run as a second apiserver."""
    manifests = manifest.resolve().parent
    if backup_dir.resolve().is_relative_to(manifests):
        raise RefusalError(
            f"--backup-dir: {backup_dir} is inside {manifests}, where kubelet would start the "
            "backup as a second apiserver; name a directory elsewhere"
        )


def back_up(manifest: Path, backup_dir: Path, now: datetime) -> Path:
    """Copy the manifest aside, readable by its owner alone, and return where it went."""
    target = backup_dir / f"{manifest.name}.{now:%Y-%m-%dT%H-%M-%S.%f}"
    try:
        backup_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as copy:
            copy.write(manifest.read_bytes())
            copy.flush()
            os.fsync(copy.fileno())
        sync_directory(backup_dir)
    except OSError as error:
        raise RefusalError(
            f"{target}: {error.strerror}; nothing was changed, give a writable --backup-dir"
        ) from error
    return target


def replace(path: Path, text: str) -> None:
    """Write the whole file or nothing; owner, mode and extended attributes stay."""
    path = path.resolve()
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise RefusalError(f"{path.parent}: {error.strerror}; run this as root") from error
    new = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as out:
            out.write(text)
            out.flush()
            old = path.stat()
            os.chown(new, old.st_uid, old.st_gid)
            shutil.copystat(path, new)
            os.fsync(out.fileno())
        new.replace(path)
        sync_directory(path.parent)  # the rename itself must also reach the disk
    except OSError as error:
        new.unlink(missing_ok=True)
        raise RefusalError(f"{path}: {error.strerror}; the manifest is unchanged") from error
