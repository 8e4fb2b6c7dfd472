"""Imports go one way, along the flow."""

import ast
from pathlib import Path

import k8s_audit_otlp

PACKAGE = "k8s_audit_otlp"
ROOT = Path(k8s_audit_otlp.__file__).parent

# A station may import from its own level and from those above it in this list.
LEVELS = [
    {"model", "__init__"},
    {"event", "otlp", "state"},
    {"receiver", "exporter", "transport", "config", "apiserver", "evidence"},
    {"telemetry"},
    {"agent"},
    {"tools", "sdk"},
    {"cli", "__main__"},
]
PURE = ("event", "otlp")
IMPURE = {"os", "socket", "subprocess", "threading", "time", "pathlib", "random"}
# Not I/O: os.uname names the host when a resource is built, before the first event.
ALLOWED = {("otlp/resource.py", "os")}


def level_of(station: str) -> int:
    return next(i for i, names in enumerate(LEVELS) if station in names)


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def modules() -> list[tuple[str, str, Path]]:
    return [
        (str(path.relative_to(ROOT)), path.relative_to(ROOT).parts[0].removesuffix(".py"), path)
        for path in sorted(ROOT.rglob("*.py"))
    ]


def test_every_station_imports_only_from_upstream_or_itself() -> None:
    """Nothing early in the flow knows what comes after it."""
    wrong = []
    for name, station, path in modules():
        for imported in imports(path):
            if not imported.startswith(PACKAGE + "."):
                continue
            other = imported.split(".")[1]
            if other == "__version__":
                continue
            if level_of(other) > level_of(station):
                wrong.append(f"{name} imports {imported}")
    assert not wrong


def test_the_pure_stations_do_no_input_or_output_and_know_no_clock() -> None:
    """Decode, policy, redaction, mapping and encoding are functions of their arguments."""
    wrong = [
        f"{name} imports {imported}"
        for name, station, path in modules()
        if station in PURE
        for imported in imports(path)
        if imported.split(".")[0] in IMPURE and (name, imported) not in ALLOWED
    ]
    assert not wrong
