"""The README's generated parts are what the code says. Run this file to write them anew."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from k8s_audit_otlp.cli import COMMANDS
from k8s_audit_otlp.otlp.mapping import MappingOptions, reference_page
from tests.kit.config_page import markdown

README = Path(__file__).parents[2] / "README.md"
GENERATED = {
    "mapping": lambda: reference_page(MappingOptions()),
    "configuration": markdown,
}


def with_generated(text: str) -> str:
    for name, make in GENERATED.items():
        part = re.compile(rf"(<!-- {name}: generated -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        made = make().rstrip()
        text = part.sub(lambda m, made=made: f"{m[1]}{made}\n{m[2]}", text)
    return text


def test_the_generated_parts_are_up_to_date() -> None:
    """The mapping page and the configuration reference come from the code's own tables."""
    text = README.read_text()
    assert text == with_generated(text), f"run python {Path(__file__).relative_to(README.parent)}"


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
    named = set(re.findall(r"k8s-audit-otlp ([a-z][a-z-]+)", README.read_text()))
    assert named <= set(COMMANDS)


if __name__ == "__main__":
    README.write_text(with_generated(README.read_text()))
