"""Writes a verdict as one page of HTML that an auditor can read and keep: nothing is loaded."""

from collections.abc import Iterable

from k8s_audit_otlp import __version__
from k8s_audit_otlp.tools.page import List, Section, render
from k8s_audit_otlp.tools.text import counted, printable, time_of
from k8s_audit_otlp.tools.verify.verdict import Verdict
from k8s_audit_otlp.tools.verify.wording import CANNOT_KNOW, extent, held_fields, held_records

_MOST = 200  # lines of a list
_LONGEST = 400  # characters of one
_TITLE = "Is the Kubernetes audit log complete and untouched?"
_FOOTER = (
    f"Written by k8s-audit-otlp {__version__} evidence verify. Anyone with the same export and "
    "public keys gets the same answer."
)
_PROVES = (
    (
        "Every segment (file) of the audit log gets a receipt once the log has rotated and all of "
        "it was sent: how many of its records were delivered, the SHA-256 of its bytes, and a hash "
        "over the uid and body of every delivered record."
    ),
    (
        "Attributes, time and severity beside a body are made of it. They are made here again, and "
        "each that the export keeps has to say the same."
    ),
    (
        "Each receipt holds the hash of the receipt before it. One that is taken out or "
        "altered breaks this chain."
    ),
    (
        "A seal signs how far the chain had come at a time, and what was delivered of segments "
        "that had no receipt yet. Up to there nobody who lacks the private key can have rewritten "
        "it; what came after the newest seal anybody could rewrite who held the node or the export."
    ),
    (
        "Without a trusted public key the chain shows accident and loss. It does not show an "
        "adversary who rewrites all of the export."
    ),
)


def html_of(verdict: Verdict) -> str:
    sections = [
        Section("What was checked, and with what", _pairs(_checked(verdict))),
        Section("Counted", _pairs((k, f"{v:,}") for k, v in verdict.counts().items())),
        Section("Changed, put in, taken out or forged", list=_list(verdict.faults)),
        Section("Missing, and remarks", list=_list(verdict.lacks)),
        Section("Chains of receipts", _pairs(_chains(verdict))),
        Section("Could not be judged", list=_list(verdict.not_judged)),
        Section("What this proves", list=_list(_PROVES)),
        Section("What nobody can know from an export", list=_list(CANNOT_KNOW)),
    ]
    return render(
        "verify/page.html",
        title=_TITLE,
        footer=_FOOTER,
        answers=_answers(verdict),
        sections=sections,
    )


def _answers(verdict: Verdict) -> list[tuple[str, str, str]]:
    complete = "yes" if verdict.is_complete else "NO, see what is missing"
    sound = "yes, as far as it was judged" if verdict.is_sound else "NO, see what was changed"
    answers = [
        ("Complete", complete, "good" if verdict.is_complete else "bad"),
        ("Untouched", sound, "good" if verdict.is_sound else "bad"),
    ]
    if verdict.unproven:
        answers.append(("Proven", "NOT ALL, see what could not be judged", "bad"))
    return answers


def _checked(verdict: Verdict) -> list[tuple[str, str]]:
    scope, contents, raw = verdict.scope, verdict.contents, verdict.raw
    rows = [
        ("Export", ", ".join(verdict.exports)),
        ("Public keys", ", ".join(verdict.keys) or "none was given: seals were not checked"),
        ("Seals", f"{verdict.sound.seals:,}"),
        ("Cluster", scope.cluster or "all in the export"),
        ("From", time_of(scope.since_ns) if scope.since_ns else "the beginning"),
        ("To", time_of(scope.until_ns) if scope.until_ns else "the end"),
        ("Bodies", held_records(contents)),
        ("Beside the bodies", held_fields(verdict.fields)),
    ]
    if raw.directory:
        rows.append(
            ("Byte for byte what was read", f"{counted(raw.same, 'file')} in {raw.directory}")
        )
    return rows


def _chains(verdict: Verdict) -> Iterable[tuple[str, str]]:
    checked = verdict.sound.checked
    for chain in verdict.sound.chains:
        yield f"{chain.exporter} {chain.id}", extent(chain, checked=checked)


def _pairs(rows: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(_short(name), _short(said)) for name, said in rows]


def _list(lines: Iterable[str]) -> List:
    """Cut a list; the page stays one that can be read, however much there is."""
    every = list(lines)
    return List([_short(line) for line in every[:_MOST]], max(0, len(every) - _MOST))


def _short(text: str) -> str:
    return printable(text, _LONGEST)
