"""What --against names: files, directories or standard input, opened one after the other."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from io import BufferedReader, FileIO
from pathlib import Path

from k8s_audit_otlp.cli import say
from k8s_audit_otlp.cli.terminal import reading
from k8s_audit_otlp.tools.verify.export import Export

_BUFFER = 1024 * 1024
_NAMED = 5  # files that a message names


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
            with closing(_open_export(name)) as stream:
                export = Export(name, stream, field, advance)
                yield export
            if export.doubt:
                say(f"{name}: {export.doubt}")


def _open_export(name: str) -> BufferedReader:
    file = FileIO(0, closefd=False) if name == "-" else FileIO(name)
    return BufferedReader(file, _BUFFER)


def what_is_in(directory: Path) -> str:
    """Name a few files of the directory, for whoever mistyped one of them."""
    try:
        names = sorted(path.name for path in directory.iterdir() if path.is_file())
    except OSError:
        return ""
    if not names:
        return f"; {directory} holds no file"
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"; {directory} holds {', '.join(names[:_NAMED])}{more}"
