"""What was compiled is kept for the next start, and never taken for something else."""

import marshal
import re
import subprocess
import sys
from hashlib import sha256
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from k8s_audit_otlp.event.secrets.kept_database import KeptDatabase, KeptPatterns
from k8s_audit_otlp.event.secrets.matcher import Pattern, Sought, matcher_of
from k8s_audit_otlp.event.secrets.prefilter import _STEPS

pytest.importorskip("hyperscan")
SOUGHT: list[Sought] = [b"alpha", Pattern(rb"beta[0-9]")]
OTHERS: list[Sought] = [b"gamma", b"delta"]
TEXT = b"Alpha, beta7, delta"
OF_SOUGHT, OF_OTHERS = 0b11, 0b10


class Noting(KeptDatabase):
    """Notes what a database was made of."""

    made_of = b""

    def write(self, made_of: bytes, database: bytes) -> None:
        self.made_of = made_of
        super().write(made_of, database)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "gate.hyperscan"


def found(path: Path, sought: list[Sought] = SOUGHT) -> int:
    return matcher_of(sought, KeptDatabase(path))(TEXT)


def test_the_next_start_takes_what_is_kept(path: Path) -> None:
    assert found(path) == OF_SOUGHT
    first = path.stat()
    assert found(path) == OF_SOUGHT
    assert path.stat().st_ino == first.st_ino  # not compiled and written again
    assert list(path.parent.iterdir()) == [path]


def test_what_was_made_of_other_patterns_is_not_taken(path: Path) -> None:
    assert found(path, OTHERS) == OF_OTHERS
    assert found(path) == OF_SOUGHT
    assert found(path, OTHERS) == OF_OTHERS


@pytest.mark.parametrize("size", [0, 10, 32, 100, -1])
def test_a_cut_file_is_made_anew(path: Path, size: int) -> None:
    found(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:size])
    assert found(path) == OF_SOUGHT
    assert path.read_bytes() == whole


@pytest.mark.parametrize("at", [0, 40, -8])
def test_a_damaged_file_is_made_anew(path: Path, at: int) -> None:
    found(path)
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[at] ^= 0x40
    path.write_bytes(damaged)
    assert found(path) == OF_SOUGHT
    assert path.read_bytes() == whole


def test_what_this_hyperscan_cannot_load_is_made_anew(path: Path) -> None:
    """Its digest is right: it was made on another kind of processor."""
    kept = Noting(path)
    matcher_of(SOUGHT, kept)
    whole = path.read_bytes()
    foreign = bytes(64)
    path.write_bytes(sha256(kept.made_of + foreign).digest() + foreign)
    assert kept.read(kept.made_of) == foreign
    assert found(path) == OF_SOUGHT
    assert path.read_bytes() == whole


def test_where_nothing_can_be_written_it_is_compiled(path: Path) -> None:
    path.parent.write_bytes(b"a file where the folder would be")
    assert found(path) == OF_SOUGHT


@pytest.mark.parametrize("option", ["-B", "-I"])
def test_it_is_written_where_python_writes_bytecode(tmp_path: Path, option: str) -> None:
    module = str(tmp_path / "gate.py")
    code = (
        "from k8s_audit_otlp.event.secrets.kept_database import KeptDatabase;"
        f"KeptDatabase.beside_bytecode({module!r}).write(b'', b'')"
    )
    subprocess.run([sys.executable, option, "-c", code], check=True)
    kept = Path(cache_from_source(module)).with_suffix(".hyperscan")
    assert kept.exists() == (option == "-I")


def test_where_python_keeps_no_bytecode_nothing_is_kept() -> None:
    """A frozen program may have no tag for its bytecode."""
    code = (
        "import sys; sys.implementation.cache_tag = None;"
        "from k8s_audit_otlp.event.secrets.kept_database import KeptDatabase;"
        "kept = KeptDatabase.beside_bytecode('gate.py'); kept.write(b'', b'');"
        "sys.exit(kept.read(b'') is not None)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


PATTERNS = [step.pattern for step in _STEPS]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> KeptDatabase:
    """Keep the patterns of all steps as a first start does."""
    place = KeptDatabase(tmp_path_factory.mktemp("kept") / "patterns")
    KeptPatterns(PATTERNS, place)
    return place


def test_a_kept_pattern_is_the_one_that_is_compiled(kept: KeptDatabase) -> None:
    """Source, flags, code and groups of each."""
    patterns = KeptPatterns(PATTERNS, KeptDatabase(kept._path, may_write=False))
    assert len(patterns._codes) == len(set(PATTERNS)) > 200
    for source in PATTERNS:
        made, compiled = patterns.pattern(source), re.compile(source)
        assert made == compiled
        assert made.groupindex == compiled.groupindex
        assert made.groups == compiled.groups


def test_a_pattern_that_is_not_kept_is_compiled(kept: KeptDatabase) -> None:
    patterns = KeptPatterns(PATTERNS, kept)
    assert patterns.pattern("a(?P<b>b)") == re.compile("a(?P<b>b)")
    others = KeptPatterns(["x", "y"], KeptDatabase(kept._path, may_write=False))
    assert not others._codes  # what lies there is of other patterns
    assert others.pattern("x") == re.compile("x")


@pytest.mark.parametrize(
    "code", [(0, b"", 0, {}, ()), (0, b"\xff" * 40, 0, {}, ()), (0, b"\1\0\0\0", -1, {}, ())]
)
def test_code_that_is_none_is_never_run(tmp_path: Path, code: tuple[object, ...]) -> None:
    """An interpreter that makes patterns otherwise refuses it."""
    noting = Noting(tmp_path / "patterns")
    KeptPatterns(["a+b"], noting)
    noting.write(noting.made_of, marshal.dumps({"a+b": code}))
    patterns = KeptPatterns(["a+b"], noting)
    assert patterns._codes == {"a+b": code}
    assert patterns.pattern("a+b").fullmatch("aab")


def test_nothing_is_compiled_ahead_where_it_cannot_be_kept(tmp_path: Path) -> None:
    assert not KeptPatterns(PATTERNS, KeptDatabase(tmp_path / "x", may_write=False))._codes
