"""Keeps what Hyperscan and `re` compiled beside this package's bytecode, as Python keeps that.

To compile a database is a third of a start, and the patterns of a log are a tenth of what 10,000
events cost. Who may write there may change the program anyway, so what lies there is trusted as
much. Where nothing may be written it is compiled each time.
"""

import marshal
import os
import re
import sys
from array import array
from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256
from importlib.util import cache_from_source
from pathlib import Path
from typing import TypeAlias

from k8s_audit_otlp.state.files import replace_file

try:  # how CPython makes a pattern of its code, since 3.11; elsewhere each is compiled
    import _sre  # type: ignore[import-not-found]  # of the interpreter alone
    from re import _compiler, _parser  # type: ignore[attr-defined]  # the same
except ImportError:
    _sre = None

_DIGEST_BYTES = 32
# Of a pattern: its flags, its code, how many groups it has, their numbers and their names.
_Code: TypeAlias = tuple[int, bytes, int, dict[str, int], tuple[str | None, ...]]


class KeptDatabase:
    """A file of a compiled database: SHA-256 of what it was made of and itself, then itself."""

    def __init__(self, path: Path, *, may_write: bool = True) -> None:
        self._path, self._may_write = path, may_write

    @classmethod
    def beside_bytecode(cls, module: str) -> "KeptDatabase":
        """Keep it for the source *module*, where Python keeps bytecode and if it keeps any."""
        if sys.implementation.cache_tag is None:
            return cls(Path(os.devnull), may_write=False)
        path = Path(cache_from_source(module)).with_suffix(".hyperscan")
        return cls(path, may_write=not sys.dont_write_bytecode)

    def another(self, name: str) -> "KeptDatabase":
        """Return a place beside this one."""
        path = self._path.with_suffix(f".{name}{self._path.suffix}")
        return KeptDatabase(path, may_write=self._may_write)

    def read(self, made_of: bytes) -> bytes | None:
        """Return the database; None where there is none, or one of something else."""
        try:
            kept = self._path.read_bytes()
        except OSError:
            return None
        digest, database = kept[:_DIGEST_BYTES], kept[_DIGEST_BYTES:]
        return database if digest == sha256(made_of + database).digest() else None

    def write(self, made_of: bytes, database: bytes) -> None:
        """Keep it for the next start, if that can be done."""
        if not self._may_write:
            return
        kept = sha256(made_of + database).digest() + database
        with suppress(OSError):
            self._path.parent.mkdir(exist_ok=True)
            replace_file(self._path, lambda file: file.write(kept), durable=False, public=True)

    @property
    def may_write(self) -> bool:
        return self._may_write


class KeptPatterns:
    """Patterns of `re` without flags beside those they name; each is made when it is asked for."""

    def __init__(self, patterns: Iterable[str], kept: KeptDatabase) -> None:
        """Compile them all, unless that was kept, or cannot be."""
        self._codes: dict[str, _Code] = {}
        if _sre is None:
            return
        patterns = sorted(set(patterns))
        made_of = repr((sys.version, _sre.MAGIC, patterns)).encode()
        known = kept.read(made_of)
        if known is not None:
            self._codes = marshal.loads(known)  # noqa: S302 # as bytecode is
        elif kept.may_write:
            self._codes = {pattern: _compiled(pattern) for pattern in patterns}
            kept.write(made_of, marshal.dumps(self._codes))

    def pattern(self, source: str) -> re.Pattern[str]:
        """Return what `re.compile` does."""
        known = self._codes.get(source)
        if known is not None:
            flags, code, *groups = known
            try:
                made: re.Pattern[str] = _sre.compile(
                    source, flags, array("I", code).tolist(), *groups
                )
            except (TypeError, ValueError, RuntimeError):  # of another interpreter
                return re.compile(source)
            return made
        return re.compile(source)


def _compiled(source: str) -> _Code:
    """Return what a pattern is made of beside its source."""
    parsed = _parser.parse(source, 0)
    code = array("I", _compiler._code(parsed, 0))  # noqa: SLF001 # as `re` does
    state = parsed.state
    names: list[str | None] = [None] * state.groups
    for name, group in state.groupdict.items():
        names[group] = name
    return state.flags, code.tobytes(), state.groups - 1, state.groupdict, tuple(names)
