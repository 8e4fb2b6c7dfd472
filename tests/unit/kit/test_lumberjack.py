"""The log is written, rotated and compressed as kube-apiserver does."""

import gzip
import hashlib
import json
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ManualClock
from tests.kit.log.log_files import copytruncate, rename_numbered
from tests.kit.log.lumberjack import LumberjackLog, compress_in_place

BACKUP = re.compile(r"audit-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}\.log(\.gz)?")


def _content(paths: list[Path]) -> bytes:
    return b"".join(
        gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        for path in paths
    )


def _lines(n: int) -> list[bytes]:
    return [b"%05d " % number + b"x" * 94 for number in range(n)]


@pytest.mark.parametrize("compress", [False, True])
def test_backups_and_live_file_hold_every_line_once_in_order(log_dir: Path, compress: bool) -> None:
    """Read oldest first, the generations are what was written, none over its bound."""
    path = log_dir / "audit.log"
    with LumberjackLog(path, max_bytes=1000, compress=compress) as log:
        for line in _lines(95):
            log.write(line)
    backups = log.backups()
    assert len(backups) == log.rotations == 10
    assert all(BACKUP.fullmatch(backup.name) for backup in backups)
    assert all(backup.name.endswith(".gz") == compress for backup in backups)
    assert _content([*backups, path]) == b"".join(line + b"\n" for line in _lines(95))
    assert all(len(_content([backup])) <= 1000 + 10 for backup in backups)


def test_files_are_readable_by_their_owner_only(log_dir: Path) -> None:
    """Live file and backups have mode 0600."""
    path = log_dir / "audit.log"
    with LumberjackLog(path, max_bytes=1000, compress=True) as log:
        for line in _lines(30):
            log.write(line)
    for file in [path, *log.backups()]:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_only_the_newest_backups_are_kept(log_dir: Path) -> None:
    """Beyond max_backups the oldest goes; the live file is not counted."""
    path = log_dir / "audit.log"
    with LumberjackLog(path, max_bytes=1000, max_backups=3) as log:
        for line in _lines(95):
            log.write(line)
    assert len(log.backups()) == 3
    kept = _content([*log.backups(), path])
    everything = b"".join(line + b"\n" for line in _lines(95))
    assert everything.endswith(kept)


def test_a_half_written_gz_stands_beside_its_plain_twin(log_dir: Path) -> None:
    """While a backup is compressed both names are there; at the end only the .gz is."""
    path = log_dir / "audit.log"
    with LumberjackLog(path, compress=True, chunk_pause=0.05) as log:
        for number in range(8000):
            log.write(hashlib.sha256(b"%d" % number).hexdigest().encode())
        plain = log.rotate()
        packed = plain.with_name(plain.name + ".gz")
        deadline = time.monotonic() + 60
        while not (packed.exists() and packed.stat().st_size):
            assert time.monotonic() < deadline
            time.sleep(0.001)
        whole = plain.read_bytes()
        with pytest.raises(EOFError):
            gzip.decompress(packed.read_bytes())
    assert not plain.exists()
    assert gzip.decompress(packed.read_bytes()) == whole


def test_a_backup_is_named_after_the_time_and_never_overwritten(
    log_dir: Path, clock: ManualClock
) -> None:
    """The name is UTC to the millisecond; two rotations within one do not collide."""
    with LumberjackLog(log_dir / "audit.log", now=clock) as log:
        names = []
        for line in _lines(3):
            log.write(line)
            names.append(log.rotate().name)
    assert names[0] == "audit-2026-01-02T03-04-05.000.log"
    assert len(set(names)) == 3


def test_a_restarted_writer_goes_on_in_the_same_file(log_dir: Path) -> None:
    """Opening an existing log appends to it, half a line included."""
    path = log_dir / "audit.log"
    path.write_bytes(b'{"half')
    with LumberjackLog(path) as log:
        log.write(b"{}")
    assert path.read_bytes() == b'{"half{}\n'


def test_a_restarted_writer_compresses_what_was_left(log_dir: Path) -> None:
    """A half-written .gz beside its plain twin is written anew."""
    plain = log_dir / "audit-2026-01-02T03-04-05.678.log"
    plain.write_bytes(b"{}\n" * 100)
    plain.with_name(plain.name + ".gz").write_bytes(gzip.compress(b"{}\n" * 100)[:15])
    with LumberjackLog(log_dir / "audit.log", compress=True) as log:
        pass
    (backup,) = log.backups()
    assert gzip.decompress(backup.read_bytes()) == b"{}\n" * 100


def test_copytruncate_keeps_the_inode_and_leaves_a_hole_behind_a_writer_with_a_position(
    log_dir: Path,
) -> None:
    """The writer of the log does not notice: its next write lands beyond the new end."""
    path = log_dir / "audit.log"
    with LumberjackLog(path) as log:
        log.write(b"before")
        inode = path.stat().st_ino
        copy = copytruncate(path)
        log.write(b"after")
    assert copy.read_bytes() == b"before\n"
    assert path.stat().st_ino == inode
    assert path.read_bytes() == b"\0" * 7 + b"after\n"


def test_numbered_renames_shift_the_older_ones(log_dir: Path) -> None:
    """`.1` is always the newest; compressed or not, each older one moves up by one."""
    path = log_dir / "audit.log"
    for text in ("one", "two", "three"):
        path.write_text(text)
        rename_numbered(path, compress=text == "two")
    assert path.read_text() == ""
    assert (log_dir / "audit.log.1").read_text() == "three"
    assert gzip.decompress((log_dir / "audit.log.2.gz").read_bytes()) == b"two"
    assert (log_dir / "audit.log.3").read_text() == "one"


def test_compressing_an_empty_backup_gives_an_empty_gz(log_dir: Path) -> None:
    """A rotation of nothing is still a whole gzip file."""
    plain = log_dir / "audit-2026-01-02T03-04-05.678.log"
    plain.touch()
    assert gzip.decompress(compress_in_place(plain).read_bytes()) == b""


def test_a_full_disk_is_an_error_and_the_log_goes_on(log_dir: Path) -> None:
    """An event that did not fit is reported to the caller; the object stays usable."""
    path = log_dir / "audit.log"
    path.symlink_to("/dev/full")
    with LumberjackLog(path) as log:
        with pytest.raises(OSError, match="No space left"):
            log.write(b"{}")
        log.rotate()
        log.write(b"{}")
    assert path.read_bytes() == b"{}\n"


def test_a_full_disk_leaves_a_backup_plain(log_dir: Path) -> None:
    """Compression that cannot finish takes its .gz away and keeps the plain file."""
    plain = log_dir / "audit-2026-01-02T03-04-05.678.log"
    plain.write_bytes(b"{}\n")
    packed = plain.with_name(plain.name + ".gz")
    packed.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        compress_in_place(plain)
    assert plain.read_bytes() == b"{}\n"
    assert not packed.is_symlink()


def _writer(log_dir: Path, *options: Any) -> tuple[list[str | Path], Path]:
    record = log_dir.parent / "written"
    command = [
        sys.executable,
        "-m",
        "tests.kit.log.lumberjack",
        "--path",
        log_dir / "audit.log",
    ]
    return [*command, "--record", record, *options], record


def test_as_a_process_it_records_what_it_wrote(log_dir: Path) -> None:
    """The side file has the auditID of every event, in the order of the log."""
    command, record = _writer(
        log_dir, "--count", "500", "--rate", "0", "--max-bytes", "60000", "--compress"
    )
    subprocess.run(command, check=True, timeout=30)
    files = sorted(log_dir.glob("audit-*"))
    assert len(files) > 3
    events = _content([*files, log_dir / "audit.log"]).splitlines()
    assert [json.loads(event)["auditID"] for event in events] == record.read_text().split()


def test_killed_hard_its_record_lacks_at_most_the_last_event(log_dir: Path) -> None:
    """After SIGKILL the log has what was recorded and at most one event more."""
    command, record = _writer(log_dir, "--rate", "0", "--seconds", "30")
    with subprocess.Popen(command) as process:
        while not record.exists() or record.stat().st_size < 20_000:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    events = _content([*sorted(log_dir.glob("audit-*")), log_dir / "audit.log"]).splitlines()
    ids = [json.loads(event)["auditID"] for event in events]
    recorded = record.read_text().split()
    assert ids[: len(recorded)] == recorded
    assert len(ids) - len(recorded) in {0, 1}
