"""Keeps what Hyperscan compiled beside this package's bytecode, as Python keeps that.

To compile is a third of a start. Who may write there may change the program anyway, so what lies
there is trusted as much. Where nothing may be written it is compiled at each start.
"""

import os
import sys
from contextlib import suppress
from hashlib import sha256
from importlib.util import cache_from_source
from pathlib import Path

from k8s_audit_otlp.state.files import replace_file

_DIGEST_BYTES = 32


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
