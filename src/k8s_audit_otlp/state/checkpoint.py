"""What survives a crash: one JSON file, written whole. Values in, bytes on disk; and back.

    state_dir/checkpoint.json        the newest complete state
    state_dir/checkpoint.prev.json   the generation before it

Positions, manifests, tallies and pending notices go out in one write, so that none of them can be
ahead of another. A crash at any step leaves one complete generation behind.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from k8s_audit_otlp.state.ledger import Tally
from k8s_audit_otlp.state.manifest import ManifestState

VERSION = 1


class Notice(msgspec.Struct, omit_defaults=True):
    """A LogRecord of the agent's own that waits to be acknowledged."""

    uid: str
    event: str  # k8s.audit.gap, k8s.audit.segment, …
    time_ns: int
    severity: int
    body: str
    attributes: dict[str, str | int | float | bool] = {}


class Position(msgspec.Struct, omit_defaults=True):
    """How far one exporter is in one log."""

    settled: dict[int, int] = {}  # segment sequence number -> safe offset
    tallies: dict[int, Tally] = {}  # of the segments above, exactly up to those offsets
    total: Tally = msgspec.field(default_factory=Tally)  # of segments that are forgotten
    notices: list[Notice] = []
    receipts: int = 0  # number of the last receipt
    receipted: list[int] = []  # segments whose receipt is written or acknowledged


class Checkpoint(msgspec.Struct, omit_defaults=True):
    """Everything, as of one moment. Keys: a log is `<receiver>:<path>`, an exporter its id."""

    version: int = 0  # VERSION once it is written; other defaults are left out of the file
    written: str = ""
    manifests: dict[str, ManifestState] = {}
    positions: dict[str, dict[str, Position]] = {}
    starts: list[str] = []  # digests of the positions at recent starts that did not end cleanly


class StateError(Exception):
    """The state on disk cannot be used; the message says why and the way out."""


@dataclass(frozen=True, slots=True)
class Restored:
    """`checkpoint` is None on a first start; `warning` says when an older generation was taken."""

    checkpoint: Checkpoint | None
    warning: str = ""


class CheckpointFile:
    """Reads and writes the checkpoint of one state directory."""

    def __init__(self, state_dir: Path) -> None:
        self.directory = state_dir
        self.path = state_dir / "checkpoint.json"
        self._previous = state_dir / "checkpoint.prev.json"
        self._temporary = state_dir / "checkpoint.tmp"
        self._written = b""

    def prepare(self) -> None:
        """Make the directory.

        Raises:
            StateError: it cannot be made or is not a directory.

        """
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StateError(
                f"{self.directory}: cannot be used as the state directory: {error.strerror}; "
                "give another with --state-dir or service::state_dir"
            ) from None

    def load(self) -> Restored:
        """Return the newest usable generation.

        Raises:
            StateError: there are generations, but none can be used. Starting over would send
                everything again or skip it, so that is for a person to decide.

        """
        problems = []
        found = False
        for path in (self.path, self._previous):
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StateError(f"{path}: cannot be read: {error.strerror}") from None
            found = True
            try:
                checkpoint = self._parse(path, data)
            except msgspec.MsgspecError as error:
                problems.append(f"{path}: damaged ({error})")
                continue
            warning = (
                ""
                if path == self.path and not problems
                else "; ".join(
                    [*problems, f"going on from {path.name}, so some records are sent again"]
                )
            )
            return Restored(checkpoint, warning)
        if found:
            raise StateError(
                "; ".join(problems) + f"; no usable state is left: move {self.directory} away to "
                "start from start_at, or restore a copy of checkpoint.json"
            )
        return Restored(None)

    @staticmethod
    def _parse(path: Path, data: bytes) -> Checkpoint:
        version = msgspec.json.decode(data, type=_Versioned).version
        if version > VERSION:
            raise StateError(
                f"{path}: written by a newer version of this program (format {version}, this one "
                f"reads {VERSION}); run that version, or move the state directory away"
            )
        return msgspec.json.decode(data, type=Checkpoint)

    def save(self, checkpoint: Checkpoint) -> bool:
        """Write *checkpoint* unless it equals what was written last; say whether it was.

        Raises:
            OSError: the disk is full, read-only or gone; the old generation is untouched.

        """
        checkpoint.version = VERSION
        stamp, checkpoint.written = checkpoint.written, ""
        bare = msgspec.json.encode(checkpoint)
        checkpoint.written = stamp
        if bare == self._written and self.path.exists():
            return False
        data = msgspec.json.format(msgspec.json.encode(checkpoint), indent=1)
        fd = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())  # a crash before this line: the temporary file is ignored
        except OSError:
            self._temporary.unlink(missing_ok=True)
            raise
        if self.path.exists():
            # A hard link, so that there is no moment without a file at the main name.
            self._previous.unlink(missing_ok=True)
            os.link(self.path, self._previous)
        os.replace(self._temporary, self.path)  # noqa: PTH105 - beside the other os calls
        self._sync_directory()
        self._written = bare
        return True

    def _sync_directory(self) -> None:
        fd = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)  # the rename itself must also reach the disk
        finally:
            os.close(fd)


class _Versioned(msgspec.Struct):
    version: int
