"""The live files of a log that have no whole line yet: nothing names them but where they lie."""

from dataclasses import dataclass

from k8s_audit_otlp.receiver.listing import Entry
from k8s_audit_otlp.receiver.log_file import LogFile
from k8s_audit_otlp.state.manifest import Manifest, UnnamedFile

Key = tuple[int, int]  # device and inode
_KEPT = 8
_BEGIN = 256  # bytes by which a file is known that has no whole line yet


@dataclass(slots=True)
class Unnamed:
    """An open live file without a whole first line: it has no identity yet."""

    source: LogFile
    follows: bool  # what was known before it was still there when it was first seen
    begin: bytes  # of its first line, as far as it was there then


class UnnamedFiles:
    """Those that this process has open, and what earlier ones have left of theirs in *manifest*."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self.open: dict[Key, Unnamed] = {}
        self.live_size = -1  # of the live one when it was looked at

    def is_remembered(self, source: LogFile) -> bool:
        """Say whether an earlier process saw this very file without a line, and that it follows."""
        generation = source.generation
        return any(
            (file.device, file.inode) == (source.device, source.inode) and file.follows
            for file in self._manifest.unnamed
            if file.generation and file.generation == generation
        )

    def keep(self, entry: Entry, source: LogFile, *, follows: bool) -> None:
        """Keep a live file open until it has a whole line; *follows*: what was known before."""
        if entry.key not in self.open:
            self.open[entry.key] = Unnamed(source, follows, b"")
            for key in list(self.open)[:-_KEPT]:
                del self.open[key]
        unnamed = self.open[entry.key]
        unnamed.begin = unnamed.begin or source.read_at(0, _BEGIN)
        self.live_size = source.stat().st_size

    def remember(self, unread: set[Key]) -> None:
        """Put them into the manifest; those that cannot be read now stay there.

        So do those of a log that never had a line: its file system may be away.
        """
        manifest = self._manifest
        kept = [
            file
            for file in manifest.unnamed[-_KEPT:]
            if (file.device, file.inode) in unread
            or (not manifest.segments and (file.device, file.inode) not in self.open)
        ]
        manifest.unnamed = kept + [
            UnnamedFile(*key, file.source.generation, file.follows)
            for key, file in self.open.items()
            if key not in unread
        ]
