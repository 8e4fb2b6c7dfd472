"""Imports go one way, along the flow, and what is pure stays pure.

A rule that nobody has seen fail may not hold anything: each kind of violation is planted below.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import k8s_audit_otlp

PACKAGE = "k8s_audit_otlp"
ROOT = Path(k8s_audit_otlp.__file__).parent

# A station may import from its own level and from those above it in this list.
LEVELS = [
    {"model", "__init__", "__version__"},
    {"event", "otlp", "state"},
    {"receiver", "exporter", "transport", "config", "apiserver", "evidence"},
    {"telemetry"},
    {"agent"},
    {"tools", "sdk"},
    {"cli", "__main__"},
]
# No I/O and no clock: whole stations, and the modules of others that only decide or count.
PURE: tuple[str, ...] = (
    "model.py",
    "event/",
    "otlp/",
    "receiver/gaps.py",
    "receiver/long_lines.py",
    "state/content_hash.py",
    "state/ledger.py",
    "state/manifest.py",
    "state/outbox.py",
)
PURE += tuple(f"exporter/{name}.py" for name in ("backoff", "batcher", "bisect", "retry_decisions"))
# What they may import beside each other. Whatever else there is may reach for the world.
HARMLESS = frozenset(
    """
    base64 binascii bisect codecs collections contextlib dataclasses datetime enum fnmatch functools
    google.protobuf google.rpc hashlib hmac html hyperscan itertools json math msgspec operator
    opentelemetry.proto opentelemetry.sdk.resources orjson re string struct sys typing unicodedata
    urllib.parse zlib k8s_audit_otlp.__version__ k8s_audit_otlp.otlp._quick_line
    """.split()  # noqa: SIM905 - a table of words reads better as words
)
IMPURE_NAMES = frozenset({"open", "print", "input", "exec", "eval", "breakpoint", "__import__"})
# Of datetime and date; of sys.
IMPURE_MEMBERS = frozenset({"now", "utcnow", "today", "stdin", "stdout", "stderr", "argv"})
ALLOWED = {
    ("otlp/resource.py", "os"): "os.uname names the host once, before the first event",
    ("event/secrets/kept_database.py", "os"): "keeps what was compiled, as Python keeps bytecode",
    ("event/secrets/kept_database.py", "pathlib"): "the same",
    ("event/secrets/kept_database.py", "_sre"): "makes a pattern of code that was kept",
    ("event/secrets/kept_database.py", "array"): "holds such code",
    ("event/secrets/kept_database.py", "marshal"): "writes it as Python writes bytecode",
    ("event/secrets/kept_database.py", "importlib.util"): "the same",
    ("event/secrets/kept_database.py", "k8s_audit_otlp.state.files"): "the same",
    ("event/splice/lists.py", "io.BytesIO"): "memory that grows in place, and no file",
    ("exporter/batcher.py", "k8s_audit_otlp.exporter.learned_limits"): "it is given one, and asks",
    ("state/ledger.py", "threading"): "a lock is neither; senders settle from their own threads",
    ("state/outbox.py", "threading"): "the same",
}


def level_of(station: str) -> int:
    return next(i for i, names in enumerate(LEVELS) if station in names)


def imports(source: str, name: str) -> set[str]:
    """Return what the module at *name* imports, by full names, wherever in it and however."""
    package = [PACKAGE, *Path(name).parts[:-1]]
    found = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=aliases):
                found |= {alias.name for alias in aliases}
            case ast.ImportFrom(module=module, names=aliases, level=level):
                above = package[: len(package) - level + 1] if level else []
                base = ".".join([*above, *([module] if module else [])])
                found |= {f"{base}.{alias.name}" for alias in aliases}
            case ast.Call(args=[ast.Constant(value=str(text)), *_]) if _imports_by_name(node):
                found.add(text)
    return found


def _imports_by_name(call: ast.Call) -> bool:
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    return name in ("import_module", "__import__")


def upstream_faults(source: str, name: str) -> Iterator[str]:
    station = Path(name).parts[0].removesuffix(".py")
    for imported in imports(source, name):
        top, _, rest = imported.partition(".")
        if top == PACKAGE and level_of(rest.partition(".")[0] or "cli") > level_of(station):
            yield f"{name} imports {imported}"


def purity_faults(source: str, name: str) -> Iterator[str]:
    pure = {f"{PACKAGE}.{of.removesuffix('.py').strip('/').replace('/', '.')}" for of in PURE}
    for imported in imports(source, name):
        parts = imported.split(".")
        within = {".".join(parts[:end]) for end in range(1, len(parts) + 1)}
        if not within & (HARMLESS | pure) and not any((name, one) in ALLOWED for one in within):
            yield f"{name} imports {imported}"
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Name(id=word, ctx=ast.Load()) if word in IMPURE_NAMES:
                yield f"{name}:{node.lineno} uses {word}"
            case ast.Attribute(attr=word) if word in IMPURE_MEMBERS:
                yield f"{name}:{node.lineno} uses {word}"


def modules() -> list[tuple[str, str]]:
    return [(path.relative_to(ROOT).as_posix(), path.read_text()) for path in ROOT.rglob("*.py")]


def is_pure(name: str) -> bool:
    return any(name == pure or (pure.endswith("/") and name.startswith(pure)) for pure in PURE)


def test_every_station_imports_only_from_upstream_or_itself() -> None:
    """Nothing early in the flow knows what comes after it."""
    assert not [fault for name, source in modules() for fault in upstream_faults(source, name)]


def test_the_pure_modules_do_no_input_or_output_and_know_no_clock() -> None:
    """Decode, policy, redaction, encoding and the ledger are functions of their arguments."""
    pure = [(name, source) for name, source in modules() if is_pure(name)]
    assert {name for name in PURE if not name.endswith("/")} < {name for name, _ in pure}
    assert not [fault for name, source in pure for fault in purity_faults(source, name)]


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("event/decode.py", "from k8s_audit_otlp import agent"),
        ("event/decode.py", "import k8s_audit_otlp"),
        ("event/decode.py", "import k8s_audit_otlp.exporter.batcher as b"),
        ("event/decode.py", "def f():\n    from k8s_audit_otlp.exporter import batcher"),
        ("event/decode.py", "from .. import receiver"),
        ("event/redact/scan.py", "from ...exporter import batcher"),
        ("event/redact/scan.py", "from ...exporter.batcher import Batcher"),
        ("model.py", "from .event.decode import decode"),
        ("telemetry/status.py", "from k8s_audit_otlp.agent import agent"),
        ("agent/start.py", "import_module('k8s_audit_otlp.cli.actions.run')"),
    ],
)
def test_an_import_from_downstream_is_found_however_it_is_written(name: str, source: str) -> None:
    """By the package, relative, inside a function or by a name."""
    assert list(upstream_faults(source, name))


def test_an_import_from_upstream_is_none_of_them() -> None:
    """Or from the station itself."""
    source = "from . import scan\nfrom ..legacy import as_json\nfrom ...model import AuditEvent\n"
    source += "from k8s_audit_otlp import __version__\nfrom k8s_audit_otlp.otlp import wire\n"
    assert not list(upstream_faults(source, "event/redact/redactor.py"))


@pytest.mark.parametrize(
    "source",
    [
        "import os",
        "import os.path as p",
        "from time import monotonic",
        "def f():\n    import socket",
        "text = open('x').read()",
        "def f(opener=open): ...",
        "from datetime import datetime\nx = datetime.now()",
        "import datetime\nx = datetime.datetime.utcnow",
        "from datetime import date\nx = date.today()",
        "print('x')",
        "import sys\nsys.stderr.write('x')",
        "from urllib.request import urlopen",
        "import_module('time').time()",
        "import ctypes",
        "from mmap import mmap",
        "from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter",
        "from k8s_audit_otlp.state.files import read_file",
        "from .files import read_file",
    ],
)
def test_input_output_and_clocks_are_found_in_a_pure_module(source: str) -> None:
    """Also without an import, and where they are only handed on."""
    assert list(purity_faults(source, "state/ledger.py"))


def test_the_ledger_may_have_a_method_named_open() -> None:
    """Only the builtin opens a file."""
    assert not list(purity_faults("ledger.open(span)\nclass L:\n  def open(self): ...", "event/x"))
