"""Modules, functions and folders stay small enough to be read at once."""

import ast
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import k8s_audit_otlp

ROOT = Path(k8s_audit_otlp.__file__).parent
MODULE_LINES = (40, 300)
FUNCTION_LINES = 50
FOLDER_FILES = 20
SMALL = {
    "__main__.py": "python -m needs it",
    "event/secrets/replacement.py": "what stands for a value is used by every rule",
    "event/splice/members.py": "used by redaction and by reading, which know nothing of each other",
    "event/stages.py": "the seam between the processor and the encoder",
    "event/times.py": "used at every station",
    "exporter/backoff.py": "pure, beside decisions that are, too",
    "telemetry/terminal_safe.py": "used by every command, whose help waits for little",
}
TESTS = Path(__file__).parents[1]
LONG_TESTS = {
    "model/machine.py": "one state machine: every rule and promise reads the same state",
    "model/world.py": "one directory, and all that may be done to it",
}


def faults(sources: dict[str, str]) -> Iterator[str]:
    """Yield what is too long, too small without a reason, or too much; by path in the package."""
    for name, source in sources.items():
        lines = len(source.splitlines())
        if lines > MODULE_LINES[1]:
            yield f"{name}: {lines} lines"
        is_module = name.rpartition("/")[2] != "__init__.py"
        if is_module and lines < MODULE_LINES[0] and name not in SMALL:
            yield f"{name}: {lines} lines are no module, or say why it is one"
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                if length > FUNCTION_LINES:
                    yield f"{name}: {node.name} has {length} lines"
    for folder in full_folders(sources):
        yield f"{folder}: more than {FOLDER_FILES} files"


def test_the_package_is_made_of_pieces_of_a_size() -> None:
    """And no reason is left over for a module that is gone."""
    sources = {str(path.relative_to(ROOT)): path.read_text() for path in ROOT.rglob("*.py")}
    assert list(faults(sources)) == []
    assert SMALL.keys() <= sources.keys()


def long_tests(sources: dict[str, str]) -> list[str]:
    """Return what is too long to be read at once of what tests are made of."""
    lines = {name: len(source.splitlines()) for name, source in sources.items()}
    return [name for name, n in lines.items() if n > MODULE_LINES[1] and name not in LONG_TESTS]


def test_the_tests_are_split_by_subject_too() -> None:
    """No file of 301 lines, and no reason left over for one that is gone or short."""
    sources = {str(path.relative_to(TESTS)): path.read_text() for path in TESTS.rglob("*.py")}
    assert long_tests(sources) == []
    assert all(len(sources[name].splitlines()) > MODULE_LINES[1] for name in LONG_TESTS)
    assert long_tests({"unit/test_a.py": "x = 1\n" * 301}) == ["unit/test_a.py"]


def full_folders(names: Iterable[str]) -> list[str]:
    """Return the folders, by path, that hold more modules than are seen at once."""
    folders = Counter(name.rpartition("/")[0] for name in names)
    return [folder for folder, count in folders.items() if count > FOLDER_FILES]


def test_tests_of_one_folder_are_seen_at_once() -> None:
    """What is more than that is parted by subject; tests of a unit stand as in the package."""
    assert full_folders(str(path.relative_to(TESTS)) for path in TESTS.rglob("*.py")) == []
    assert full_folders(f"kit/{i}.py" for i in range(21)) == ["kit"]


@pytest.mark.parametrize(
    ("planted", "said"),
    [
        ({"otlp/a.py": "x = 1\n" * 301}, "otlp/a.py: 301 lines"),
        ({"otlp/a.py": "x = 1\n" * 39}, "no module"),
        ({"otlp/a.py": "def f():\n" + "    x = 1\n" * 50}, "f has 51 lines"),
        ({f"otlp/{i}.py": "x = 1\n" * 50 for i in range(21)}, "otlp: more than 20 files"),
        (
            {"otlp/__init__.py": "", **{f"otlp/{i}.py": "x = 1\n" * 50 for i in range(20)}},
            "otlp: more than 20 files",
        ),
    ],
)
def test_what_is_too_long_or_too_much_is_found(planted: dict[str, str], said: str) -> None:
    """Each limit, gone over by one."""
    found = list(faults(planted))
    assert len(found) == 1
    assert said in found[0]
