"""Shows findings as lines for people: whatever is wrong comes with its hint."""

from collections import Counter
from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.text import Text

from k8s_audit_otlp.telemetry.visible import visible
from k8s_audit_otlp.tools.doctor.verdict import Finding, State
from k8s_audit_otlp.tools.table import print_hanging

_STYLE = {
    State.OK: "green",
    State.WARN: "yellow",
    State.FAIL: "bold red",
    State.SKIPPED: "dim",
}


def show(findings: Iterable[Finding], console: Console) -> Iterator[Finding]:
    """Print each finding under its subject as it comes, and hand it on."""
    subject = ""
    for finding in findings:
        if finding.subject != subject:
            subject = finding.subject
            console.print(Text(visible(subject), style="bold"), soft_wrap=True)
        state = Text(f"  {finding.state:<8}", style=_STYLE[finding.state])
        print_hanging(console, state + Text(f"{finding.check:<22}"), finding.why)
        if finding.hint and finding.state is not State.OK:
            print_hanging(console, Text(f"{'':10}→ "), finding.hint)
        yield finding


def summary(findings: Iterable[Finding]) -> str:
    counts = Counter(finding.state for finding in findings)
    return ", ".join(f"{counts[state]} {state}" for state in State)
