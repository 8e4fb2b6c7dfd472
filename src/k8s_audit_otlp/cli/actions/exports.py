"""What --against names: files, directories or standard input, opened one after the other."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from io import BufferedReader, FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from k8s_audit_otlp.cli.exit_codes import say
from k8s_audit_otlp.cli.terminal import reading
from k8s_audit_otlp.tools.verify.exports.export import Export

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BUFFER = 1024 * 1024


def files_of(against: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    """Yield the name and the size of every file that is meant; 0 where it is not known."""
    for name in against:
        if name == "-":
            yield name, 0
            continue
        path = Path(name)
        found = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
        for file in found:
            yield str(file), file.stat().st_size


def exports_in(files: Sequence[tuple[str, int]], field: str, what: str) -> Iterator[Export]:
    """Yield exports, each open for as long as it is the newest, and show how far that is.

    *files* are names and sizes, *field* holds the uid, *what* is read is said at the terminal.
    """
    with reading(sum(size for _, size in files), what) as advance:
        for name, _ in files:
            with closing(open_export(name, advance)) as stream:
                export = Export(name, stream, field)
                yield export
            if export.doubt:
                say(f"{name}: {export.doubt}")


def open_export(name: str, advance: Callable[[int], None]) -> BufferedReader:
    """Open a file, or `-`; *advance* hears of what is read, of a packed one as it lies on disk."""
    return BufferedReader(_ProgressFile(name, advance), _BUFFER)


class _ProgressFile(FileIO):
    def __init__(self, name: str, advance: Callable[[int], None]) -> None:
        super().__init__(0 if name == "-" else name, closefd=name != "-")
        self._advance = advance

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        count = super().readinto(buffer)
        self._advance(count)
        return count
