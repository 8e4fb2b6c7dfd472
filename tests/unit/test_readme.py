"""The pages are what the code says. `python -m tests.unit.test_readme` writes them anew."""

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from k8s_audit_otlp.cli import COMMANDS
from k8s_audit_otlp.cli.exit_codes import EXIT_CODES
from k8s_audit_otlp.otlp.mapping import MappingOptions
from tests.kit.config_reference import reference_file
from tests.kit.pages import attributes_page, markdown

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
REFERENCE = ROOT / "otel-config/agent/reference.yaml"
GENERATED: dict[str, tuple[Path, Callable[[], str]]] = {
    "mapping": (ROOT / "otel-config/attributes.md", lambda: attributes_page(MappingOptions())),
    "configuration": (ROOT / "otel-config/README.md", markdown),
}
PAGES = [
    README,
    *(ROOT / name for name in ("tests/README.md", "deploy/README.md", "tests/faults/README.md")),
    *sorted(ROOT.glob("otel-config/*.md")),
    *sorted(ROOT.glob("src/**/README.md")),
    *sorted(ROOT.glob(".github/*.md")),
]


def with_generated(name: str) -> str:
    page, make = GENERATED[name]
    part = re.compile(rf"(<!-- {name}: generated -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    return part.sub(lambda m: f"{m[1]}{make().rstrip()}\n{m[2]}", page.read_text())


@pytest.mark.parametrize("name", GENERATED)
def test_the_generated_parts_are_up_to_date(name: str) -> None:
    """The page of attributes and the keys come from the code's own tables."""
    text = GENERATED[name][0].read_text()
    assert f"<!-- {name}: generated -->" in text
    assert text == with_generated(name), "run python -m tests.unit.test_readme"


SAYING: tuple[str, ...] = (
    "evidence/*.py",
    "event/processor.py",
    "agent/start.py",
    "telemetry/journal.py",
)
SAYING += ("state/outbox.py",)


def keys_in(source: str) -> set[str]:
    """Return the attributes that a module writes: `"k8s.audit.x"`, or `_PREFIX + "x"`."""
    tree = ast.parse(source)
    prefixes: dict[str, object] = {"CHAIN": "k8s.audit.chain.", "prefix": "k8s.audit."}
    prefixes |= {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.BinOp(left=ast.Name(id=name), right=ast.Constant(value=str(rest))):
                found.add(str(prefixes.get(name, "")) + rest)
            case ast.BinOp(left=ast.Attribute(attr="_prefix"), right=ast.Constant(value=str(rest))):
                found.add(f"k8s.audit.{rest}")
            case ast.Constant(value=str(text)) if re.fullmatch(r"k8s\.audit(\.[a-z_]+)+", text):
                found.add(text)
    return {key for key in found if key.startswith("k8s.audit.") and not key.endswith(".")}


def test_every_attribute_of_a_notice_is_in_the_page_of_attributes() -> None:
    """Whatever a module of the package writes about the log or the agent."""
    page = (ROOT / "otel-config/attributes.md").read_text()
    root = ROOT / "src/k8s_audit_otlp"
    keys = {key for one in SAYING for path in root.glob(one) for key in keys_in(path.read_text())}
    assert len(keys) > 30
    said = set()
    for line in page.splitlines():
        family = ""
        for name in re.findall(r"`(k8s\.audit[a-z_.*]*|\.[a-z0-9_]+)`", line):
            family = name.rpartition(".")[0] if name.startswith("k8s") else family
            said.add(name if name.startswith("k8s") else family + name)
    families = tuple(name[:-1] for name in said if name.endswith("*"))
    assert {key for key in keys - said if not key.startswith(families)} == set()


def test_the_readme_is_short() -> None:
    """What it is and how it is tried; the rest stands where it belongs."""
    assert len(README.read_text().splitlines()) <= 200


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of a page is a file or folder of this repository."""
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_readme_or_in_its_help(name: str) -> None:
    """A command that is named in the README exists, and each has a help page."""
    help_page = subprocess.run(
        [sys.executable, "-m", "k8s_audit_otlp", name, "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "Usage:" in help_page


def test_commands_in_the_readme_exist() -> None:
    """Nobody is sent to a command that is not there."""
    named = set(
        re.findall(r"k8s-audit-otlp ([a-z][a-z-]+)", "".join(page.read_text() for page in PAGES))
    )
    assert named <= set(COMMANDS)


def agent_sources() -> Iterator[tuple[str, str]]:
    """Yield the modules that an agent is made of, by dotted names."""
    package = ROOT / "src/k8s_audit_otlp"
    for path in package.rglob("*.py"):
        parts = path.relative_to(package).with_suffix("").parts
        if not {"cli", "tools", "sdk"} & set(parts):
            yield ".".join(parts), path.read_text()


def threads_and_locks() -> tuple[str, str]:
    page = (ROOT / "src/k8s_audit_otlp/README.md").read_text().partition("## Threads")[2]
    threads, _, locks = page.partition("\n\n| lock")
    return threads, locks.partition("\n\n")[0]


def test_the_threads_of_the_agent_are_on_the_page_that_tells_how_it_works() -> None:
    """By the first word of their names; commands and tools have some of their own."""
    names = [
        name
        for _, source in agent_sources()
        if "Thread" in source
        for name in re.findall(r'\bname=f?"([a-z]+)', source)
    ]
    assert len(names) >= 8
    assert [name for name in names if f"`{name}" not in threads_and_locks()[0]] == []


def test_so_are_its_locks() -> None:
    """By their modules, or by a whole station."""
    making = re.compile(r"\b(?:R?Lock|Condition)\(\)|default_factory=R?Lock")
    modules = [name for name, source in agent_sources() if making.search(source)]
    rows = threads_and_locks()[1]
    told = [name for name in modules if f"`{name}`" in rows or f"`{name}." in rows]
    stations = {name for name in modules if f"`{name.partition('.')[0]}.*`" in rows}
    assert len(modules) >= 25
    assert {*modules} - {*told} - stations == set()


def test_every_exit_code_is_on_the_page_for_operators() -> None:
    """Each with its number, as --help has it, and no other."""
    codes = re.findall(r"^  (\d+)  ", EXIT_CODES, re.MULTILINE)
    text = (ROOT / "deploy/README.md").read_text().partition("\nExit codes: ")[2]
    assert re.findall(r"(?:^|, |,\n)(\d+) (?=\w|`)", text.partition("\n\n")[0]) == codes


def test_every_row_of_what_can_be_lost_names_a_test_that_exists() -> None:
    """A row of the README without a test is a promise that nobody holds."""
    rows = README.read_text().partition("It *can* lose")[2].partition("\n## ")[0].count("\n| ")
    table = (ROOT / "tests/README.md").read_text().partition("## What can be lost")[2]
    named = re.findall(r"`(\S+\.py)::(\w+)`", table.partition("\n## ")[0])
    assert len(named) == rows - 1  # without the table's head
    for path, name in named:
        assert f"def {name}(" in (ROOT / "tests" / path).read_text(), name


if __name__ == "__main__":
    for name, (page, _) in GENERATED.items():
        page.write_text(with_generated(name))
    REFERENCE.write_text(reference_file())
